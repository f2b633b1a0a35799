"""Runs that start and end while `movierec up` is on, told a line each.

Belongs here: looking at the runs that Dagster has recorded, whoever started them. What a single run of
`movierec run` does is told by `run`.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from dagster import DagsterInstance, RunRecord

LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 60.0
"""How long the database may not answer before that is told."""
_OVERLAP = timedelta(seconds=30)
"""A run is looked at again for so long after it changed: whoever wrote the time may have committed it later."""


def watch(console: Console, ended: threading.Event, since: datetime) -> None:
    """Tell runs that start and end, until the event is set; for a thread of its own.

    Parameters
    ----------
    console : Console
    ended : Event
    since : datetime
        Runs that ended before are not told.
    """
    from dagster import DagsterInstance  # noqa: PLC0415

    with DagsterInstance.get() as instance:
        runs = Runs(instance, console, since)
        answered = time.monotonic()
        while not ended.wait(LOOK_SECONDS):
            try:
                runs.look()
                answered = time.monotonic()
            except Exception as error:  # noqa: BLE001
                # A database that is restarted must not end the watch.
                if time.monotonic() > answered + PATIENCE_SECONDS:
                    answered = time.monotonic()
                    console.print(f"[yellow]Runs cannot be read: {escape(_first_line(str(error)))}[/]", soft_wrap=True)


class Runs:
    """What is known of runs, and told of them.

    Parameters
    ----------
    instance : DagsterInstance
    console : Console
    since : datetime
        Runs that ended before are not told.
    """

    def __init__(self, instance: DagsterInstance, console: Console, since: datetime) -> None:
        self._instance = instance
        self._console = console
        self._started: set[str] = set()
        self._ended: set[str] = set()
        self._since = since
        self._first = since.timestamp()

    def look(self) -> None:
        """Tell what has changed since the last look."""
        now = datetime.now(UTC)
        changed = self._changed()
        for record in sorted(changed, key=lambda each: each.start_time or 0.0):
            run, run_id = record.dagster_run, record.dagster_run.run_id
            if run_id in self._ended or (record.end_time is not None and record.end_time < self._first):
                continue
            if record.start_time is not None and run_id not in self._started:
                self._started.add(run_id)
                if record.start_time >= self._first:
                    self._tell("[bold]▶[/]", record, "started")
            if run.is_finished:
                self._ended.add(run_id)
                self._tell_end(record)
        self._since = now

    def _changed(self) -> list[RunRecord]:
        from dagster import RunsFilter  # noqa: PLC0415

        return list(self._instance.get_run_records(RunsFilter(updated_after=self._since - _OVERLAP)))

    def _tell_end(self, record: RunRecord) -> None:
        run = record.dagster_run
        took = ""
        if record.start_time is not None and record.end_time is not None:
            took = f" in {_duration(record.end_time - record.start_time)}"
        if run.is_success:
            self._tell("[green]✓[/]", record, f"succeeded{took}")
        elif run.is_failure:
            self._tell("[red]✗[/]", record, f"[red]failed[/]{took}{escape(self._why(run.run_id))}")
        else:
            self._tell("[yellow]![/]", record, f"[yellow]canceled[/]{took}")

    def _tell(self, mark: str, record: RunRecord, happened: str) -> None:
        at = f"{datetime.now().astimezone():%H:%M:%S}"
        run = record.dagster_run
        self._console.print(
            f"[dim]{at}[/] {mark} run of [bold]{escape(run.job_name)}[/] [dim]{run.run_id[:8]}[/] {happened}",
            soft_wrap=True,
        )

    def _why(self, run_id: str) -> str:
        """The first step that failed and the first line of its error; else what Dagster says of the run."""
        from dagster import DagsterEventType  # noqa: PLC0415

        for kind in (DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE):
            for entry in self._instance.all_logs(run_id, of_type=kind):
                event = entry.dagster_event
                if event is None:
                    continue
                if event.is_step_failure:
                    from movierec_assets.defs.failures import root_cause  # noqa: PLC0415 - as Dagster, in the thread

                    return f": {entry.step_key}: {_first_line(root_cause(event))}"
                return f": {_first_line(str(event.message or entry.user_message))}"
        return ""


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
