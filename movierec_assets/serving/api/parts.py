"""Starting and stopping the parts of a worker.

Belongs here: which parts a worker has, and the order in which they start and stop. Does not: the parts, and the
process around a worker (`serving.api.__main__`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from movierec_assets.serving.api.dagster_client import DagsterClient
from movierec_assets.serving.api.launches import threads_for_launches
from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.online.current import CurrentSnapshot
from movierec_assets.serving.online.live import LiveReader
from movierec_assets.serving.online.movie_search import CurrentSearch
from movierec_assets.serving.online.queries import ThreadedQueries
from movierec_assets.serving.online.rankers import Rankers
from movierec_assets.serving.online.shown import ShownLog
from movierec_assets.serving.online.snapshot import Snapshot
from movierec_assets.serving.online.stored import directory_of
from movierec_assets.settings import Settings
from movierec_assets.tables.database import Database


@asynccontextmanager
async def running_worker(settings: Settings) -> AsyncIterator[Worker]:
    """The parts of one worker, running until the end of the context.

    The database and the keeper need not answer yet: each part waits for what it needs by itself.

    Parameters
    ----------
    settings : Settings
        With the address of a database, whether it answers or not.
    """
    database, rankers, search = Database(settings.databases.ratings), Rankers(), CurrentSearch()

    def prepare(snapshot: Snapshot) -> None:
        search.prepare(rankers.prepare(snapshot).catalogued)

    current = CurrentSnapshot(prepare)
    async with AsyncExitStack() as running:
        yield Worker(
            settings=settings,
            current=await running.enter_async_context(current.followed(directory_of(settings.state))),
            live=await running.enter_async_context(LiveReader(database)),
            queries=await running.enter_async_context(ThreadedQueries(database)),
            launches=await running.enter_async_context(threads_for_launches(database)),
            shown=await running.enter_async_context(ShownLog(database)),
            dagster=await running.enter_async_context(DagsterClient.of(settings)),
            search=search,
            rankers=rankers,
        )
