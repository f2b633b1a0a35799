"""Current ratings of a few users at a time, by a statement that is prepared once for each connection.

Belongs here: the query, and the arrays that it gives. Does not: collecting the users who are asked for
(`serving.online.live`), and reading everybody (`histories`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import psycopg2
from psycopg2.errors import QueryCanceled
from psycopg2.extensions import connection as Connection  # noqa: N812

from movierec_assets.ratings import STAR_BITS
from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.sql import read_sql
from movierec_assets.tables.binary_copy import POSTGRES_EPOCH
from movierec_assets.tables.database import Database, DatabaseUnavailableError
from movierec_assets.tables.kept_connection import is_closed, open_limited

STATEMENT_SECONDS = 2.0
"""Time limit of one query."""
_SESSION = (
    "SET plan_cache_mode = force_generic_plan",  # planning the view takes six times as long as running it
    "SET jit = off",
)
_STARS_MASK = (1 << STAR_BITS) - 1


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


@dataclass(frozen=True)
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


class LiveQuery:
    """The query, on a connection that is kept.

    Not for several threads at a time. A connection that the server closed is replaced.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None

    def __call__(self, questions: Sequence[Question]) -> list[Found]:
        """One answer for each question, in one round trip.

        Raises
        ------
        DatabaseUnavailableError
        """
        try:
            return self._ask(questions)
        except QueryCanceled as error:
            raise DatabaseUnavailableError(
                f"The ratings database took longer than {STATEMENT_SECONDS:g} s to read ratings. Try again when it is "
                "less busy."
            ) from error
        except psycopg2.Error:
            self.close()
        try:  # the server ended the connection: once more on another one
            return self._ask(questions)
        except psycopg2.Error as error:
            self.close()
            raise self._database.unavailable(error) from error

    def connect(self) -> None:
        """Connect, unless there is a connection.

        Raises
        ------
        DatabaseUnavailableError
        """
        if self._connection is None or is_closed(self._connection):
            self.close()
            self._connection = open_limited(self._database, STATEMENT_SECONDS, [*_SESSION, read_sql("live_ratings")])

    def close(self) -> None:
        """Close the connection; the next query opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, questions: Sequence[Question]) -> list[Found]:
        self.connect()
        assert self._connection is not None
        users, versions, watermarks = map(list, zip(*questions, strict=True))
        with self._connection.cursor() as cursor:
            cursor.execute("EXECUTE live_ratings (%s, %s, %s)", (users, versions, watermarks))
            return [_found(*row) for row in cursor.fetchall()]


def _found(version: str | None, dataset_id: int | None, watermark: int, movies: Any, times: Any) -> Found:
    if movies is None:
        return Found(version, dataset_id, watermark, None)
    both = np.frombuffer(movies, ">i8").astype(np.int64)
    return Found(
        version,
        dataset_id,
        watermark,
        (
            (both >> STAR_BITS).astype(np.int32),
            (both & _STARS_MASK).astype(np.float32) / np.float32(2),
            np.frombuffer(times, ">i8").astype(np.int64) // 1_000_000 + POSTGRES_EPOCH,
        ),
    )
