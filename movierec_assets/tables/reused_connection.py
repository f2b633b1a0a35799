"""One connection for the transactions of a run, which makes a hundred of them one after the other.

Belongs here: which databases reuse a connection, and for how long. Does not: connections with settings, locks or time
limits of their own (`Database.connect`, `kept_connection`). To connect takes longer than most of a run's transactions.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg2.extensions import connection as Connection  # noqa: N812

from movierec_assets.tables.database import Database
from movierec_assets.tables.kept_connection import is_closed

_IDLE_SECONDS = 60.0
"""A connection without a transaction for so long is replaced: what is between here and a server may have dropped it."""
_reusing: list[dict[str, _ReusingDatabase]] = []
"""Databases by URL of each run that executes in this process; the last one goes on."""


@contextmanager
def reusing_connections() -> Iterator[None]:
    """Let databases of `database_at` reuse a connection until the end of the block."""
    databases: dict[str, _ReusingDatabase] = {}
    _reusing.append(databases)
    try:
        yield
    finally:
        _reusing[:] = [each for each in _reusing if each is not databases]
        for database in databases.values():
            database.close()


def database_at(url: str) -> Database:
    """The database at a libpq URL, which reuses a connection within a block of `reusing_connections`."""
    if not _reusing:
        return Database(url)
    return _reusing[-1].setdefault(url, _ReusingDatabase(url))


class _ReusingDatabase(Database):
    """A database that keeps a connection between transactions; a transaction beside another one has its own."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._free = threading.Lock()
        self._kept: Connection | None = None
        self._used = 0.0
        self._ended = False

    @contextmanager
    def _session(self) -> Iterator[Connection]:
        if self._ended or not self._free.acquire(blocking=False):
            with self.connect() as another:
                yield another
            return
        try:
            if self._kept is None or time.monotonic() - self._used > _IDLE_SECONDS or is_closed(self._kept):
                self._drop()
                self._kept = self.open()
            with self._full_disk_explained():
                yield self._kept
        except BaseException:
            self._drop()
            raise
        finally:
            self._used = time.monotonic()
            if self._ended:
                self._drop()
            self._free.release()

    def close(self) -> None:
        """Keep no connection any more; a transaction of another thread, which may end with the process, goes on."""
        self._ended = True
        if self._free.acquire(blocking=False):
            self._drop()
            self._free.release()

    def _drop(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None
