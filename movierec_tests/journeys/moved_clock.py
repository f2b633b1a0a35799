"""A platform under a clock that a test moves: Dagster's own scheduler, sensors and queue, pass by pass.

Belongs here: the clock, and one pass of the daemon. Does not: claims.

Schedules, sensors and runs are executed in this process. Dagster takes its time from the clock; modules of the platform
take theirs from a `datetime` whose `now` is the clock's. Postgres writes its own time into rows; after each pass, the
times of new rows are set back to the clock's. The clock must be in the past.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._scheduler.scheduler import launch_scheduled_runs

from movierec_assets.resources.kept_connections import keep_connections
from movierec_assets.settings import PROJECT_ROOT
from movierec_assets.tables.database import SCHEMA
from movierec_tests.defs.harness import Platform

_IN_THIS_PROCESS = """
run_launcher:
  module: dagster._core.launcher.sync_in_memory_run_launcher
  class: SyncInMemoryRunLauncher
"""
_WRITTEN = f"""
    SELECT table_name, column_name
    FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
    WHERE table_schema = '{SCHEMA}' AND table_type = 'BASE TABLE' AND column_default ~ '(now|clock_timestamp)\\(\\)'
"""
_QUEUED = RunsFilter(statuses=[DagsterRunStatus.QUEUED])
_log = logging.getLogger(__name__)


@dataclass
class Daemon:
    """Dagster's daemon on a platform, which works only when it is told to.

    Attributes
    ----------
    platform : Platform
    instance : DagsterInstance
    now : datetime
        The clock.
    """

    platform: Platform
    instance: DagsterInstance
    workspace: WorkspaceProcessContext
    queue: QueuedRunCoordinatorDaemon
    now: datetime
    _counted: int = field(default=0)

    def at(self, moment: datetime, longest: timedelta = timedelta(hours=2)) -> None:
        """Move the clock to a moment and let the daemon work; a minute later again, while a pass starts runs."""
        assert moment >= self.now
        self.now = moment.astimezone(UTC)
        end = self.now + longest
        self.work()
        while self._has_started_runs() and self.now < end:
            self.now += timedelta(minutes=1)
            self.work()

    def work(self) -> None:
        """One pass: schedules, then sensors, then runs that are queued, to their end."""
        with self.moved():
            list(launch_scheduled_runs(self.workspace, _log, self.now, {}))
            list(execute_sensor_iteration(self.workspace, _log, None, None))
            while self.instance.get_runs_count(_QUEUED):
                list(self.queue.run_iteration(self.workspace, self.now.timestamp()))
        self._set_back()

    @contextmanager
    def moved(self) -> Iterator[None]:
        """Everything in this process sees the clock."""
        clock = self

        class Moved(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return clock.now.astimezone(tz)

        with freeze_time(self.now), pytest.MonkeyPatch.context() as patched:
            for name, module in list(sys.modules.items()):
                if name.startswith("movierec_assets.") and getattr(module, "datetime", None) is datetime:
                    patched.setattr(module, "datetime", Moved)
            yield

    def runs(self) -> list[DagsterRun]:
        """All runs, oldest first."""
        return list(self.instance.get_runs())[::-1]

    def _has_started_runs(self) -> bool:
        before, self._counted = self._counted, self.instance.get_runs_count()
        return self._counted > before

    def _set_back(self) -> None:
        with self.platform.database.transaction() as cursor:
            cursor.execute(_WRITTEN)
            for table, column in cursor.fetchall():
                cursor.execute(
                    f'UPDATE {SCHEMA}."{table}" SET "{column}" = %(now)s WHERE "{column}" > %(now)s',
                    {"now": self.now},
                )


@contextmanager
def daemon_of(platform: Platform, start: datetime) -> Iterator[Daemon]:
    """A daemon on a platform whose variables are set; runs are executed in this process."""
    home = platform.settings.state / "moved_clock"
    home.mkdir()
    config = (PROJECT_ROOT / "dagster.yaml").read_text(encoding="utf-8")
    (home / "dagster.yaml").write_text(config + _IN_THIS_PROCESS, encoding="utf-8")
    origin = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="movierec_assets.definitions"))
    with (
        DagsterInstance.from_config(str(home)) as instance,
        WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin)) as workspace,
        QueuedRunCoordinatorDaemon(interval_seconds=1) as queue,
    ):
        keep_connections(instance)
        yield Daemon(platform, instance, workspace, queue, start.astimezone(UTC))
