"""The events of a run: what they say for people, and the report of the run.

Belongs here: reading entries of Dagster's event log. Does not: sending them to another process (`run_messages`), text
(`cli`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from movierec_assets.host.listeners import RunListener

if TYPE_CHECKING:
    from dagster import DagsterEvent, EventLogEntry

_FRAMEWORK_PREFIXES = (
    *("Starting a new mlflow run with id", "Run with id"),  # dagster-mlflow
    *("Emitting implicit Nothing", "op '", "graph '", "Skipping step "),  # Dagster, of steps and outputs
)


@dataclass
class Report:
    """Result of a run."""

    run_id: str = ""
    """Empty until Dagster has recorded the run."""
    log: Path = Path()
    """File with the output of the process."""
    succeeded: bool = False
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Metadata of each asset that was materialized, as plain values."""
    failures: list[str] = field(default_factory=list)
    """Why assets and blocking checks failed, one text each."""
    warnings: list[str] = field(default_factory=list)
    """Logged warnings, and checks that failed without blocking."""


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
