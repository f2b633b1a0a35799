"""Starting and stopping the parts of a worker.

Belongs here: which parts a worker has, and the order in which they start and stop. Does not: the parts, and the
processes around a worker (`processes`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.online.current import CurrentSnapshot
from movierec_assets.serving.online.live import LiveReader
from movierec_assets.settings import Settings
from movierec_assets.tables.database import Database

_Result = TypeVar("_Result")


@asynccontextmanager
async def running_worker(settings: Settings) -> AsyncIterator[Worker]:
    """The parts of one worker, running until the end of the context.

    The database and the keeper need not answer yet: each part waits for what it needs by itself.

    Parameters
    ----------
    settings : Settings
        With the address of a database, whether it answers or not.
    """
    async with AsyncExitStack() as running:
        current = await running.enter_async_context(CurrentSnapshot().followed(settings.state / "serving"))
        yield Worker(
            settings=settings,
            current=current,
            live=LiveReader(),
            queries=_Threads(Database(settings.databases.ratings)),
            shown=None,
            dagster=None,
        )


class _Threads:
    """Runs queries in asyncio's threads, each with a connection of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, query: Callable[[Database], _Result]) -> _Result:
        """The result of a function of the database."""
        return await asyncio.to_thread(query, self._database)
