"""Datasets for a benchmark: made up, or a share of another one's users.

Belongs here: the files that a run is given.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from movierec_assets.datasets.generator import Size, generate
from movierec_assets.datasets.movielens import MovieLensFiles

RELEASE_OF = {"small": "ml-latest-small", "ml-20m": "ml-20m"}
"""Which release each scale is made like."""

_SEED = 1


def made_up(scale: str, directory: Path, progress: Callable[[str, int, int], None]) -> MovieLensFiles:
    """A generated dataset of a scale, made unless it is there."""
    generate(directory, Size.like(RELEASE_OF[scale]), seed=_SEED, progress=progress)
    return MovieLensFiles.at(directory)


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
    for path in (files.movies, files.links):
        if path is not None:
            shutil.copy(path, directory / path.name)
    return MovieLensFiles.at(directory)
