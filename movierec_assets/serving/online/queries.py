"""Queries for which a request may wait: a few threads with a kept connection each.

Belongs here: the threads. Does not: queries, and ratings of the user who is answered (`live`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from movierec_assets.tables.database import Database
from movierec_assets.tables.kept_connection import KeptDatabase

_Result = TypeVar("_Result")

THREADS = 4
STATEMENT_SECONDS = 5.0


class ThreadedQueries:
    """Runs functions of the database beside the event loop, a few at a time.

    Parameters
    ----------
    database : Database
        It need not answer yet.
    threads : int
        Functions at a time.
    statement_seconds : float
        Longest time of a statement.
    """

    def __init__(
        self, database: Database, threads: int = THREADS, statement_seconds: float = STATEMENT_SECONDS
    ) -> None:
        self._url, self._statement_seconds = database.url, statement_seconds
        self._own = threading.local()
        self._opened: list[KeptDatabase] = []
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="queries")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """End the threads after the queries that they run."""
        self._threads.shutdown(cancel_futures=True)
        for database in self._opened:
            database.close()

    async def run(self, query: Callable[[Database], _Result]) -> _Result:
        """The result of a function of the database.

        Raises
        ------
        DatabaseUnavailableError
            When the database does not answer, or a statement takes too long.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: query(self._database()))

    def _database(self) -> Database:
        """The database with this thread's connection."""
        found: KeptDatabase | None = getattr(self._own, "database", None)
        if found is None:
            found = self._own.database = KeptDatabase(self._url, self._statement_seconds)
            self._opened.append(found)
        return found
