"""One run of a job, driven through Dagster.

Belongs here: starting the job in a process of its own, following its events in the instance, and the report. The run is
an ordinary Dagster run: it is recorded in the instance and shown in the UI. Does not: text for people (`cli`).
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from movierec_assets.host import CommandError, guard
from movierec_assets.host.listeners import RunListener
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.errors import PromotionError, RegistryUnavailableError
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.recsys.backtest import Month
from movierec_assets.resources.exclusive import end_dead_runs
from movierec_assets.resources.kept_connections import keep_connections
from movierec_assets.settings import Settings
from movierec_assets.tables.database import Database, DatabaseUnavailableError

if TYPE_CHECKING:
    from dagster import DagsterEvent, DagsterInstance, EventLogEntry

START_POLL_SECONDS = 0.3
FOLLOW_POLL_SECONDS = 1.0
"""Between two queries for the events of a run. Each costs a connection, and the run needs the processors."""
_INVOCATION_TAG = "movierec/invocation"
_RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
"""`dagster job execute` has no option for a range of partitions; a backfill sets these tags as well."""
_RETRAINING = {"ops": {"als_model": {"config": {"retrain": True}}}}
_FRAMEWORK_PREFIXES = (
    *("Starting a new mlflow run with id", "Run with id"),  # dagster-mlflow
    *("Emitting implicit Nothing", "op '", "graph '", "Skipping step "),  # Dagster, of steps and outputs
)


@dataclass
class Report:
    """Result of a run."""

    run_id: str
    log: Path
    """File with the output of the process."""
    succeeded: bool = False
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Metadata of each asset that was materialized, as plain values."""
    failures: list[str] = field(default_factory=list)
    """Why assets and blocking checks failed, one text each."""
    warnings: list[str] = field(default_factory=list)
    """Logged warnings, and checks that failed without blocking."""


def run_job(
    job: str,
    settings: Settings,
    listener: RunListener,
    *,
    retrain: bool = False,
    months: tuple[Month, Month] | None = None,
) -> Report:
    """Run a job on running databases and wait for its end.

    With `retrain` it trains although a version of the same likes, recipe, seed and code exists. `months` are the first
    and the last month of the job backtest.

    Raises
    ------
    CommandError
        When the process ended before Dagster recorded a run.
    """
    from dagster import DagsterInstance  # noqa: PLC0415

    invocation, logs = uuid.uuid4().hex, settings.state / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{job}-{time.strftime('%Y%m%d-%H%M%S')}-{invocation[:6]}.log"
    with log.open("wb") as output, DagsterInstance.get() as instance:
        keep_connections(instance)
        registry = ModelRegistry.of(settings)
        for dead in end_dead_runs(instance, Database(settings.databases.ratings), registry):
            listener.warned(f"Run {dead} was killed earlier; it is marked as failed now.")
        process = subprocess.Popen(
            command_for(job, invocation, logs, retrain=retrain, months=months),
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1", guard.VARIABLE: guard.start()},
            # Not the project directory: Dagster would read its .env, which may name another state directory.
            cwd=logs,
        )
        try:
            report = _follow(process, instance, invocation, log, listener)
        finally:
            _end(process)
        if not report.succeeded:
            _keep_rejection(report, instance, Promotions(registry, Database(settings.databases.ratings)), listener)
        return report


def command_for(
    job: str, invocation: str, directory: Path, *, retrain: bool = False, months: tuple[Month, Month] | None = None
) -> list[str]:
    """Command that executes a job; the configuration of a retraining is written to a file in the directory."""
    tags = {_INVOCATION_TAG: invocation}
    if months is not None:
        tags |= dict(zip(_RANGE_TAGS, map(str, months), strict=True))
    command = [
        *(sys.executable, "-m", "dagster", "job", "execute"),
        *("--module-name", "movierec_assets.definitions", "--job", job),
        *("--tags", json.dumps(tags)),
    ]
    if retrain:
        config = directory / "retrain.yaml"
        config.write_text(json.dumps(_RETRAINING), encoding="utf-8")
        command += ["--config", str(config)]
    return command


def _keep_rejection(report: Report, instance: DagsterInstance, promotions: Promotions, listener: RunListener) -> None:
    """Record the rejection of a challenger by a check before promotion; under `movierec up` a sensor does so."""
    from movierec_assets.defs.rejections import note_rejection  # noqa: PLC0415

    try:
        record = note_rejection(promotions, instance, report.run_id)
    except (DatabaseUnavailableError, RegistryUnavailableError, PromotionError) as error:
        listener.warned(f"The decision about the challenger was not kept: {error}")
        return
    if record is not None:
        listener.warned(f"Version {record.version} rejected: {record.reason}")


def _follow(
    process: subprocess.Popen[bytes], instance: DagsterInstance, invocation: str, log: Path, listener: RunListener
) -> Report:
    from dagster import RunsFilter  # noqa: PLC0415

    records: list[Any] = []
    while not records:
        ended = process.poll() is not None
        records = list(instance.get_run_records(RunsFilter(tags={_INVOCATION_TAG: invocation}), limit=1))
        if ended and not records:
            raise CommandError(f"Dagster did not start the run:\n{_tail(log)}\nThe whole output is in {log}.")
        if not records:
            time.sleep(START_POLL_SECONDS)
    report = Report(records[0].dagster_run.run_id, log)
    events = Events(report, listener)
    cursor: str | None = None
    while True:
        ended = process.poll() is not None
        batch = instance.get_records_for_run(report.run_id, cursor=cursor)
        cursor = batch.cursor
        for record in batch.records:
            events.read(record.event_log_entry)
        if ended and not batch.records:
            break
        if not ended and not batch.has_more:
            with suppress(subprocess.TimeoutExpired):
                process.wait(FOLLOW_POLL_SECONDS)
    run = instance.get_run_by_id(report.run_id)
    report.succeeded = bool(run and run.is_success) and process.returncode == 0 and not report.failures
    if not report.succeeded and not report.failures:
        report.failures.append(f"The run ended as {run.status.value if run else 'unknown'}:\n{_tail(log)}")
    return report


class Events:
    """Reads entries of Dagster's event log into the report, and passes them to the listener."""

    def __init__(self, report: Report, listener: RunListener) -> None:
        self.report = report
        self._listener = listener
        self._started: dict[str, float] = {}
        self._written: dict[str, list[str]] = {}

    def read(self, entry: EventLogEntry) -> None:
        """Read the next entry."""
        event, step = entry.dagster_event, entry.step_key
        if event is None:
            self._read_logged(entry)
            return
        kind = event.event_type_value
        if kind == "ASSET_CHECK_EVALUATION":
            self._read_check(event)
        elif not step:
            return
        elif kind == "STEP_START":
            self._started[step] = entry.timestamp
            self._listener.started(step)
        elif kind == "ASSET_MATERIALIZATION":
            materialization = event.step_materialization_data.materialization
            name = materialization.asset_key.to_user_string()
            self.report.metadata[name] = {key: value.value for key, value in materialization.metadata.items()}
            self._written.setdefault(step, []).append(name)
        elif kind == "STEP_SUCCESS":
            seconds = entry.timestamp - self._started.get(step, entry.timestamp)
            for name in dict.fromkeys(self._written.pop(step, [])):  # an asset may have many partitions
                self._listener.materialized(name, self.report.metadata[name], seconds)
        elif kind == "STEP_FAILURE":
            from movierec_assets.defs.failures import root_cause  # noqa: PLC0415

            self.report.failures.append(f"{step}: {root_cause(event)}")
            self._listener.failed(step)

    def _read_logged(self, entry: EventLogEntry) -> None:
        """Pass on lines of the platform; Dagster and its libraries log about themselves.

        Dagster's I/O managers log at DEBUG, which no asset does. Its few lines at INFO have known prefixes.
        """
        text = entry.user_message
        level = int(entry.level) if str(entry.level).isdigit() else logging.getLevelNamesMapping()[str(entry.level)]
        if level < logging.INFO or (level == logging.INFO and text.startswith(_FRAMEWORK_PREFIXES)):
            return
        warning = level > logging.INFO
        if warning and entry.step_key is not None:
            self.report.warnings.append(text)
        self._listener.logged(entry.step_key, text, warning=warning)

    def _read_check(self, event: DagsterEvent) -> None:
        evaluation = event.asset_check_evaluation_data
        name = f"{evaluation.asset_key.to_user_string()}: {evaluation.check_name}"
        problem = None if evaluation.passed else f"check {name} failed: {evaluation.description}"
        blocking = evaluation.severity.value == "ERROR"
        if problem is not None:
            (self.report.failures if blocking else self.report.warnings).append(problem)
        self._listener.checked(name, problem, blocking=blocking)


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for an interrupted run to end by itself, then terminate it, then kill it."""
    # The terminal's Ctrl-C reached the process as well, so it may be ending already.
    for seconds, stop in ((15, process.terminate), (10, process.kill)):
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
            return
        stop()
    process.wait()
