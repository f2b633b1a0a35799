"""Current ratings of a few users at a time, by a statement that is prepared once for each connection.

Belongs here: the query, and the arrays that it gives. Does not: collecting the users who are asked for
(`serving.online.live`), and reading everybody (`histories`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from psycopg2.extensions import POLL_OK
from psycopg2.extensions import connection as Connection  # noqa: N812

from movierec_assets.ratings import STAR_BITS
from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.sql import read_sql
from movierec_assets.tables.binary_copy import POSTGRES_EPOCH
from movierec_assets.tables.database import Database
from movierec_assets.tables.kept_connection import is_readable, open_asynchronous

STATEMENT_SECONDS = 2.0
"""Time limit of one query."""
_SESSION = (
    "SET plan_cache_mode = force_generic_plan",  # planning the view takes six times as long as running it
    "SET jit = off",
)
_STARS_MASK = (1 << STAR_BITS) - 1

Row = tuple[Any, ...]
"""A row of the query."""


class Question(NamedTuple):
    """A user, and the state of the user that the caller has.

    Attributes
    ----------
    user_id : int
    ratings_version : str
        `loads.version` of the table `ratings` at the time of that state; "" to read the ratings in any case.
    watermark : int or None
        Highest `app_ratings.rating_id` at the time of that state; None to read no ratings in any case.
    """

    user_id: int
    ratings_version: str
    watermark: int | None


@dataclass(slots=True)
class Found:
    """What the tables hold of one user.

    Attributes
    ----------
    ratings_version : str or None
    dataset_id : int or None
        Loaded now.
    watermark : int
        Highest `app_ratings.rating_id` of the user; 0 without one.
    ratings : tuple of int32 array, float32 array, int64 array, or None
        Movie ids, stars and Unix seconds, in no order; None where nothing is newer than the caller's state, or
        there is no rating.
    """

    ratings_version: str | None
    dataset_id: int | None
    watermark: int
    ratings: tuple[IntArray, FloatArray, IntArray] | None


class LiveConnection:
    """A connection on which the query is prepared, for an event loop: only `open` waits.

    One query at a time: `ask`, then `rows` at once and whenever the socket is readable, until it gives them. Both
    raise psycopg2's errors; after `QueryCanceled`, the connection can be used again.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._descriptor = connection.fileno()

    @classmethod
    def open(cls, database: Database) -> Self:
        """Connect, and prepare the query.

        Raises
        ------
        DatabaseUnavailableError
            See `open_asynchronous`.
        """
        return cls(open_asynchronous(database, STATEMENT_SECONDS, [*_SESSION, read_sql("live_ratings")]))

    def fileno(self) -> int:
        """Descriptor of the socket, also after the server ended the connection."""
        return self._descriptor

    def ask(self, questions: Sequence[Question]) -> None:
        """Send the query.

        A thousand questions fit into the buffer of the socket, which is empty once the query before is answered. So
        the query is sent as a whole, and nobody has to see that the socket can be written.
        """
        users, versions, watermarks = map(list, zip(*questions, strict=True))
        self._cursor.execute("EXECUTE live_ratings (%s, %s, %s)", (users, versions, watermarks))

    def rows(self) -> list[Row] | None:
        """One row for each question; None while the server has not sent all of them."""
        while self._connection.poll() != POLL_OK:
            # uvloop tells only once of a socket that the server has reset, so all that has arrived is read.
            if not is_readable(self._connection):
                return None
        return self._cursor.fetchall()

    def close(self) -> None:
        """Close the connection; the server ends a query that is running."""
        self._connection.close()


def found_in(rows: Sequence[Row]) -> list[Found]:
    """What rows of the query hold; the ratings of all users are converted together."""
    stops = np.cumsum([0 if movies is None else len(movies) // 8 for _, _, _, movies, _ in rows]).tolist()
    both = np.frombuffer(b"".join(movies for _, _, _, movies, _ in rows if movies is not None), ">i8").astype(np.int64)
    movie_ids = (both >> STAR_BITS).astype(np.int32)
    stars = (both & _STARS_MASK).astype(np.float32) / np.float32(2)
    times = np.frombuffer(b"".join(times for _, _, _, _, times in rows if times is not None), ">i8")
    rated_at = times.astype(np.int64) // 1_000_000 + POSTGRES_EPOCH
    found, start = [], 0
    for (version, dataset_id, watermark, movies, _), stop in zip(rows, stops, strict=True):
        some = slice(start, stop)
        ratings = None if movies is None else (movie_ids[some], stars[some], rated_at[some])
        found.append(Found(version, dataset_id, watermark, ratings))
        start = stop
    return found
