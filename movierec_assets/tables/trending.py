"""Movies that are liked more now than before, as the table `trending_movies` has them.

Belongs here: reading. Does not: the score (`recsys.trending`) and filling the table (`defs.charts`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from movierec_assets.tables.database import SCHEMA, Database


class Trend(NamedTuple):
    """A movie of the table, with its title; see `served.TRENDING_MOVIES` for the figures."""

    movie_id: int
    title: str
    year: int | None
    genres: list[str]
    likes: int
    expected: float
    score: float


@dataclass(frozen=True)
class Trends:
    """Movies of the table, the highest score first, and the period that they are liked more in.

    Attributes
    ----------
    since, until : datetime or None
        None while the table has no rows.
    movies : list of Trend
    """

    since: datetime | None
    until: datetime | None
    movies: list[Trend]


def trends_of(database: Database, genre: str | None, limit: int) -> Trends:
    """The first movies of the table, of all genres or of one."""
    table = f"{SCHEMA}.trending_movies"
    period = database.rows(f"SELECT since, until FROM {table} WHERE rank = 1")
    since, until = period[0] if period else (None, None)
    rows = database.rows(
        f"""SELECT movie_id, title, year, genres, likes, expected, score
            FROM {table} JOIN {SCHEMA}.movies USING (movie_id)
            WHERE %(genre)s::text IS NULL OR %(genre)s = ANY(genres)
            ORDER BY rank LIMIT %(limit)s""",
        {"genre": genre, "limit": limit},
    )
    return Trends(since, until, [Trend(*row) for row in rows])
