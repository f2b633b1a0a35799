"""One run at a time, and the end of runs whose process was killed.

Belongs here: the locks that runs hold in the ratings database while they execute. Does not: other locks
(`tables.advisory_locks`). Runs share tables and artifacts, so two at once would mix their data. A run whose process was
killed stays "started" in Dagster for ever. Locks of Postgres sessions solve both, because they end with the process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT
from psycopg2.extensions import connection as Connection  # noqa: N812

from movierec_assets.tables.advisory_locks import take_lock
from movierec_assets.tables.database import Database

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from movierec_assets.models.registry import ModelRegistry

_GRACE_SECONDS = 30.0
"""A run that started less than this long ago may not hold its lock yet."""


@contextmanager
def exclusive_run(database: Database, run_id: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of the only run, and a lock that shows that this Dagster run is alive, inside the context.

    `on_wait` is called once when another run holds the lock.
    """
    with _alive_session(database, run_id) as connection:
        if not _try_lock(connection, "run"):
            on_wait()
            while not _try_lock(connection, "run"):
                time.sleep(0.5)
        yield


@contextmanager
def live_run(database: Database, run_id: str) -> Iterator[None]:
    """Hold the lock that shows that this Dagster run is alive inside the context, beside other runs."""
    with _alive_session(database, run_id):
        yield


@contextmanager
def _alive_session(database: Database, run_id: str) -> Iterator[Connection]:
    with database.connect() as connection:
        connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        _try_lock(connection, _alive(run_id))
        yield connection


def end_dead_runs(instance: DagsterInstance, database: Database, registry: ModelRegistry) -> list[str]:
    """Mark runs whose process is gone as failed, with their MLflow runs; returns the ids of the Dagster runs.

    A run that a person was canceling is marked as canceled.
    """
    from dagster import DagsterRunStatus, RunsFilter  # noqa: PLC0415

    unfinished = [DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    ended = []
    with database.connect() as connection:
        connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        for record in instance.get_run_records(RunsFilter(statuses=unfinished)):
            run_id = record.dagster_run.run_id
            since = record.start_time or record.create_timestamp.timestamp()
            if time.time() - since < _GRACE_SECONDS or not _try_lock(connection, _alive(run_id)):
                continue
            gone = "The process of this run ended without a word; it was killed, or the machine went down."
            if record.dagster_run.status is DagsterRunStatus.CANCELING:
                instance.report_run_canceled(record.dagster_run, gone)  # a failed one would be started again
            else:
                instance.report_run_failed(record.dagster_run, gone)
            for mlflow_run_id in registry.runs_of(run_id):
                registry.end_run(mlflow_run_id, "FAILED")
            ended.append(run_id)
    return ended


def _alive(run_id: str) -> str:
    return f"run.{run_id}"


def _try_lock(connection: Connection, name: str) -> bool:
    """Take a lock for the session; False when another session holds it."""
    with connection.cursor() as cursor:
        return take_lock(cursor, name, until="session ends", wait=False, bits=64)
