"""Users' ratings at the time of a request, read by the event loop for all who wait in one query.

Belongs here: batching the requests of a worker. Does not: the queries (`tables`).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import psycopg2
from psycopg2.errors import QueryCanceled

from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.tables.database import Database, DatabaseUnavailableError
from movierec_assets.tables.live_ratings import (
    STATEMENT_SECONDS,
    Found,
    LiveConnection,
    Question,
    Row,
    found_in,
)

SILENT_SECONDS = 2.5
"""A database that answers nothing for so long is unavailable. A load may keep readers waiting for 1.5 s."""
_LOOK_SECONDS = 0.25
_MOST_AT_ONCE = 64
_NO_RATINGS = (np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.int64))

_Answer = asyncio.Future[Found]


class _Asked(NamedTuple):
    """Somebody who waits, and how often the watch had looked when they began."""

    answer: _Answer
    question: Question
    since: int


@dataclass(slots=True)
class LiveRatings:
    """Current ratings of one user: of the file and of the app, the latest of each movie, without withdrawn ones.

    Attributes
    ----------
    user_id : int
    movie_ids : int32 array, shape (n,)
    stars : float32 array, shape (n,)
    rated_at : int64 array, shape (n,)
        Unix seconds.
    dataset_id : int or None
        The dataset that is loaded; movie ids are of it.
    """

    user_id: int
    movie_ids: IntArray
    stars: FloatArray
    rated_at: IntArray
    dataset_id: int | None


@dataclass(slots=True)
class Freshness:
    """Whether the stored state of a user is still theirs.

    Attributes
    ----------
    ratings_version : str or None
        `loads.version` of the table `ratings`.
    watermark : int
        Highest `app_ratings.rating_id` of the user; 0 without one.
    dataset_id : int or None
    """

    ratings_version: str | None
    watermark: int
    dataset_id: int | None


@dataclass(slots=True)
class LiveState:
    """A user at the time of a request.

    Attributes
    ----------
    freshness : Freshness
    ratings : LiveRatings or None
        None where the stored state that the caller has is still the user's.
    """

    freshness: Freshness
    ratings: LiveRatings | None


class LiveReader:
    """Reads for one worker: all who wait are answered by one query.

    The event loop sends the query on an asynchronous connection, and takes the answer when its socket is readable.
    While a query runs, requests collect for the next one. A thread connects, with the first request. A connection that
    the server ended is replaced once for each query. All methods raise `DatabaseUnavailableError`, `SILENT_SECONDS`
    after the database stopped answering at the latest.

    Parameters
    ----------
    database : Database
        It need not answer yet.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: LiveConnection | None = None
        self._waiting: deque[_Asked] = deque()
        self._running: list[_Asked] = []
        self._replaced = False
        self._busy = False
        self._connecting = False
        self._watched = False
        self._looks = 0
        self._silent: str | None = None
        self._closed = False

    @property
    def waiting(self) -> int:
        """Requests that are not answered yet."""
        return len(self._running) + len(self._waiting)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; whoever waits gets `DatabaseUnavailableError`."""
        self._closed = True
        self._drop()
        self._deliver(self._everybody(), self._database.unavailable("the worker stops"))

    async def state(self, user_id: int, ratings_version: str | None, watermark: int) -> LiveState:
        """What tells whether the stored state of a user is still theirs, and their ratings if it is not.

        Parameters
        ----------
        user_id : int
        ratings_version : str or None
            Of the stored state; None to read the ratings in any case.
        watermark : int
            Of the stored state.
        """
        found = await self._ask(Question(user_id, ratings_version or "", watermark))
        freshness = Freshness(found.ratings_version, found.watermark, found.dataset_id)
        if ratings_version is not None and ratings_version == found.ratings_version and found.watermark <= watermark:
            return LiveState(freshness, None)
        movie_ids, stars, rated_at = found.ratings or _NO_RATINGS
        return LiveState(freshness, LiveRatings(user_id, movie_ids, stars, rated_at, found.dataset_id))

    async def freshness(self, user_id: int) -> Freshness:
        """What tells whether the stored state of a user is still theirs."""
        found = await self._ask(Question(user_id, "", None))
        return Freshness(found.ratings_version, found.watermark, found.dataset_id)

    async def ratings(self, user_id: int) -> LiveRatings:
        """Current ratings of a user."""
        state = await self.state(user_id, None, 0)
        assert state.ratings is not None
        return state.ratings

    def _ask(self, question: Question) -> _Answer:
        if self._silent is not None:
            raise DatabaseUnavailableError(self._silent)
        self._loop = loop = asyncio.get_running_loop()
        answer: _Answer = loop.create_future()
        self._waiting.append(_Asked(answer, question, self._looks))
        if not self._watched:
            self._watched = True
            loop.call_later(_LOOK_SECONDS, self._watch, loop)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._next)  # after all who ask in this turn of the event loop
        return answer

    def _next(self) -> None:
        """Send a query for those who wait and have not gone."""
        while self._waiting and len(self._running) < _MOST_AT_ONCE:
            asked = self._waiting.popleft()
            if not asked.answer.done():
                self._running.append(asked)
        self._busy, self._replaced = bool(self._running), False
        if self._running:
            self._send()

    def _send(self) -> None:
        if self._connection is None:
            self._connect()
            return
        try:
            self._connection.ask([asked.question for asked in self._running])
        except psycopg2.Error as error:
            self._lost(error)
        else:
            # Sending to a server that ended the connection may close the socket without an error: it is never readable.
            self._take()

    def _readable(self) -> None:
        if self._running:
            self._take()
        else:  # a server says something unasked when it ends the connection
            self._drop()

    def _take(self) -> None:
        """Take the answer of the running query as far as it has arrived."""
        assert self._connection is not None
        try:
            rows = self._connection.rows()
        except QueryCanceled:
            self._finish(
                DatabaseUnavailableError(
                    f"The ratings database took longer than {STATEMENT_SECONDS:g} s to read ratings. Try again when it "
                    "is less busy."
                )
            )
        except psycopg2.Error as error:
            self._lost(error)
        else:
            if rows is not None:
                self._finish(rows)

    def _finish(self, result: Sequence[Row] | Exception) -> None:
        """Answer those whom the running query is for; the server works on the next one meanwhile."""
        answered, self._running = self._running, []
        self._next()
        self._deliver(answered, result if isinstance(result, Exception) else found_in(result))

    def _lost(self, error: psycopg2.Error) -> None:
        """Send the running query once more on another connection."""
        self._drop()
        if self._replaced:
            self._finish(self._database.unavailable(error))
        else:
            self._replaced = True
            self._send()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(connection.fileno())
            connection.close()

    def _connect(self) -> None:
        assert self._loop is not None
        self._connecting = True
        threading.Thread(target=self._open, args=[self._loop], name="live-ratings", daemon=True).start()

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Connect; in the thread."""
        opened: LiveConnection | Exception
        try:
            opened = LiveConnection.open(self._database)
        except Exception as error:  # noqa: BLE001 - whoever asked gets it
            opened = error
        try:
            loop.call_soon_threadsafe(self._opened, opened)
        except RuntimeError:  # the event loop has ended
            if isinstance(opened, LiveConnection):
                opened.close()

    def _opened(self, opened: LiveConnection | Exception) -> None:
        assert self._loop is not None
        self._connecting = False
        if isinstance(opened, LiveConnection):
            if self._closed:
                opened.close()
                return
            self._connection, self._silent = opened, None
            self._loop.add_reader(opened.fileno(), self._readable)
            if self._running:
                self._send()
            else:
                self._next()
        elif self._silent is None:
            self._finish(opened)
        else:
            self._connect_later()

    def _connect_later(self) -> None:
        assert self._loop is not None
        self._connecting = True
        self._loop.call_later(_LOOK_SECONDS, self._connect)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give up on a database that is silent, and connect again until it answers.

        Looks are counted instead of seconds: while the event loop stands still, the database may have answered.
        """
        self._looks += 1
        oldest = self._running[0] if self._running else self._waiting[0] if self._waiting else None
        if oldest is not None and self._looks - oldest.since > SILENT_SECONDS / _LOOK_SECONDS:
            error = self._database.unavailable(f"no answer for {SILENT_SECONDS:g} s")
            self._silent = str(error)
            self._drop()
            self._deliver(self._everybody(), error)
            if not self._connecting:
                self._connect_later()
        self._watched = bool(self._running or self._waiting)
        if self._watched:
            loop.call_later(_LOOK_SECONDS, self._watch, loop)

    def _everybody(self) -> list[_Asked]:
        """All who wait; nobody does any more."""
        everybody = [*self._running, *self._waiting]
        self._running = []
        self._waiting.clear()
        return everybody

    @staticmethod
    def _deliver(asked: Sequence[_Asked], found: Sequence[Found] | Exception) -> None:
        for at, each in enumerate(asked):
            if each.answer.done():  # whoever asked has gone
                continue
            if isinstance(found, Exception):
                each.answer.set_exception(type(found)(*found.args))
            else:
                each.answer.set_result(found[at])
