"""Users' ratings at the time of a request, read for all who wait by one thread in one query.

Belongs here: batching the requests of a worker. Does not: the queries (`tables`).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Self

import numpy as np

from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.tables.database import Database, DatabaseUnavailableError
from movierec_assets.tables.live_ratings import Found, LiveQuery, Question

SILENT_SECONDS = 2.5
"""A database that answers nothing for so long is unavailable. A load may keep readers waiting for 1.5 s."""
_LOOK_SECONDS = 0.25
_MOST_AT_ONCE = 64
_NO_RATINGS = (np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.int64))

_Answer = asyncio.Future[Found]


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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

    One thread has the connection. While its query runs, requests collect for the next one. The thread starts with the
    first request. All methods raise `DatabaseUnavailableError`, a second after the database stopped answering at the
    latest.

    Parameters
    ----------
    database : Database
        It need not answer yet.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[tuple[_Answer, Question]] = deque()
        self._calls: SimpleQueue[bool] = SimpleQueue()
        self._called = False
        self._thread: threading.Thread | None = None
        self._since: dict[_Answer, float] = {}
        self._silent: str | None = None
        self._watched = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the thread, and its connection after the query that it runs."""
        if self._thread is not None:
            self._calls.put(False)
            self._thread = None

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
        loop = asyncio.get_running_loop()
        answer: _Answer = loop.create_future()
        self._since[answer] = loop.time()
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, args=[loop], name="live-ratings", daemon=True)
            self._thread.start()
        if not self._watched:
            self._watched = True
            loop.call_later(_LOOK_SECONDS, self._watch, loop)
        self._waiting.append((answer, question))
        if not self._called:
            self._called = True
            loop.call_soon(self._call)
        return answer

    def _call(self) -> None:
        """Wake the thread, once for all who asked in one turn of the event loop."""
        self._called = False
        self._calls.put(True)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give up on a database that is silent."""
        oldest = next(iter(self._since.values()), None)
        if oldest is not None and loop.time() - oldest > SILENT_SECONDS:
            error = self._database.unavailable(f"no answer for {SILENT_SECONDS:g} s")
            self._silent = str(error)
            self._deliver(list(self._since), error)
        self._watched = bool(self._since)
        if self._watched:
            loop.call_later(_LOOK_SECONDS, self._watch, loop)

    def _receive(self, answers: Sequence[_Answer], found: Sequence[Found] | Exception) -> None:
        """Take what the thread found; it answers again."""
        self._silent = None
        self._deliver(answers, found)

    def _deliver(self, answers: Sequence[_Answer], found: Sequence[Found] | Exception) -> None:
        for at, answer in enumerate(answers):
            self._since.pop(answer, None)
            if answer.done():  # whoever asked has gone
                continue
            if isinstance(found, Exception):
                answer.set_exception(type(found)(*found.args))
            else:
                answer.set_result(found[at])

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer questions until the end; in the thread."""
        query = LiveQuery(self._database)
        while (batch := self._collected()) is not None:
            answers, questions = zip(*batch, strict=True)
            found: list[Found] | Exception
            try:
                found = query(questions)
            except Exception as error:  # noqa: BLE001 - whoever asked gets it, and the thread reads on
                found = error
            loop.call_soon_threadsafe(self._receive, answers, found)
        query.close()

    def _collected(self) -> list[tuple[_Answer, Question]] | None:
        """Everybody who waits, at least one; None at the end."""
        while not self._waiting:
            if not self._calls.get():
                return None
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_AT_ONCE))]
