"""The parts of Dagster's daemon on a real instance and a real code server, one step at a time, at any time of day.

Belongs here: what the daemon does in its loops. Does not: claims.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.test_utils import freeze_time
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import consume_new_runs_for_automatic_reexecution
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._daemon.controller import create_daemon_grpc_server_registry
from dagster._daemon.monitoring import execute_run_monitoring_iteration
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._scheduler.scheduler import launch_scheduled_runs
from dagster_graphql.client.query import LAUNCH_PARTITION_BACKFILL_MUTATION
from dagster_graphql.test.utils import execute_dagster_graphql

from movierec_assets.settings import PROJECT_ROOT
from movierec_tests.waiting import wait_until

_log = logging.getLogger("dagster.daemon")


class Daemon:
    """The daemon of an instance; each method is one iteration of one of its loops."""

    def __init__(self, instance: DagsterInstance, workspace: Any) -> None:
        self.instance = instance
        self._workspace = workspace

    def tick_schedules(self, now: datetime) -> None:
        """Evaluate the schedules that are due at a time, and those that were missed before it."""
        with freeze_time(now):
            self._end(launch_scheduled_runs(self._workspace, _log, now, iteration_times={}))

    def tick_sensors(self, now: datetime) -> None:
        """Evaluate the sensors that are due at a time; the sensors themselves see the time of the code server."""
        with freeze_time(now):
            self._end(execute_sensor_iteration(self._workspace, _log, None, None))

    def launch_queued_runs(self) -> None:
        """Launch the runs of the queue that may start now."""
        self._end(QueuedRunCoordinatorDaemon(interval_seconds=1).run_iteration(self._workspace))

    def request_backfill(self, asset: str, partitions: Sequence[str]) -> str:
        """Request a backfill as Dagster's pages do; returns its id."""
        parameters = {"assetSelection": [{"path": [asset]}], "partitionNames": list(partitions)}
        answer = execute_dagster_graphql(
            self._workspace.create_request_context(),
            LAUNCH_PARTITION_BACKFILL_MUTATION,
            {"backfillParams": parameters},
        ).data["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        return str(answer["backfillId"])

    def advance_backfills(self) -> None:
        """Put runs of the backfills into the queue, and note which of their partitions are made."""
        self._end(execute_backfill_iteration(self._workspace, _log))

    def start_crashed_runs_again(self) -> None:
        """Put new runs for crashed ones into the queue."""
        failed = self.instance.get_run_records(RunsFilter(statuses=[DagsterRunStatus.FAILURE]))
        self._end(consume_new_runs_for_automatic_reexecution(self._workspace, failed, _log))

    def end_overdue_runs(self) -> None:
        """End runs that take longer than they may."""
        self._end(execute_run_monitoring_iteration(self._workspace, _log))

    def runs(self, job: str, *statuses: DagsterRunStatus) -> list[DagsterRun]:
        """Runs of a job, the earliest first; only those with some statuses when they are given."""
        found = self.instance.get_runs(RunsFilter(job_name=job, statuses=list(statuses) or None))
        return list(found)[::-1]

    def until(self, run_id: str, *statuses: DagsterRunStatus) -> DagsterRun:
        """The run, as soon as it has one of some statuses."""

        def reached() -> bool:
            found = self.instance.get_run_by_id(run_id)
            return found is not None and (found.status in statuses or found.is_finished)

        wait_until(reached, f"run {run_id} being {statuses}")
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status in statuses, run.status
        return run

    def process_of(self, run_id: str) -> int:
        """Id of the process that executes a run."""
        texts = [entry.dagster_event.message or "" for entry in self.instance.all_logs(run_id) if entry.dagster_event]
        (found,) = {match.group(1) for text in texts if (match := re.search(r"\(pid: (\d+)\)", text))}
        return int(found)

    @staticmethod
    def _end(iteration: Iterable[Any]) -> None:
        errors = [each for each in iteration if type(each).__name__ == "SerializableErrorInfo"]
        assert not errors, errors[0].to_string()


@contextmanager
def daemon_of() -> Iterator[Daemon]:
    """The daemon of the instance that the environment names, with a code server of its own.

    At the end it waits for the code server, which ends after the processes of its runs. A code server that finds no
    database while it looks after a run that has just ended stays for ever.
    """
    target = WorkspaceFileTarget([str(PROJECT_ROOT / "workspace.yaml")])
    with DagsterInstance.get() as instance:
        with (
            create_daemon_grpc_server_registry(instance) as servers,
            WorkspaceProcessContext(instance, target, grpc_server_registry=servers) as workspace,
        ):
            yield Daemon(instance, workspace)
        wait_until(servers.are_all_servers_shut_down, "the end of the code server")
