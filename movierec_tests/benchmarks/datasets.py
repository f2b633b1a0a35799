"""Datasets for benchmarks: generated ratings, a share of the users, or all but the latest ratings.

Belongs here: writing the files that a run reads.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.file_format import RATING_COLUMNS
from movierec_assets.datasets.generator import Size, generate
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.progress import StageProgress

RELEASE_OF = {"small": "ml-latest-small", "ml-20m": "ml-20m"}
"""The release whose size each scale has."""

_SEED = 1


def generated(scale: str, directory: Path, progress: StageProgress) -> MovieLensFiles:
    """The generated dataset of a scale; it is generated once."""
    generate(directory, Size.like(RELEASE_OF[scale]), seed=_SEED, progress=progress)
    return MovieLensFiles.at(directory)


def require_plain(files: MovieLensFiles) -> MovieLensFiles:
    """Require plain MovieLens CSV, which can be cut into parts and read by Postgres as it is.

    Raises
    ------
    DatasetError
        When the files have another format.
    """
    with files.ratings.open("rb") as ratings:
        first = ratings.readline().strip().decode("utf-8", "replace")
    if first != ",".join(RATING_COLUMNS) or [files.ratings.name, files.movies.name] != ["ratings.csv", "movies.csv"]:
        raise DatasetError(
            f"{files.source}: a benchmark needs MovieLens CSV as it is unpacked, ratings.csv with the header "
            f"{','.join(RATING_COLUMNS)} and movies.csv; this is {files.format}, with {files.rating_file.name}. "
            "Leave --dataset out to measure generated ratings."
        )
    return files


def share_of_users(files: MovieLensFiles, share: float, directory: Path) -> MovieLensFiles:
    """All ratings of a random share of the users, byte for byte, and all movies.

    The users of a smaller share are among those of a larger one.
    """
    # Columns stay text, because a number may be written in another form than it was read.
    ratings = pl.scan_csv(files.ratings, infer_schema=False)
    user = ratings.collect_schema().names()[0]
    users = ratings.select(pl.col(user).unique()).collect(engine="streaming")[user].sort()
    chosen = np.random.default_rng(_SEED).permutation(len(users))[: max(1, round(share * len(users)))]
    directory.mkdir(parents=True)
    ratings.filter(pl.col(user).is_in(users[chosen.tolist()].implode())).sink_csv(directory / "ratings.csv")
    _copy_catalogue(files, directory)
    return MovieLensFiles.at(directory)


def without_latest(
    files: MovieLensFiles, share: float, count: int, directory: Path
) -> tuple[MovieLensFiles, list[Path]]:
    """Cut off the latest ratings, byte for byte, as files without a header that can be appended in order.

    Parameters
    ----------
    share : float
        Of all ratings, for each of these files. Ratings of the same second stay in one file.
    count : int
        Number of these files.
    directory : Path
        Where the dataset and these files are written.

    Returns
    -------
    rest : MovieLensFiles
    tails : list of Path
        In the order of time.
    """
    ratings = pl.scan_csv(files.ratings, infer_schema=False)
    rated_at = pl.col(RATING_COLUMNS[-1]).cast(pl.Int64, strict=False)
    times = ratings.select(rated_at).collect(engine="streaming").to_series().drop_nulls().to_numpy()
    starts = [len(times) - round(share * len(times) * back) for back in range(count, 0, -1)]
    bounds = [int(bound) for bound in np.partition(times, starts)[starts]]
    directory.mkdir(parents=True)
    ratings.filter(rated_at < bounds[0]).sink_csv(directory / "ratings.csv")
    tails = []
    for number, (begin, end) in enumerate(zip(bounds, [*bounds[1:], None], strict=True), start=1):
        within = rated_at >= begin if end is None else (rated_at >= begin) & (rated_at < end)
        tails.append(directory / f"tail-{number}.csv")
        ratings.filter(within).sink_csv(tails[-1], include_header=False)
    _copy_catalogue(files, directory)
    return MovieLensFiles.at(directory), tails


def _copy_catalogue(files: MovieLensFiles, directory: Path) -> None:
    for path in (files.movies, files.links):
        if path is not None:
            shutil.copy(path, directory / path.name)
