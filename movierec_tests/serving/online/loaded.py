"""A loaded dataset and versions of it in a registry, for tests of the keeper and of the processes around it.

Belongs here: what changes under a keeper. Does not: claims.
"""

from __future__ import annotations

from movierec_assets.datasets.identity import PairSketch
from movierec_assets.tables.database import Load, record_load
from movierec_assets.tables.known_datasets import DatasetRef, recognize
from movierec_tests.defs.harness import Platform
from movierec_tests.models.harness import MOVIES, register

OURS = "ours"


def ours(platform: Platform, seed: int = 1) -> int:
    """Register a version of the first dataset."""
    return register(platform, seed=seed, dataset=DatasetRef(1, OURS))


def load(platform: Platform, name: str = OURS, version: str = "1", films: str = "Film") -> None:
    """Load a dataset: its films, then the record of its ratings."""
    load_movies(platform, name, version, films)
    with platform.database.transaction() as cursor:
        dataset = recognize(cursor, name, PairSketch(range(100)))
        record_load(cursor, "ratings", Load(version, f"/data/{name}", {}), dataset.id)


def load_movies(platform: Platform, name: str, version: str, films: str) -> None:
    """Load the films of a dataset."""
    with platform.database.replace("movies") as table:
        names = ("movie_id", "title", "year", "genres", "imdb_id", "tmdb_id")
        table.write_rows(names, [(movie, f"{films} {movie}", 1999, ["Drama"], None, None) for movie in MOVIES])
    with platform.database.transaction() as cursor:
        record_load(cursor, "movies", Load(f"{name} {version}", f"/data/{name}", {}))
