"""Catalogue and champion as they are now, from the tables and the registry, and whether the champion is sound.

Belongs here: reading them for the keeper. Does not: writing them (`stored`), states of users (`user_states`), when to
read again (`keeper`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from movierec_assets.datasets.identity import Catalogue as CatalogueSketch
from movierec_assets.models.champion import load_champion
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import Version
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.serving.online.snapshot import Catalogue, Champion
from movierec_assets.serving.online.stored import without_users
from movierec_assets.tables.database import SCHEMA, Database

_STATE = f"""
    SELECT d.dataset_id, d.name,
           (SELECT version FROM {SCHEMA}.loads WHERE table_name = 'movies'),
           (SELECT version FROM {SCHEMA}.loads WHERE table_name = 'ratings'),
           (SELECT coalesce(max(rating_id), 0) FROM {SCHEMA}.app_ratings)
    FROM (SELECT 1) one LEFT JOIN {SCHEMA}.loaded_dataset d ON true
"""
_MOVIES = f"""
    SELECT m.movie_id, m.title, coalesce(m.year, 0), m.genres, coalesce(sum(r.ratings), 0)::integer
    FROM {SCHEMA}.movies m LEFT JOIN {SCHEMA}.rating_totals r USING (movie_id)
    GROUP BY m.movie_id ORDER BY m.movie_id
"""
_SKETCH = f"SELECT movie_ids, titles FROM {SCHEMA}.datasets WHERE dataset_id = %s"


class UnsoundError(Exception):
    """Arrays of a champion do not fit each other, or hold numbers that are not finite; the message says which."""


@dataclass(frozen=True)
class LoadedTables:
    """What is in the tables of ratings and movies.

    Attributes
    ----------
    dataset_id, dataset : int and str, or None
    movies_version, ratings_version : str or None
        `loads.version` of both tables; None before their first load.
    watermark : int
        Highest number of a rating of the app; 0 without one.
    """

    dataset_id: int | None
    dataset: str | None
    movies_version: str | None
    ratings_version: str | None
    watermark: int

    @property
    def key(self) -> list[Any]:
        """What decides the catalogue, as JSON."""
        return [self.dataset_id, self.dataset, self.movies_version, self.ratings_version]


def loaded_tables(database: Database) -> LoadedTables:
    """What is loaded now."""
    return LoadedTables(*database.rows(_STATE)[0])


def read_catalogue(database: Database) -> tuple[LoadedTables, Catalogue] | None:
    """The catalogue, and the tables that it is of.

    Returns
    -------
    tuple or None
        None between the two loads of another dataset: movies are loaded first, and ratings may be of the dataset
        before.
    """
    with database.transaction() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute(_STATE)
        tables = LoadedTables(*cursor.fetchall()[0])
        cursor.execute(_MOVIES)
        rows = cursor.fetchall()
        cursor.execute(_SKETCH, [tables.dataset_id])
        sketch = cursor.fetchone()
    movie_ids = np.array([row[0] for row in rows], dtype=np.int32)
    titles = tuple(row[1] for row in rows)
    if sketch is not None and rows and sketch[0]:
        known = CatalogueSketch(np.array(sketch[0], np.int64), np.array(sketch[1], np.int64))
        if not CatalogueSketch.of(movie_ids, titles).agrees_with(known):
            return None
    return tables, Catalogue(
        tables.dataset_id,
        tables.dataset,
        movie_ids,
        titles,
        tuple(tuple(row[3]) for row in rows),
        np.array([row[2] for row in rows], dtype=np.int16),
        np.array([row[4] for row in rows], dtype=np.int32),
    )


def read_champion(registry: ModelRegistry, database: Database) -> tuple[Version, Champion]:
    """The champion as it is served, and its version.

    Raises
    ------
    NoChampionError, OtherDatasetError
        When there is none for the loaded dataset.
    VersionFilesError, UnsoundError
        When its files cannot be used.
    RegistryUnavailableError, DatabaseUnavailableError
    """
    served = load_champion(registry, database, registry.load_copied)
    version = served.version
    require_sound(served.recommender)
    decision = Promotions(registry, database).latest()
    promoted_at = decision.decided_at.timestamp() if decision is not None and decision.is_about(version) else None
    return version, Champion(
        version.number,
        version.run_id,
        promoted_at,
        served.positive_threshold,
        without_users(served.recommender),
        served.recommender.likes.astype(np.int64),
    )


def require_sound(recommender: Recommender) -> None:
    """Check the arrays that requests are answered from.

    Raises
    ------
    UnsoundError
    """
    n_movies, factors = len(recommender.ids.movie_ids), recommender.recipe.factors
    if recommender.movie_factors.shape != (n_movies, factors):
        raise UnsoundError(
            f"movie factors have shape {recommender.movie_factors.shape}, and its ids and recipe {(n_movies, factors)}"
        )
    if recommender.confidence.movie_weight.shape != (n_movies,):
        raise UnsoundError(f"{len(recommender.confidence.movie_weight)} movies have a weight, of {n_movies}")
    if recommender.titles and len(recommender.titles) != n_movies:
        raise UnsoundError(f"{len(recommender.titles)} movies have a title, of {n_movies}")
    _require_finite("movie factors", recommender.movie_factors)
    _require_finite("weights of movies", recommender.confidence.movie_weight)
    if recommender.next_movies is not None:
        _require_matrix("followers of movies", recommender.next_movies.matrix, n_movies)


def _require_finite(name: str, values: Any) -> None:
    if not np.isfinite(values).all():
        raise UnsoundError(f"{name} hold numbers that are not finite")


def _require_matrix(name: str, matrix: csr_matrix, n_movies: int) -> None:
    _require_finite(name, matrix.data)
    try:
        matrix.check_format(full_check=True)
    except ValueError as error:
        raise UnsoundError(f"{name} are no sparse matrix ({error})") from error
    if matrix.shape != (n_movies, n_movies):
        raise UnsoundError(f"{name} have shape {matrix.shape}, and there are {n_movies} movies")
