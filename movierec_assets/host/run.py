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
class RunProcess:
    """A process that gets ready for a run: it imports Dagster, and waits for the request."""

    process: subprocess.Popen[str]
    pipe: IO[str]
    log: Path
    """File with the output of the process."""

    def run(self, request: Request, listener: RunListener) -> Report:
        """Run a job on databases that are ready, and pass its events on until it ends.

        Raises
        ------
        CommandError
            When the run cannot start, or the process ended before Dagster recorded it.
        """
        report = Report(log=self.log)
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # the process has ended; its output says why
            self.process.stdin.write(request.text())
            self.process.stdin.close()
        receive(self.pipe, listener, report)
        self.process.wait()
        if not report.run_id:
            raise CommandError(f"Dagster did not start the run:\n{self._tail()}\nThe whole output is in {self.log}.")
        report.succeeded = report.succeeded and self.process.returncode == 0
        if not report.succeeded and not report.failures:
            report.failures.append(f"The run ended as {_status(report.run_id)}:\n{self._tail()}")
        return report

    def end(self) -> None:
        """Wait for an interrupted run to end by itself, then terminate it, then kill it."""
        assert self.process.stdin is not None
        if not self.process.stdin.closed:  # there was no request, so there is no run
            self.process.kill()
            self.process.stdin.close()
        # The terminal's Ctrl-C reached the process as well, so it may be ending already.
        for seconds, stop in ((15, self.process.terminate), (10, self.process.kill)):
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=seconds)
                return
            stop()
        self.process.wait()

    def _tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def run_job(request: Request, settings: Settings, listener: RunListener) -> Report:
    """Run a job on running databases and wait for its end.

    Raises
    ------
    CommandError
        As `RunProcess.run`.
    """
    with run_process(request.job, settings) as process:
        return process.run(request, listener)


@contextmanager
def run_process(job: str, settings: Settings) -> Iterator[RunProcess]:
    """Start the process of a run while Postgres runs; it has ended at the end of the context.

    Yields
    ------
    RunProcess
        Takes one request. Databases may be brought up to date meanwhile.
    """
    logs = settings.state / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{job}-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}.log"
    reading, writing = os.pipe()
    with log.open("wb") as output, os.fdopen(reading, encoding="utf-8") as pipe:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "movierec_assets.host.run_process", str(writing)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                env=os.environ | {"PYTHONUNBUFFERED": "1", guard.VARIABLE: guard.start()},
                # Not the project directory: Dagster would read its .env, which may name another state directory.
                cwd=logs,
                pass_fds=[writing],
            )
        finally:
            os.close(writing)
        started = RunProcess(process, pipe, log)
        try:
            yield started
        finally:
            started.end()


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
