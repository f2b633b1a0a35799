"""Launching a job once, however many ask for it at the same time.

Belongs here: the lock under which a job is launched. Does not: requests to Dagster (`dagster_client`), HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg2.errors import LockNotAvailable

from movierec_assets.serving.api.dagster_client import DagsterClient, DagsterUnavailableError, Run
from movierec_assets.serving.api.worker import Queries
from movierec_assets.serving.online.queries import ThreadedQueries
from movierec_assets.tables.advisory_locks import take_lock
from movierec_assets.tables.database import Database

_LOCK_SECONDS, _LAUNCH_SECONDS = 10, 20
_STATEMENT_SECONDS = 20
"""Longest time of a statement; the wait for the lock is one."""
_THREADS = 6
"""One that launches and one that waits for it, of each job."""


@dataclass(frozen=True)
class Launch:
    """A run that was asked for.

    Attributes
    ----------
    run : Run
    new : bool
        False for a run that was queued or running already.
    """

    run: Run
    new: bool


def threads_for_launches(database: Database) -> ThreadedQueries:
    """Threads that wait for Dagster, apart from those of requests that need only the database."""
    return ThreadedQueries(database, _THREADS, _STATEMENT_SECONDS)


async def launch_once(queries: Queries, dagster: DagsterClient, job: str, config: Mapping[str, Any]) -> Launch:
    """Launch a job, unless a run of it is queued or running: then that one is the answer.

    Parameters
    ----------
    queries : Queries
        With a limit for statements above the wait for the lock, see `threads_for_launches`.
    dagster : DagsterClient
    job : str
    config : mapping

    Raises
    ------
    DagsterUnavailableError, DatabaseUnavailableError
    """

    async def find_or_launch() -> Launch:
        unfinished = await dagster.unfinished(job)
        if unfinished is not None:
            return Launch(unfinished, new=False)
        run_id = await dagster.launch(job, config)
        return Launch(await dagster.run(run_id) or Run(run_id, job, "QUEUED", None, None, None, dict(config), []), True)

    loop = asyncio.get_running_loop()

    def under_lock(database: Database) -> Launch:
        # Dagster takes two equal launches as two runs. Other workers launch, too.
        with database.transaction() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
            take_lock(cursor, f"launch {job}")
            return asyncio.run_coroutine_threadsafe(find_or_launch(), loop).result(_LAUNCH_SECONDS)

    try:
        return await queries.run(under_lock)
    except LockNotAvailable as error:
        raise DagsterUnavailableError(
            f"Another request launches {job}, and Dagster has not answered it within {_LOCK_SECONDS} s."
        ) from error
    except TimeoutError as error:
        raise DagsterUnavailableError(f"Dagster takes too long to launch {job}.") from error
