"""One run at a time, and the end of runs whose process was killed.

Belongs here: the locks that runs hold in the ratings database while they execute. Does not: other locks
(`tables.advisory_locks`). Runs share tables and artifacts, so two at once would mix their data. A run whose process was
killed stays "started" in Dagster for ever. Locks of Postgres sessions solve both, because they end with the process.

They end with the server as well. A run takes its locks again when Postgres was restarted under it, and stops when
another run was faster. A run without its lock is dead only when it is without it a while later, too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT
from psycopg2.extensions import connection as Connection  # noqa: N812

from movierec_assets.errors import ExplainedError
from movierec_assets.tables.advisory_locks import release_locks, take_lock
from movierec_assets.tables.database import Database, DatabaseUnavailableError

if TYPE_CHECKING:
    from dagster import DagsterInstance, RunRecord

    from movierec_assets.models.registry import ModelRegistry

_GRACE_SECONDS = 30.0
"""A run that started less than this long ago may not hold its lock yet."""
_LOOK_SECONDS = 0.5
"""Between two looks of a run at its session, or at the lock that it waits for."""
_CONFIRM_SECONDS = 10.0
"""Between the two looks after which a run is dead; far longer than a run needs to take its locks again."""
_HEAD_START_SECONDS = 5.0
"""After the end of its session, a run that waits leaves the lock to the one that executes for so long."""
_RUN = "run"
_ENDED = (psycopg2.OperationalError, psycopg2.InterfaceError, DatabaseUnavailableError)
"""Errors of a session that has ended, and of a server that does not answer."""


class LocksLostError(ExplainedError):
    """Another run began after Postgres was restarted under this one."""


class RunLocks:
    """The lock of the only run, and the lock that shows that a Dagster run is alive.

    A session of Postgres holds them; another one takes them when that has ended.

    Parameters
    ----------
    database : Database
    run_id : str
        Of the Dagster run.
    alone : bool
        Whether the run excludes others; else it only shows life.
    """

    def __init__(self, database: Database, run_id: str, *, alone: bool = True) -> None:
        self._database = database
        self._alive = _alive(run_id)
        self._alone = alone
        self._session: Connection | None = None
        self._shows_life = False
        self._released = threading.Event()
        self._lost = self._interrupted = False

    def take(self, on_wait: Callable[[], None]) -> None:
        """Take both; waits while another run executes, and calls `on_wait` once then.

        Raises
        ------
        DatabaseUnavailableError
            When the server does not answer at first.
        """
        self._begin_session()
        if self._take_run():
            return
        on_wait()
        while not self._take_run_later():
            time.sleep(_LOOK_SECONDS)

    def keep(self) -> None:
        """Take them again whenever their session has ended, until `release`; for a thread of its own."""
        while not self._lost and not self._released.wait(_LOOK_SECONDS):
            try:
                if self._session is None:
                    self._begin_session()
                    self._lost = not self._take_run()
                else:
                    self._look()
            except _ENDED:
                self._interrupted = True
                self._end_session()
        if self._lost:
            self._end_session()

    def require(self) -> None:
        """Check that no other run has begun.

        Raises
        ------
        LocksLostError
        """
        if self._lost:
            raise LocksLostError(
                "Postgres was restarted while this run executed, and another run began before this one had its lock "
                "again. This run stops, so that they do not mix their data; the other one, or the next, does its work."
            )

    def interrupted(self) -> bool:
        """Whether their session has ended since `take`, as when Postgres is restarted; looks again first."""
        time.sleep(2 * _LOOK_SECONDS)
        return self._interrupted

    def release(self) -> None:
        """Release them; `keep` ends."""
        self._released.set()

    def end(self) -> None:
        """End the session, after `keep`."""
        self._end_session()

    def _begin_session(self) -> None:
        self._session = self._database.open()
        self._session.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        self._show_life()

    def _show_life(self) -> None:
        """Take the lock that shows life; somebody who looks for dead runs may hold it for a moment."""
        assert self._session is not None
        self._shows_life = self._shows_life or _try_lock(self._session, self._alive)

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session, self._shows_life = None, False

    def _take_run(self) -> bool:
        return not self._alone or (self._session is not None and _try_lock(self._session, _RUN))

    def _take_run_later(self) -> bool:
        try:
            if self._session is None:
                self._begin_session()
            self._show_life()
            return self._take_run()
        except _ENDED:
            self._end_session()
            time.sleep(_HEAD_START_SECONDS)
            return False

    def _look(self) -> None:
        """Ask the session whether it lives."""
        assert self._session is not None
        self._show_life()
        with self._session.cursor() as cursor:
            cursor.execute("SELECT 1")


@contextmanager
def exclusive_run(database: Database, run_id: str, on_wait: Callable[[], None]) -> Iterator[RunLocks]:
    """Hold the lock of the only run, and a lock that shows that this Dagster run is alive, inside the context.

    `on_wait` is called once when another run holds the lock.

    Yields
    ------
    RunLocks
        To ask between two steps.
    """
    with _kept(RunLocks(database, run_id), on_wait) as locks:
        yield locks


@contextmanager
def live_run(database: Database, run_id: str) -> Iterator[RunLocks]:
    """Hold the lock that shows that this Dagster run is alive inside the context, beside other runs."""
    with _kept(RunLocks(database, run_id, alone=False), lambda: None) as locks:
        yield locks


@contextmanager
def _kept(locks: RunLocks, on_wait: Callable[[], None]) -> Iterator[RunLocks]:
    try:
        locks.take(on_wait)
        thread = threading.Thread(target=locks.keep, daemon=True)
        thread.start()
        try:
            yield locks
        finally:
            locks.release()
            thread.join()
    finally:
        locks.end()


def end_dead_runs(instance: DagsterInstance, database: Database, now: datetime | None = None) -> list[str]:
    """Mark runs whose process is gone as failed; returns their ids.

    A run that a person was canceling is marked as canceled.
    """
    from dagster import DagsterRunStatus, RunsFilter  # noqa: PLC0415

    unfinished = RunsFilter(statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING])
    now = now or datetime.now(UTC)
    found = _without_lock(database, instance.get_run_records(unfinished), now)
    if found:
        # Postgres may have been restarted just now: runs that live take their locks again meanwhile.
        _wait_for_locks()
        still = {record.dagster_run.run_id for record in instance.get_run_records(unfinished)}
        found = _without_lock(database, [record for record in found if record.dagster_run.run_id in still], now)
    for record in found:
        gone = "The process of this run ended without a word; it was killed, or the machine went down."
        if record.dagster_run.status is DagsterRunStatus.CANCELING:
            instance.report_run_canceled(record.dagster_run, gone)  # a failed one would be started again
        else:
            instance.report_run_failed(record.dagster_run, gone)
    return [record.dagster_run.run_id for record in found]


def end_left_mlflow_runs(instance: DagsterInstance, registry: ModelRegistry) -> list[str]:
    """End MLflow runs whose Dagster run has ended; returns their ids.

    It compares states, so no run stays RUNNING because MLflow was away when its Dagster run ended. Runs that this
    instance of Dagster does not know may be those of another platform, and are left alone.
    """
    from dagster import DagsterRunStatus  # noqa: PLC0415

    ends = {DagsterRunStatus.SUCCESS: "FINISHED", DagsterRunStatus.CANCELED: "KILLED"}
    left = []
    for mlflow_run_id, run_id in registry.unfinished_runs().items():
        run = instance.get_run_by_id(run_id)
        if run is not None and run.is_finished and registry.end_run(mlflow_run_id, ends.get(run.status, "FAILED")):
            left.append(mlflow_run_id)
    return left


def _wait_for_locks() -> None:
    time.sleep(_CONFIRM_SECONDS)


def _without_lock(database: Database, records: Sequence[RunRecord], now: datetime) -> list[RunRecord]:
    """Runs that hold no lock and did not start just now."""
    found = []
    with database.connect() as connection:
        connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        for record in records:
            age = now.timestamp() - (record.start_time or record.create_timestamp.timestamp())
            # A start in the future is one before the clock was set back.
            if not 0 <= age < _GRACE_SECONDS and _try_lock(connection, _alive(record.dagster_run.run_id)):
                found.append(record)
        with connection.cursor() as cursor:
            release_locks(cursor)
    return found


def _alive(run_id: str) -> str:
    return f"run.{run_id}"


def _try_lock(connection: Connection, name: str) -> bool:
    """Take a lock for the session; False when another session holds it."""
    with connection.cursor() as cursor:
        return take_lock(cursor, name, until="session ends", wait=False, bits=64)
