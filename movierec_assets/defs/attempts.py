"""Runs that sensors request: which ones were tried, and when to try again.

Belongs here: the one rule by which every sensor tries again, and reading the runs it is applied to. What a run is for
is said by a tag, and known to the sensor.

Dagster concept: run tags, https://docs.dagster.io/guides/build/assets/metadata-and-tags/tags
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

from dagster import DagsterInstance, RunRecord, RunsFilter

ATTEMPTS = 3
PAUSE = timedelta(minutes=5)
"""Wait after an attempt that did not help; twice as long after each further one."""


@dataclass(frozen=True)
class Attempt:
    """A run that was requested for a purpose.

    Attributes
    ----------
    finished : bool
    ended : datetime
        When it ended, or was last heard of.
    succeeded : bool
    run_id : str
    """

    finished: bool
    ended: datetime
    succeeded: bool = False
    run_id: str = ""


class When(Enum):
    """When the next attempt is due."""

    NOW = "now"
    LATER = "later"
    NEVER = "never"
    UNDER_WAY = "under way"


@dataclass(frozen=True)
class Next:
    """The next attempt: when it is due, and for LATER the time from which it is."""

    when: When
    due: datetime | None = None


def next_attempt(attempts: Sequence[Attempt], now: datetime) -> Next:
    """Decide whether to try again what is still to be done.

    Parameters
    ----------
    attempts : sequence of Attempt
        All that did not help.
    now : datetime

    Returns
    -------
    Next
    """
    if any(not attempt.finished for attempt in attempts):
        return Next(When.UNDER_WAY)
    if len(attempts) >= ATTEMPTS:
        return Next(When.NEVER)
    if not attempts:
        return Next(When.NOW)
    due = max(attempt.ended for attempt in attempts) + PAUSE * 2 ** (len(attempts) - 1)
    return Next(When.LATER, due) if now < due else Next(When.NOW)


def tagged_attempts(instance: DagsterInstance, tag: str, value: str) -> list[Attempt]:
    """Runs with a tag, the newest first."""
    records = instance.get_run_records(RunsFilter(tags={tag: value}))
    return [
        Attempt(record.dagster_run.is_finished, ended(record), record.dagster_run.is_success, record.dagster_run.run_id)
        for record in records
    ]


def ended(record: RunRecord) -> datetime:
    """When a run ended, or was last heard of."""
    return record.update_timestamp if record.end_time is None else datetime.fromtimestamp(record.end_time, UTC)
