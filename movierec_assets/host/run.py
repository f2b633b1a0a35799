"""One run of a job, driven through Dagster.

Belongs here: starting the run in a process of its own, receiving its events, and its end. The run is an ordinary
Dagster run: it is recorded in the instance and shown in the UI. Does not: that process (`run_process`), text for people
(`cli`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from movierec_assets.host import CommandError, guard
from movierec_assets.host.listeners import RunListener
from movierec_assets.host.run_events import Report
from movierec_assets.host.run_messages import Request, receive
from movierec_assets.settings import Settings

if TYPE_CHECKING:
    from movierec_assets.recsys.backtest import Month

_RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
"""Tags of a run of a range of partitions; a backfill sets them as well."""
_RETRAINING = {"ops": {"als_model": {"config": {"retrain": True}}}}


@dataclass
class StartedRun:
    """A run whose process has been started."""

    process: subprocess.Popen[bytes]
    pipe: IO[str]
    log: Path
    """File with the output of the process."""

    def follow(self, listener: RunListener) -> Report:
        """Pass the events of the run on until it ends.

        Raises
        ------
        CommandError
            When the run cannot start, or its process ended before Dagster recorded it.
        """
        report = Report(log=self.log)
        receive(self.pipe, listener, report)
        self.process.wait()
        if not report.run_id:
            raise CommandError(f"Dagster did not start the run:\n{self._tail()}\nThe whole output is in {self.log}.")
        report.succeeded = report.succeeded and self.process.returncode == 0
        if not report.succeeded and not report.failures:
            report.failures.append(f"The run ended as {_status(report.run_id)}:\n{self._tail()}")
        return report

    def _tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def run_job(request: Request, settings: Settings, listener: RunListener) -> Report:
    """Run a job on running databases and wait for its end.

    Raises
    ------
    CommandError
        As `StartedRun.follow`.
    """
    with started_run(request, settings) as run:
        return run.follow(listener)


@contextmanager
def started_run(request: Request, settings: Settings) -> Iterator[StartedRun]:
    """Start the process of a run on running databases; it has ended at the end of the context."""
    logs = settings.state / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{request.job}-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}.log"
    reading, writing = os.pipe()
    with log.open("wb") as output, os.fdopen(reading, encoding="utf-8") as pipe:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "movierec_assets.host.run_process", str(writing), request.text()],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONUNBUFFERED": "1", guard.VARIABLE: guard.start()},
                # Not the project directory: Dagster would read its .env, which may name another state directory.
                cwd=logs,
                pass_fds=[writing],
            )
        finally:
            os.close(writing)
        try:
            yield StartedRun(process, pipe, log)
        finally:
            _end(process)


def request_for(job: str, *, retrain: bool = False, months: tuple[Month, Month] | None = None) -> Request:
    """The request of a job.

    With `retrain` it trains although a version of the same likes, recipe, seed and code exists. `months` are the first
    and the last month of the job backtest.
    """
    config: dict[str, Any] = _RETRAINING if retrain else {}
    return Request(job, config, dict(zip(_RANGE_TAGS, map(str, months), strict=True)) if months is not None else {})


def _status(run_id: str) -> str:
    """Dagster's status of a run that ended without a word."""
    from dagster import DagsterInstance  # noqa: PLC0415

    with DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
    return run.status.value if run else "unknown"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for an interrupted run to end by itself, then terminate it, then kill it."""
    # The terminal's Ctrl-C reached the process as well, so it may be ending already.
    for seconds, stop in ((15, process.terminate), (10, process.kill)):
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
            return
        stop()
    process.wait()
