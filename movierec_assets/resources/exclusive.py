"""One run at a time, and no run that died unnoticed.

Belongs here: the locks that runs hold in the ratings database while they execute. Runs share tables and artefacts, so
two at once would learn from each other's data; and a run whose process was killed stays "started" in Dagster for
ever, because nobody is left to say otherwise. Locks of Postgres sessions tell both: they end with the process.
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
"""A run that is this young may not have come to take its lock yet."""


@contextmanager
def turn(database: Database, run_id: str, wait: Callable[[], None]) -> Iterator[None]:
    """Hold the turn to run, and show that the run is alive, for as long as the context lasts.

    Parameters
    ----------
    database : Database
    run_id : str
        Dagster run.
    wait : callable
        Called once when another run has the turn.
    """
    with database.connect() as connection:
        connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        _try(connection, _alive(run_id))
        told = False
        while not _try(connection, "run"):
            if not told:
                wait()
                told = True
            time.sleep(0.5)
        yield


def end_dead_runs(instance: DagsterInstance, database: Database, registry: ModelRegistry) -> list[str]:
    """Mark runs as failed whose process is gone, and their MLflow runs with them.

    Returns
    -------
    list of str
        Ids of the runs that were ended.
    """
    from dagster import DagsterRunStatus, RunsFilter  # noqa: PLC0415

    unfinished = [DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    ended = []
    with database.connect() as connection:
        connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        for record in instance.get_run_records(RunsFilter(statuses=unfinished)):
            run_id = record.dagster_run.run_id
            since = record.start_time or record.create_timestamp.timestamp()
            if time.time() - since < _GRACE_SECONDS or not _try(connection, _alive(run_id)):
                continue
            instance.report_run_failed(
                record.dagster_run,
                "The process of this run ended without a word; it was killed, or the machine went down.",
            )
            for mlflow_run_id in registry.runs_of(run_id):
                registry.end_run(mlflow_run_id, "FAILED")
            ended.append(run_id)
    return ended


def _alive(run_id: str) -> str:
    return f"run.{run_id}"


def _try(connection: Connection, what: str) -> bool:
    """Take a lock of the session, unless another session has it."""
    with connection.cursor() as cursor:
        return take_lock(cursor, what, until="session ends", wait=False, bits=64)
