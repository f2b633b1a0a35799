"""`movierec evaluate`: an experiment on a dataset, without any database.

Belongs here: from files to positives, and the files that let others score the result. The experiment is
`recsys.experiment`.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.movielens import MovieLensFiles, read_movies, read_ratings
from movierec_assets.progress import Log, Progress
from movierec_assets.ratings import ELIGIBLE_ABOVE, RatingColumns
from movierec_assets.recsys.errors import no_positives
from movierec_assets.recsys.experiment import CUTOFFS_OF, HEADLINES_OF, Experiment
from movierec_assets.recsys.report import as_markdown
from movierec_assets.settings import get_settings
from movierec_assets.tables.loading import limits_of


def read_positives(
    files: MovieLensFiles,
    threshold: float,
    progress: Progress,
    log: Log = lambda _: None,
) -> RatingColumns:
    """Positives of the eligible users, as the assets would give them.

    Parameters
    ----------
    files : MovieLensFiles
    threshold : float
        Stars from which a rating is a positive.
    progress : callable
        Called with bytes read and bytes in all.
    log : callable
        Called with a line about rows that do not load.

    Raises
    ------
    DatasetError
        When the files cannot be read, or too much in them does not fit.
    RecsysError
        When there is no positive among them.
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
    """Write what anybody needs to score the lists: `topk`, `heldout` and `train`, each a Parquet file.

    `topk` has columns user_id, rank (from 1), movie_id and score; the others user_id and movie_id. All hold MovieLens
    ids. `train` is everything that the lists must not hold: the scored users' histories, and all that was fitted on.
    """
    task, ids, lists = experiment.task, experiment.ids, experiment.lists
    users = ids.user_ids[task.users]
    n, k = lists.items.shape
    filled = lists.items >= 0
    directory.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(
        {
            "user_id": np.repeat(users, k).reshape(n, k)[filled],
            "rank": np.broadcast_to(np.arange(1, k + 1, dtype=np.int32), (n, k))[filled],
            "movie_id": ids.movie_ids[lists.items[filled]],
            "score": lists.scores[filled],
        }
    ).to_parquet(directory / "topk.parquet", index=False)
    rows, columns, _, _ = task.held_out.triplets()
    _pairs(users[rows], ids.movie_ids[columns]).to_parquet(directory / "heldout.parquet", index=False)
    fitted_rows, fitted_columns, _, _ = task.train.triplets()
    history_rows, history_columns, _, _ = task.histories.triplets()
    pairs = pd.concat(
        [
            _pairs(ids.user_ids[fitted_rows], ids.movie_ids[fitted_columns]),
            _pairs(users[history_rows], ids.movie_ids[history_columns]),
        ]
    )
    pairs.drop_duplicates().to_parquet(directory / "train.parquet", index=False)


def as_json(experiment: Experiment, dataset: str, seed: int) -> dict[str, Any]:
    """Metrics of the model and of every baseline, and how they came about, as plain values."""
    found = experiment.found
    return {
        "dataset": dataset,
        "protocol": experiment.protocol,
        "seed": seed,
        "users": len(experiment.task.users),
        "train_pairs": len(experiment.task.train),
        "held_out_pairs": len(experiment.task.held_out),
        "recipe": experiment.recipe.as_dict(),
        "search": None
        if found is None
        else {
            "trials": len(found.trials),
            "complete": sum(trial.state == "complete" for trial in found.trials),
            "best": found.best.as_dict(),
            "lead_over_built_in": asdict(found.lead),
        },
        "metrics": {each.ranker: each.means() for each in experiment.evaluations},
        "intervals": {
            name: {each.ranker: asdict(each.interval(name)) for each in experiment.evaluations}
            for name in HEADLINES_OF[experiment.protocol]
        },
    }


def as_report(experiment: Experiment) -> str:
    """Markdown for people: metrics of the model and of every baseline, with intervals and slices."""
    return as_markdown(
        experiment.evaluations,
        users=len(experiment.task.users),
        held_out=len(experiment.task.held_out),
        protocol=experiment.protocol,
        cutoffs=CUTOFFS_OF[experiment.protocol],
        headlines=HEADLINES_OF[experiment.protocol],
    )


def _pairs(user_id: Any, movie_id: Any) -> pd.DataFrame:
    return pd.DataFrame({"user_id": user_id, "movie_id": movie_id})
