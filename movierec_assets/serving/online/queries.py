"""Queries for which a request may wait: a few threads with a kept connection each.

Belongs here: the threads, and noticing a database that says nothing. Does not: queries, and ratings of the user who is
answered (`live`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

from movierec_assets.tables.database import Database, DatabaseUnavailableError
from movierec_assets.tables.kept_connection import KeptDatabase, NoAnswerError, open_asynchronous

_Result = TypeVar("_Result")

THREADS = 4
STATEMENT_SECONDS = 5.0
SILENT_SECONDS = 1.0
"""A query that is not answered for so long may be slow, or wait: then a new connection tells whether the database is
silent. The time limit of statements is the server's own, which does not hold while the server stands still."""
_AGAIN_SECONDS = 0.5
_LIMITS = 3
"""Time limits of statements that a function may take in all; a connection that is silent alone ends after that."""


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
        self._database_of_look = database
        self._watch: asyncio.Task[None] | None = None
        self._looked = asyncio.Event()
        self._silent: str | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watch is not None:
            self._watch.cancel()
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """End the threads; queries that still run fail."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for database in self._opened:
            database.interrupt()
        self._threads.shutdown()
        for database in self._opened:
            database.close()

    async def run(self, query: Callable[[Database], _Result]) -> _Result:
        """The result of a function of the database.

        Raises
        ------
        DatabaseUnavailableError
            When the database does not answer, or a statement takes too long. What a silent database was asked to write
            may be written when it goes on.
        """
        if self._silent is not None:
            raise DatabaseUnavailableError(self._silent)
        loop = asyncio.get_running_loop()
        used: list[KeptDatabase] = []

        def work() -> _Result:
            used.append(self._database())
            return query(used[0])

        running = loop.run_in_executor(self._threads, work)
        running.add_done_callback(_taken)
        until = loop.time() + _LIMITS * self._statement_seconds
        try:
            while not (await asyncio.wait({running}, timeout=SILENT_SECONDS))[0]:
                if loop.time() > until:
                    raise DatabaseUnavailableError(
                        f"The ratings database gave no answer for {_LIMITS * self._statement_seconds:g} s. Try again."
                    )
                try:
                    await self._answers()
                except DatabaseUnavailableError:
                    if not running.done():
                        raise
            return running.result()
        finally:
            if not running.done():
                running.cancel()
                for database in used:
                    database.interrupt()

    async def _answers(self) -> None:
        """Look whether the database answers a new connection; all who wait look together."""
        if self._watch is None or self._watch.done():
            self._looked.clear()
            self._watch = asyncio.create_task(self._until_it_answers())
        await self._looked.wait()
        if self._silent is not None:
            raise DatabaseUnavailableError(self._silent)

    async def _until_it_answers(self) -> None:
        while True:
            try:
                await asyncio.to_thread(_connect, self._database_of_look)
            except DatabaseUnavailableError as error:
                # A server that refuses a connection, because it has too many, is not silent.
                self._silent = str(error) if isinstance(error.__cause__, NoAnswerError) else None
            else:
                self._silent = None
            finally:
                self._looked.set()
            if self._silent is None:
                self._watch = None
                return
            await asyncio.sleep(_AGAIN_SECONDS)

    def _database(self) -> KeptDatabase:
        """The database with this thread's connection."""
        found: KeptDatabase | None = getattr(self._own, "database", None)
        if found is None:
            found = self._own.database = KeptDatabase(self._url, self._statement_seconds)
            self._opened.append(found)
        return found


def _connect(database: Database) -> None:
    """Connect, and ask for nothing but the limits of the session."""
    open_asynchronous(database, STATEMENT_SECONDS).close()


def _taken(running: asyncio.Future[Any]) -> None:
    """An error is known, also where nobody waits for it any more."""
    if not running.cancelled():
        running.exception()
