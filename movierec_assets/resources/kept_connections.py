"""A connection pool for Dagster's storage, for processes that use the storage hundreds of times.

Belongs here: switching it on. Does not: connections to the ratings (`tables.database`). Without a pool,
`dagster-postgres` opens a connection for each event of a run, which took half the time of a small run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import DagsterInstance

_RECYCLE_SECONDS = 300
_MAX_CONNECTIONS = 20


def keep_connections(instance: DagsterInstance) -> None:
    """Let an instance reuse its connections, as Dagster's webserver does.

    After a restart of Postgres the next statement fails, so this is for processes that end with their run.
    """
    instance.optimize_for_webserver(statement_timeout=0, pool_recycle=_RECYCLE_SECONDS, max_overflow=_MAX_CONNECTIONS)
