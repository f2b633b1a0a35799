"""Runs that start and end while `movierec up` is on.

Belongs here: reading the runs that Dagster has recorded. Does not: following one run of
`movierec run` (`run`), or the text about runs (`cli.up`).
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from movierec_assets.host.listeners import ServersListener

if TYPE_CHECKING:
    from dagster import DagsterInstance

POLL_SECONDS = 1.0
MAX_SILENT_SECONDS = 60.0
"""A database that does not answer for longer is reported."""
_OVERLAP = timedelta(seconds=30)
"""Runs are read again for this long after a change, because a change may be committed later than its time says."""


def watch(listener: ServersListener, ended: threading.Event, since: datetime) -> None:
    """Report runs that start, and that end after `since`, until `ended` is set; for a thread of its own."""
    from dagster import DagsterInstance  # noqa: PLC0415

    with DagsterInstance.get() as instance:
        runs = Runs(instance, listener, since)
        answered = time.monotonic()
        while not ended.wait(POLL_SECONDS):
            try:
                runs.poll()
                answered = time.monotonic()
            except Exception as error:  # noqa: BLE001
                # A database that is restarted must not end the watch.
                if time.monotonic() > answered + MAX_SILENT_SECONDS:
                    answered = time.monotonic()
                    listener.warned(f"Runs cannot be read: {_first_line(str(error))}")


class Runs:
    """Runs that have been reported so far; runs that ended before `since` are not reported."""

    def __init__(self, instance: DagsterInstance, listener: ServersListener, since: datetime) -> None:
        self._instance = instance
        self._listener = listener
        self._started: set[str] = set()
        self._ended: set[str] = set()
        self._polled = since
        self._first = since.timestamp()

    def poll(self) -> None:
        """Report the changes since the last poll."""
        from dagster import RunsFilter  # noqa: PLC0415

        now = datetime.now(UTC)
        changed = self._instance.get_run_records(RunsFilter(updated_after=self._polled - _OVERLAP))
        for record in sorted(changed, key=lambda each: each.start_time or 0.0):
            run, run_id = record.dagster_run, record.dagster_run.run_id
            if run_id in self._ended or (record.end_time is not None and record.end_time < self._first):
                continue
            if record.start_time is not None and run_id not in self._started:
                self._started.add(run_id)
                if record.start_time >= self._first:
                    self._listener.run_started(record)
            if run.is_finished:
                self._ended.add(run_id)
                self._listener.run_ended(record, problem_of(self._instance, run_id) if run.is_failure else "")
        self._polled = now


def problem_of(instance: DagsterInstance, run_id: str) -> str:
    """First failed step of a run, with the first line of its error; without one, Dagster's message about the run."""
    from dagster import DagsterEventType  # noqa: PLC0415

    for kind in (DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE):
        for entry in instance.all_logs(run_id, of_type=kind):
            event = entry.dagster_event
            if event is None:
                continue
            if event.is_step_failure:
                from movierec_assets.defs.failures import root_cause  # noqa: PLC0415

                return f"{entry.step_key}: {_first_line(root_cause(event))}"
            return _first_line(str(event.message or entry.user_message))
    return ""


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
