"""The log of lists that were shown and of what people did with them: requests put rows in, a thread writes them.

Belongs here: the bounded queue and its thread. Does not: the rows of the tables (`tables.shown`).
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Self

import psycopg2
from psycopg2.errors import CheckViolation, UniqueViolation
from psycopg2.extensions import connection as Connection  # noqa: N812

from movierec_assets.recsys.interactions import IntArray
from movierec_assets.tables.database import Database, DatabaseUnavailableError
from movierec_assets.tables.day_partitions import make_days
from movierec_assets.tables.kept_connection import open_limited
from movierec_assets.tables.recommendation_ids import new_id
from movierec_assets.tables.shown import KeptList, ShownEvent, ShownList, Source, make_days_of, write

QUEUE_ROWS = 50_000
"""Lists and events that wait at most: some 25 MB, and half a minute of a busy worker."""
BATCH_ROWS = 5_000
"""Rows of one transaction at most."""
WRITE_EVERY = 0.25
"""Seconds between two batches, unless more rows wait than go into one."""
RECENT_LISTS = 10_000
"""Lists of this worker that `find` knows, the latest: some 5 MB."""
STATEMENT_SECONDS = 10
_PAUSES = (0.25, 1.0, 2.0)
"""Seconds after the first, second and later failures in a row."""

_log = logging.getLogger(__name__)


class ShownLog:
    """The log of one worker, for the one thread of its event loop.

    Putting rows in never waits and never fails. Rows beyond the bound are dropped and counted. While the database is
    away, rows stay in the queue, up to the bound. A batch is written in one transaction, exactly once.

    Parameters
    ----------
    database : Database
    queue_rows : int
        Bound of the queue, of lists and events together.

    Attributes
    ----------
    written : int
        Lists and events since the start, without those of users who were erased in the meantime.
    """

    def __init__(self, database: Database, queue_rows: int = QUEUE_ROWS) -> None:
        self._database = database
        self._bound = queue_rows
        self._queue: deque[ShownList | ShownEvent] = deque()
        self._recent: dict[str, ShownList] = {}  # in the order of `put`; only the event loop uses it
        self._batch: list[ShownList | ShownEvent] = []  # taken from the queue, not yet committed
        self._days: date | None = None  # the latest day that partitions were made for
        self._stopping = threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, name="shown", daemon=True)
        self.written = 0
        self._overflown = 0  # counted by the event loop
        self._refused = 0  # counted by the thread

    def put(
        self,
        *,
        user_id: int | None,
        movie_ids: Sequence[int] | IntArray,
        source: Source,
        model_version: int | None = None,
        dataset_id: int | None = None,
        scenario: str | None = None,
    ) -> str:
        """Log a list; returns its recommendation id.

        Parameters
        ----------
        user_id : int or None
            None for people without an id.
        movie_ids : sequence of int, or int array, shape (n,)
            Best first; not to be changed afterwards.
        source : {"model", "stored", "popular"}
        model_version : int or None
            Version that made the list; None where none did.
        dataset_id : int or None
            Dataset whose ids these are.
        scenario : str or None
            Where the list is shown, as the client calls it.
        """
        recommendation_id = new_id()
        if self.waiting < self._bound:
            shown = ShownList(recommendation_id, user_id, dataset_id, model_version, source, scenario, movie_ids)
            self._queue.append(shown)
            self._recent[recommendation_id] = shown
            if len(self._recent) > RECENT_LISTS:
                del self._recent[next(iter(self._recent))]
        else:
            self._overflown += 1
        return recommendation_id

    def find(self, recommendation_ids: Iterable[str]) -> dict[str, KeptList]:
        """Those of these lists that this worker put in lately, whether they are written or not."""
        found = {name: self._recent[name] for name in recommendation_ids if name in self._recent}
        return {name: KeptList(row.user_id, [int(movie) for movie in row.movie_ids]) for name, row in found.items()}

    def put_events(self, events: Sequence[ShownEvent]) -> int:
        """Log events of lists that are known; returns how many the queue had room for, the first ones."""
        accepted = events[: max(0, self._bound - self.waiting)]
        self._queue.extend(accepted)
        self._overflown += len(events) - len(accepted)
        return len(accepted)

    @property
    def waiting(self) -> int:
        """Lists and events that are not written yet."""
        return len(self._queue) + len(self._batch)

    @property
    def dropped(self) -> int:
        """Lists and events since the start that were not written and never will be."""
        return self._overflown + self._refused

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the thread that writes, unless it runs."""
        if not self._thread.is_alive():
            self._thread.start()

    async def stop(self, seconds: float = 5.0) -> None:
        """Write what waits, for some seconds at most; the rest, and what is put in later, is dropped and counted."""
        self._deadline = time.monotonic() + seconds
        self._stopping.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, seconds + 1)
        self._bound = 0
        if lost := self.waiting:
            self._overflown += lost
            self._queue.clear()
            self._batch = []
            _log.error("%s rows of shown lists and events were not written: the database did not take them.", lost)

    def _run(self) -> None:
        failures = 0
        while not self._done():
            try:
                with closing(open_limited(self._database, STATEMENT_SECONDS)) as connection:
                    connection.autocommit = False
                    self._days = None
                    while not self._done():
                        self._write(connection)
                        failures = 0
                        if len(self._queue) < BATCH_ROWS:
                            self._stopping.wait(WRITE_EVERY)
            except (psycopg2.Error, DatabaseUnavailableError) as error:
                if failures == 0:
                    _log.warning("Shown lists and events wait, %s so far: %s", self.waiting, str(error).strip())
                pause = _PAUSES[min(failures, len(_PAUSES) - 1)]
                failures += 1
                self._stopping.wait(pause) if not self._stopping.is_set() else time.sleep(0.1)

    def _done(self) -> bool:
        return self._stopping.is_set() and (not self.waiting or time.monotonic() > self._deadline)

    def _write(self, connection: Connection) -> None:
        """Write one batch, the same one again until it is committed."""
        self._make_days_ahead(connection)
        if not self._batch:
            for _ in range(min(BATCH_ROWS, len(self._queue))):
                self._batch.append(self._queue.popleft())
        if not self._batch:
            return
        lists = [row for row in self._batch if isinstance(row, ShownList)]
        events = [row for row in self._batch if isinstance(row, ShownEvent)]
        try:
            try:
                self.written += _written(connection, lists, events)
            except CheckViolation:  # no partition: rows that waited for more than a day, or a dropped day
                with connection, connection.cursor() as cursor:
                    make_days_of(cursor, lists, events)
                self.written += _written(connection, lists, events)
        except UniqueViolation:  # the connection broke after an earlier attempt was committed
            self.written += len(self._batch)
        except (psycopg2.DataError, psycopg2.IntegrityError, TypeError, ValueError):
            # Not by a state of the database that ends, so that another attempt would fail as well.
            self._refused += len(self._batch)
            _log.exception("%s shown lists and events cannot be written.", len(self._batch))
        self._batch = []

    def _make_days_ahead(self, connection: Connection) -> None:
        """Make the partitions of today and tomorrow, once a day and for each connection."""
        today = datetime.now(UTC).date()
        if self._days != today:
            with connection, connection.cursor() as cursor:
                make_days(cursor, [today, today + timedelta(1)])
            self._days = today


def _written(connection: Connection, lists: Sequence[ShownList], events: Sequence[ShownEvent]) -> int:
    """Write rows in one transaction; returns their number, without those of erased users."""
    with connection, connection.cursor() as cursor:
        return write(cursor, lists, events)
