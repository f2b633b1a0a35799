"""Input and output files of `movierec evaluate`, which uses no database.

Belongs here: reading positives from the files of a dataset, and exporting the ranked lists. Does not: the experiment
(`recsys.experiment`), or the text of its result (`cli.evaluate`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.movies import read_movies
from movierec_assets.datasets.ratings import read_ratings
from movierec_assets.progress import Log, Progress
from movierec_assets.ratings import ELIGIBLE_ABOVE, RatingColumns
from movierec_assets.recsys.errors import no_positives
from movierec_assets.recsys.experiment import Experiment
from movierec_assets.recsys.interactions import IdMaps, IntArray
from movierec_assets.settings import get_settings
from movierec_assets.tables.loading import limits_of


def read_positives(
    files: MovieLensFiles, threshold: float, progress: Progress, log: Log = lambda _: None
) -> RatingColumns:
    """Positives of the eligible users, as the assets read them from the database.

    `threshold` is the stars from which a rating is a positive. `progress` gets the bytes read, and `log` a line about
    rows that do not load.

    Raises
    ------
    DatasetError
        When the files cannot be read, or too many rows do not load.
    RecsysError
        When there is no positive.
    """
    limits = replace(limits_of(get_settings()), positive_threshold=threshold, unordered=True)
    movies = read_movies(files)
    if (misfit := movies.misfit(files.movie_file, limits)) is not None:
        raise DatasetError(misfit)
    ratings = read_ratings(files, movies.movie_id, progress=progress, limits=limits)
    if ratings.misfit is not None:
        raise DatasetError(ratings.misfit)
    if len(ratings.rejects):
        log(f"{len(ratings.rejects):,} rows of {files.rating_file.shown} do not load: {ratings.rejects.summary()}")
    if ratings.assumed_utc:
        log(f"The times of {ratings.assumed_utc:,} ratings name no zone; they are taken as UTC.")
    columns = ratings.columns
    users, counts = np.unique(columns.user_id, return_counts=True)
    eligible_users = users[counts > ELIGIBLE_ABOVE]
    eligible = np.isin(columns.user_id, eligible_users)
    chosen = eligible & (columns.rating >= np.float32(threshold))
    if not chosen.any():
        raise no_positives(
            files.rating_file.shown,
            ratings=len(ratings),
            users=len(users),
            eligible=len(eligible_users),
            best=float(columns.rating[eligible].max()) if eligible.any() else None,
            threshold=threshold,
        )
    return columns.chosen(chosen)


def export(experiment: Experiment, directory: Path) -> None:
    """Write the Parquet files `topk`, `heldout` and `train`, from which others can score the lists.

    `topk` has columns user_id, rank (from 1), movie_id and score; the others user_id and movie_id. All hold MovieLens
    ids. `train` has the pairs that the lists must not hold: the data of the fit, and the histories of the scored users.

    Under time-split, a column `cut` comes first in each file: the Unix seconds from which on nothing was known. A list
    is that of a cut and a user, and so are its held-out pairs; `train` has the pairs before each cut.
    """
    task, ids, lists = experiment.task, experiment.ids, experiment.lists
    users = ids.user_ids[task.users]
    directory.mkdir(parents=True, exist_ok=True)
    rows, ranks, items, scores = lists.entries()
    listed = {
        "user_id": users[rows],
        "rank": ranks.astype(np.int32),
        "movie_id": ids.movie_ids[items],
        "score": scores,
    }
    pd.DataFrame(_cut_of(experiment, rows) | listed).to_parquet(directory / "topk.parquet", index=False)
    rows, columns, _, _ = task.held_out.triplets()
    held_out = _cut_of(experiment, rows) | {"user_id": users[rows], "movie_id": ids.movie_ids[columns]}
    pd.DataFrame(held_out).to_parquet(directory / "heldout.parquet", index=False)
    _export_known(experiment, directory / "train.parquet")


def _cut_of(experiment: Experiment, rows: IntArray) -> dict[str, IntArray]:
    """The column `cut` for some rows of the task; none where the protocol has no cuts."""
    return {"cut": experiment.cuts[rows]} if experiment.spans else {}


def _export_known(experiment: Experiment, file: Path) -> None:
    """Write the pairs that were known: those of each cut one after the other, so that the memory of one is enough."""
    task, ids = experiment.task, experiment.ids
    fitted = task.train
    if not experiment.spans:
        rows, movies, _, _ = task.histories.triplets()
        known = pd.concat([_pairs(ids, *fitted.triplets()[:2]), _pairs(ids, task.users[rows], movies)])
        known.drop_duplicates().to_parquet(file, index=False)
        return
    schema = pa.schema([("cut", pa.int64()), ("user_id", pa.int32()), ("movie_id", pa.int32())])
    with pq.ParquetWriter(file, schema) as writer:
        for span in experiment.spans:
            before = _pairs(ids, *fitted.only(fitted.rated_at < span.cut).triplets()[:2]).assign(cut=span.cut)
            writer.write_table(pa.Table.from_pandas(before, schema, preserve_index=False))


def _pairs(ids: IdMaps, users: IntArray, movies: IntArray) -> pd.DataFrame:
    """Ids of rows and columns."""
    return pd.DataFrame({"user_id": ids.user_ids[users], "movie_id": ids.movie_ids[movies]})
