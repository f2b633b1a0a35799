"""Dagster's storage with connections that are kept, for processes that talk to it hundreds of times.

Belongs here: switching them on. `dagster-postgres` opens a connection for each event of a run otherwise, which took
half the time of a small run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import DagsterInstance

_RECYCLE_SECONDS = 300
_MOST_CONNECTIONS = 20


def keep_connections(instance: DagsterInstance) -> None:
    """Let an instance use its connections again, as Dagster's webserver does.

    A server that was started again in between makes the next statement fail: for processes that end with their run.
    """
    instance.optimize_for_webserver(statement_timeout=0, pool_recycle=_RECYCLE_SECONDS, max_overflow=_MOST_CONNECTIONS)
