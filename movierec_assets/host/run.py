"""One run of a job, driven through Dagster and told as it happens.

Belongs here: starting the job in a process of its own, following its events in the instance, and summing up. The
run is an ordinary Dagster run: it is recorded in the instance and shown in the UI.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from movierec_assets.host import CommandError, guard
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.errors import PromotionError, RegistryUnavailableError
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.resources.exclusive import end_dead_runs
from movierec_assets.resources.kept_connections import keep_connections
from movierec_assets.settings import Settings
from movierec_assets.tables.database import Database, DatabaseUnavailableError

if TYPE_CHECKING:
    from dagster import DagsterEvent, DagsterInstance, EventLogEntry

POLL_SECONDS = 0.3
FOLLOW_SECONDS = 1.0
"""Between two looks at the run's events; each costs a connection, and the run needs the processors."""
QUIET_SECONDS = 10.0
"""Between two lines about one asset in a file or a pipe."""
_INVOCATION_TAG = "movierec/invocation"
_RETRAINING = {"ops": {"als_model": {"config": {"retrain": True}}}}
_OF_THE_FRAMEWORK = (
    *("Starting a new mlflow run with id", "Run with id"),  # dagster-mlflow
    *("Emitting implicit Nothing", "op '", "graph '", "Skipping step "),  # Dagster, of steps and outputs
)


@dataclass
class Report:
    """What a run did.

    Attributes
    ----------
    run_id : str
    succeeded : bool
    metadata : dict
        Metadata of each asset that was materialized, as plain values.
    failures : list of str
        Why assets and blocking checks failed, each in a line or a few.
    warnings : list of str
        Checks that failed as warnings.
    log : Path
        Everything the process printed.
    """

    run_id: str
    log: Path
    succeeded: bool = False
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def run_job(job: str, settings: Settings, console: Console, *, retrain: bool = False) -> Report:
    """Run a job of the platform, showing each asset as it starts and ends.

    Parameters
    ----------
    job : str
    settings : Settings
        With the databases ready.
    console : Console
        Where progress goes; a terminal gets a moving line, a file a line for each event.
    retrain : bool
        Train although a version of the same likes, recipe, seed and code is there.

    Returns
    -------
    Report

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
            console.print(f"[yellow]Run {dead} was killed earlier; it is marked as failed now.[/]")
        process = subprocess.Popen(
            command_for(job, invocation, logs, retrain=retrain),
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1", guard.VARIABLE: guard.start()},
            # Elsewhere than in the project, where Dagster would read a .env that may be of another state directory.
            cwd=logs,
        )
        try:
            report = _follow(process, instance, invocation, log, console)
        finally:
            _end(process)
        if not report.succeeded:
            _keep_rejection(report, instance, Promotions(registry, Database(settings.databases.ratings)), console)
        return report


def command_for(job: str, invocation: str, directory: Path, *, retrain: bool) -> list[str]:
    """The command that executes a job; its configuration, where it has one, is written to a file in the directory."""
    command = [
        *(sys.executable, "-m", "dagster", "job", "execute"),
        *("--module-name", "movierec_assets.definitions", "--job", job),
        *("--tags", json.dumps({_INVOCATION_TAG: invocation})),
    ]
    if retrain:
        config = directory / "retrain.yaml"
        config.write_text(json.dumps(_RETRAINING), encoding="utf-8")
        command += ["--config", str(config)]
    return command


def _keep_rejection(report: Report, instance: DagsterInstance, promotions: Promotions, console: Console) -> None:
    """Keep the decision that a failed check in front of promotion was; under `movierec up` a sensor does so."""
    from movierec_assets.defs.rejections import note_rejection  # noqa: PLC0415

    try:
        record = note_rejection(promotions, instance, report.run_id)
    except (DatabaseUnavailableError, RegistryUnavailableError, PromotionError) as error:
        console.print(f"[yellow]The decision about the challenger was not kept: {escape(str(error))}[/]")
        return
    if record is not None:
        console.print(f"[yellow]Version {record.version} rejected: {escape(record.reason)}[/]")


def _follow(
    process: subprocess.Popen[bytes], instance: DagsterInstance, invocation: str, log: Path, console: Console
) -> Report:
    from dagster import RunsFilter  # noqa: PLC0415

    with console.status("Starting Dagster") as status:
        records: list[Any] = []
        while not records:
            ended = process.poll() is not None
            records = list(instance.get_run_records(RunsFilter(tags={_INVOCATION_TAG: invocation}), limit=1))
            if ended and not records:
                raise CommandError(f"Dagster did not start the run:\n{_tail(log)}\nThe whole output is in {log}.")
            if not records:
                time.sleep(POLL_SECONDS)
        teller = _Teller(Report(records[0].dagster_run.run_id, log), console)
        cursor: str | None = None
        told = time.monotonic()
        while True:
            ended = process.poll() is not None
            batch = instance.get_records_for_run(teller.report.run_id, cursor=cursor)
            cursor = batch.cursor
            for record in batch.records:
                message = teller.tell(record.event_log_entry)
                if message:
                    status.update(escape(message))
                    told = _tell_now_and_then(console, message, told)
            if ended and not batch.records:
                break
            if not ended and not batch.has_more:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(FOLLOW_SECONDS)
        run = instance.get_run_by_id(teller.report.run_id)
    report = teller.report
    report.succeeded = bool(run and run.is_success) and process.returncode == 0 and not report.failures
    if not report.succeeded and not report.failures:
        report.failures.append(f"The run ended as {run.status.value if run else 'unknown'}:\n{_tail(log)}")
    return report


def _tell_now_and_then(console: Console, message: str, told: float) -> float:
    """Print what is going on where no moving line can show it; returns when that was done last."""
    if console.is_terminal or time.monotonic() < told + QUIET_SECONDS:
        return told
    console.print(f"[dim]{escape(message)}[/]")
    return time.monotonic()


class _Teller:
    """Turns events into lines, and keeps what the report needs."""

    def __init__(self, report: Report, console: Console) -> None:
        self.report = report
        self._console = console
        self._started: dict[str, float] = {}
        self._written: dict[str, list[str]] = {}

    def tell(self, entry: EventLogEntry) -> str | None:
        """Show an event; returns what is going on now, for the moving line."""
        event = entry.dagster_event
        step = entry.step_key
        if event is None:
            if not is_of_the_platform(entry):
                return None
            if step is None:
                self._console.print(f"[dim]{escape(entry.user_message)}[/]")
                return entry.user_message
            if _level(entry) > logging.INFO:
                self._console.print(f"[yellow]! {escape(entry.user_message)}[/]")
                self.report.warnings.append(entry.user_message)
            return f"{step}: {entry.user_message}"
        kind = event.event_type_value
        if kind == "STEP_START" and step:
            self._started[step] = entry.timestamp
            return f"{step}: started" if self._console.is_terminal else None
        if kind == "ASSET_MATERIALIZATION" and step:
            self._materialized(event, step)
        elif kind == "ASSET_CHECK_EVALUATION":
            self._checked(event)
        elif kind == "STEP_SUCCESS" and step and step in self._written:
            seconds = entry.timestamp - self._started.get(step, entry.timestamp)
            for line in self._written.pop(step):
                self._console.print(f"[green]✓[/] {line}  [dim]{seconds:.1f} s[/]")
        elif kind == "STEP_FAILURE" and step:
            from movierec_assets.defs.failures import root_cause  # noqa: PLC0415

            reason = root_cause(event)
            self.report.failures.append(f"{step}: {reason}")
            self._console.print(f"[red]✗ {escape(step)}[/]")
        return None

    def _materialized(self, event: DagsterEvent, step: str) -> None:
        materialization = event.step_materialization_data.materialization
        name = materialization.asset_key.to_user_string()
        values = {key: value.value for key, value in materialization.metadata.items()}
        self.report.metadata[name] = values
        rows = values.get("dagster/row_count")
        notes = [f"{rows:,} rows"] if rows is not None else []
        if "model_version" in values:
            notes.append(f"version {values['model_version']}")
        if values.get("appended_rows"):
            notes.append(f"{values['appended_rows']:,} new")
        if "start" in values:
            notes.append(f"{str(values['start']).split(':', maxsplit=1)[0]} start, {values['iterations']} iterations")
        if name == "als_model" and values.get("unchanged"):
            notes.append("unchanged, not trained again")
        if values.get("reloaded") is False:
            notes.append("unchanged, not reloaded")
        self._written.setdefault(step, []).append(f"[bold]{escape(name):<22}[/] {', '.join(notes):<42}")

    def _checked(self, event: DagsterEvent) -> None:
        evaluation = event.asset_check_evaluation_data
        name = f"{evaluation.asset_key.to_user_string()}: {evaluation.check_name}"
        if evaluation.passed:
            self._console.print(f"[green]✓[/] [dim]check {escape(name)}[/]")
            return
        text = f"check {name} failed: {evaluation.description}"
        if evaluation.severity.value == "ERROR":
            self.report.failures.append(text)
            self._console.print(f"[red]✗ {escape(text)}[/]")
        else:
            self.report.warnings.append(text)
            self._console.print(f"[yellow]! {escape(text)}[/]")


def is_of_the_platform(entry: EventLogEntry) -> bool:
    """Whether a logged line is worth a person's time: what Dagster and its libraries tell of themselves is not.

    Dagster's I/O managers log at DEBUG, which no asset does; the few lines at INFO are known by how they begin.
    """
    level = _level(entry)
    return level > logging.INFO or (level == logging.INFO and not entry.user_message.startswith(_OF_THE_FRAMEWORK))


def _level(entry: EventLogEntry) -> int:
    return int(entry.level) if str(entry.level).isdigit() else logging.getLevelNamesMapping()[str(entry.level)]


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let an interrupted run end properly, then see to it that it did."""
    for patience, stop in _stages(process):
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=patience)
            return
        stop()
    process.wait()


def _stages(process: subprocess.Popen[bytes]) -> Iterator[tuple[float, Any]]:
    # The terminal's Ctrl-C reached the process as well, so it may be ending already.
    yield 15, process.terminate
    yield 10, process.kill
