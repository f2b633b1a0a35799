"""Runs as sensors count them: unfinished runs, earlier attempts, and when the next attempt is due.

Belongs here: the rule by which every sensor tries again, and finding the runs it counts. Does not: why a run is needed
(`publishing`, `staleness`), ending runs whose process was killed (`resources.exclusive`).

Dagster concept: run tags, https://docs.dagster.io/guides/build/assets/metadata-and-tags/tags
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunRecord, RunsFilter

from movierec_assets.defs.run_limits import will_be_retried

ATTEMPTS = 3
PAUSE = timedelta(minutes=5)
"""Wait after the first attempt without success; it doubles with each further one."""
PRESUMED_KILLED = timedelta(hours=12)
"""A run that is unfinished for this long was killed."""

_RETRIED_WITHIN = PAUSE
"""The daemon looks every few seconds for crashed runs to start again. It passes over one when Postgres ends at that
moment; then a sensor requests the work."""

_UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class Attempt:
    """A run that a sensor requested.

    Attributes
    ----------
    finished : bool
    ended : datetime
        End of the run, or its latest event while it is unfinished.
    succeeded : bool
    run_id : str
    number : int
        Of the run in Dagster's storage: runs are ordered by it, because clocks may be set back.
    """

    finished: bool
    ended: datetime
    succeeded: bool = False
    run_id: str = ""
    number: int = 0

    @property
    def order(self) -> tuple[int, datetime]:
        """Sorts runs from the oldest to the newest."""
        return self.number, self.ended


@dataclass(frozen=True)
class Plan:
    """The next step of a sensor: it requests a run with this key, or waits without one.

    Attributes
    ----------
    reason : str
    run_key : str or None
    given_up : bool
        Whether it waits for a person.
    """

    reason: str
    run_key: str | None = None
    given_up: bool = False


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
    """Decide when the next attempt is due.

    Parameters
    ----------
    attempts : sequence of Attempt
        Attempts without success.
    now : datetime
    """
    if any(not attempt.finished for attempt in attempts):
        return Next(When.UNDER_WAY)
    if len(attempts) >= ATTEMPTS:
        return Next(When.NEVER)
    if not attempts:
        return Next(When.NOW)
    latest = max(attempts, key=lambda attempt: attempt.order).ended
    due = latest + PAUSE * 2 ** (len(attempts) - 1)
    # An end in the future is one before the clock was set back.
    return Next(When.LATER, due) if latest <= now < due else Next(When.NOW)


def tagged_attempts(
    instance: DagsterInstance, tag: str, value: str, now: datetime, job: str | None = None
) -> list[Attempt]:
    """Runs with a tag, the newest first; only those of one job when it is given.

    A run that Dagster is about to start again counts as unfinished.
    """
    records = instance.get_run_records(RunsFilter(job_name=job, tags={tag: value}))
    return [
        Attempt(
            record.dagster_run.is_finished and not _is_retried(record, now),
            ended(record),
            record.dagster_run.is_success,
            record.dagster_run.run_id,
            record.storage_id,
        )
        for record in records
    ]


def ended(record: RunRecord) -> datetime:
    """When a run ended; the time of its latest event while it is unfinished."""
    return record.update_timestamp if record.end_time is None else datetime.fromtimestamp(record.end_time, UTC)


def unfinished_runs(instance: DagsterInstance, now: datetime) -> Sequence[DagsterRun]:
    """Runs that are queued or execute, and crashed ones that Dagster is about to start again."""
    found = instance.get_runs(RunsFilter(statuses=_UNFINISHED, created_after=now - PRESUMED_KILLED))
    failed = RunsFilter(statuses=[DagsterRunStatus.FAILURE], updated_after=now - _RETRIED_WITHIN)
    retried = [record.dagster_run for record in instance.get_run_records(failed) if _is_retried(record, now)]
    return [*found, *retried]


def _is_retried(record: RunRecord, now: datetime) -> bool:
    """Whether Dagster is about to start a run again."""
    return will_be_retried(record.dagster_run) and ended(record) <= now < ended(record) + _RETRIED_WITHIN


def named(run: DagsterRun) -> str:
    """A run by its job and the beginning of its id."""
    return f"{run.job_name} {run.run_id[:8]}"
