"""Current ratings of a few users at a time, by a statement that is prepared once for each connection.

Belongs here: the query, and merging ratings of the file and of the app. Does not: collecting the users who are asked
for (`serving.online.live`), and reading everybody (`histories`).
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
    """What rows of the query hold; the ratings of all users are converted and merged together.

    Of ratings of one movie the latest counts, and of equally late ones that of the app, as in the view
    `current_ratings`. Times of the file are whole seconds.
    """
    _, _, _, file_movies, file_times, app_movies, app_times = zip(*rows, strict=True)
    place, movie_ids = _values(file_movies, ">i4")
    times_and_stars = _values(file_times, ">i8")[1]
    halves, rated_at = times_and_stars & _STARS_MASK, times_and_stars >> STAR_BITS
    if any(app_movies):
        app_place, posted = _values(app_movies, ">i8")
        posted_at = _values(app_times, ">i8")[1] + POSTGRES_EPOCH * 1_000_000
        # The last of each user and movie, in the order of both.
        keys, last = np.unique(((app_place << 32) | (posted >> STAR_BITS))[::-1], return_index=True)
        last = len(posted) - 1 - last
        app_place, posted, posted_at = app_place[last], posted[last], posted_at[last]
        of_file = (place << 32) | movie_ids
        rival = np.minimum(np.searchsorted(keys, of_file), len(keys) - 1)
        both = np.flatnonzero(keys[rival] == of_file)
        newer = rated_at[both] * 1_000_000 > posted_at[rival[both]]
        in_file, in_app = np.ones(len(of_file), np.bool_), posted & _STARS_MASK > 0
        in_file[both[~newer]] = False
        in_app[rival[both[newer]]] = False
        place = np.concatenate([place[in_file], app_place[in_app]])
        order = np.argsort(place, kind="stable")
        place = place[order]
        movie_ids = np.concatenate([movie_ids[in_file], posted[in_app] >> STAR_BITS])[order]
        halves = np.concatenate([halves[in_file], posted[in_app] & _STARS_MASK])[order]
        rated_at = np.concatenate([rated_at[in_file], posted_at[in_app] // 1_000_000])[order]
    movie_ids = movie_ids.astype(np.int32)
    stars: FloatArray = halves.astype(np.float32) / np.float32(2)
    bounds = np.searchsorted(place, np.arange(len(rows) + 1)).tolist()
    found = []
    for (version, dataset_id, watermark, *_), start, stop in zip(rows, bounds, bounds[1:], strict=False):
        some = slice(start, stop)
        ratings = (movie_ids[some], stars[some], rated_at[some]) if stop > start else None
        found.append(Found(version, dataset_id, watermark, ratings))
    return found


def _values(column: Sequence[memoryview | None], kind: str) -> tuple[IntArray, IntArray]:
    """Values of byte strings one after the other, and the place of the string that each is in."""
    lengths = [0 if each is None else len(each) for each in column]
    values = np.frombuffer(b"".join(each for each in column if each is not None), kind).astype(np.int64)
    return np.repeat(np.arange(len(column)), np.array(lengths) // np.dtype(kind).itemsize), values
