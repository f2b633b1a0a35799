"""Datasets for a benchmark: made up, a share of another one's users, or all but its latest ratings.

Belongs here: the files that a run is given.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.file_format import RATING_COLUMNS
from movierec_assets.datasets.generator import Size, generate
from movierec_assets.datasets.movielens import MovieLensFiles
from movierec_assets.progress import StageProgress

RELEASE_OF = {"small": "ml-latest-small", "ml-20m": "ml-20m"}
"""Which release each scale is made like."""

_SEED = 1


def made_up(scale: str, directory: Path, progress: StageProgress) -> MovieLensFiles:
    """A generated dataset of a scale, made unless it is there."""
    generate(directory, Size.like(RELEASE_OF[scale]), seed=_SEED, progress=progress)
    return MovieLensFiles.at(directory)


def require_plain(files: MovieLensFiles) -> MovieLensFiles:
    """The files, which must be plain MovieLens CSV: parts of them are cut out, and Postgres reads them as they are.

    Raises
    ------
    DatasetError
    """
    with files.ratings.open("rb") as ratings:
        first = ratings.readline().strip().decode("utf-8", "replace")
    if first != ",".join(RATING_COLUMNS) or [files.ratings.name, files.movies.name] != ["ratings.csv", "movies.csv"]:
        raise DatasetError(
            f"{files.source}: a benchmark needs MovieLens CSV as it is unpacked, ratings.csv with the header "
            f"{','.join(RATING_COLUMNS)} and movies.csv; this is {files.format}, with {files.rating_file.name}. "
            "Leave --dataset out to measure made-up ratings."
        )
    return files


def share_of_users(files: MovieLensFiles, share: float, directory: Path) -> MovieLensFiles:
    """All ratings of a random share of the users, byte for byte, and all movies.

    The users of a smaller share are among those of a larger one.
    """
    # As text: numbers would be written in another form than they were read in.
    ratings = pl.scan_csv(files.ratings, infer_schema=False)
    user = ratings.collect_schema().names()[0]
    users = ratings.select(pl.col(user).unique()).collect(engine="streaming")[user].sort()
    chosen = np.random.default_rng(_SEED).permutation(len(users))[: max(1, round(share * len(users)))]
    directory.mkdir(parents=True)
    ratings.filter(pl.col(user).is_in(users[chosen.tolist()].implode())).sink_csv(directory / "ratings.csv")
    _copy_catalogue(files, directory)
    return MovieLensFiles.at(directory)


def without_latest(
    files: MovieLensFiles, share: float, times: int, directory: Path
) -> tuple[MovieLensFiles, list[Path]]:
    """All ratings but the latest, byte for byte, and the latest in files without a header, to be appended in order.

    Parameters
    ----------
    share : float
        Of all ratings, in each of these files; ratings of the same second stay together.
    times : int
        Number of these files.
    directory : Path
        Gets the dataset; the files are beside its own.
    """
    ratings = pl.scan_csv(files.ratings, infer_schema=False)
    at = pl.col(RATING_COLUMNS[-1]).cast(pl.Int64, strict=False)
    times_of_all = ratings.select(at).collect(engine="streaming").to_series().drop_nulls().to_numpy()
    parts = [len(times_of_all) - round(share * len(times_of_all) * back) for back in range(times, 0, -1)]
    bounds = [int(bound) for bound in np.partition(times_of_all, parts)[parts]]
    directory.mkdir(parents=True)
    ratings.filter(at < bounds[0]).sink_csv(directory / "ratings.csv")
    tails = []
    for number, (begin, end) in enumerate(zip(bounds, [*bounds[1:], None], strict=True), start=1):
        within = at >= begin if end is None else (at >= begin) & (at < end)
        tails.append(directory / f"tail-{number}.csv")
        ratings.filter(within).sink_csv(tails[-1], include_header=False)
    _copy_catalogue(files, directory)
    return MovieLensFiles.at(directory), tails


def _copy_catalogue(files: MovieLensFiles, directory: Path) -> None:
    for path in (files.movies, files.links):
        if path is not None:
            shutil.copy(path, directory / path.name)
