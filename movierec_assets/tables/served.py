"""The tables of recommendations and charts: names and columns, and the version of their rows.

Belongs here: the definition that assets, their metadata and all other users share. Does not: filling the tables
(`defs.recommendations`) and creating them (`sql/migrations`).
"""

from __future__ import annotations

from dataclasses import dataclass

from movierec_assets.tables.binary_copy import Kind
from movierec_assets.tables.database import SCHEMA, Database

_VERSION: tuple[Kind, str] = ("integer", "Version of movierec-als that made the row")


@dataclass(frozen=True)
class ServedTable:
    """A table that is replaced as a whole.

    Attributes
    ----------
    name : str
    columns : dict
        Type and description of each column, by name.
    """

    name: str
    columns: dict[str, tuple[Kind, str]]

    @property
    def kinds(self) -> dict[str, Kind]:
        """Type of each column, as COPY needs them."""
        return {name: kind for name, (kind, _) in self.columns.items()}


USER_RECOMMENDATIONS = ServedTable(
    "user_recommendations",
    {
        "user_id": ("integer", "Everybody with a rating; primary key with rank"),
        "rank": ("smallint", "From 1, best first"),
        "movie_id": ("integer", "Not rated by the user"),
        "score": ("real", "Predicted preference, comparable within a user; 0 in lists by popularity"),
        "model_version": _VERSION,
    },
)
SIMILAR_MOVIES = ServedTable(
    "similar_movies",
    {
        "movie_id": ("integer", "Primary key with rank"),
        "rank": ("smallint", "From 1, nearest first"),
        "similar_movie_id": ("integer", "Another movie"),
        "score": ("real", "Cosine of the movies' factors, at most 1"),
        "model_version": _VERSION,
    },
)
POPULAR_MOVIES = ServedTable(
    "popular_movies",
    {
        "rank": ("integer", "From 1; primary key"),
        "movie_id": ("integer", "Movie"),
        "score": ("real", "Users who liked it"),
        "model_version": _VERSION,
    },
)
TRENDING_MOVIES = ServedTable(
    "trending_movies",
    {
        "rank": ("integer", "From 1; primary key"),
        "movie_id": ("integer", "Movie of the catalogue"),
        "score": ("real", "At the least, how many times as often as expected it is liked, with 95 % probability"),
        "likes": ("integer", "Users who liked it in the period"),
        "expected": ("real", "Likes that it would have in the period with its share of the likes before"),
        "since": ("timestamptz", "Beginning of the period"),
        "until": ("timestamptz", "End of the period, after the latest like in the data"),
    },
)
SERVED_TABLES = (USER_RECOMMENDATIONS, SIMILAR_MOVIES, POPULAR_MOVIES)
"""Those that a champion makes; their rows name its version."""


def served_versions(database: Database) -> dict[str, int | None]:
    """Model version of the rows in each serving table; None where there are no rows."""
    found = {}
    for table in SERVED_TABLES:
        # All rows of a table are of one version, because the table is replaced as a whole.
        rows = database.rows(f"SELECT model_version FROM {SCHEMA}.{table.name} LIMIT 1")
        found[table.name] = int(rows[0][0]) if rows else None
    return found
