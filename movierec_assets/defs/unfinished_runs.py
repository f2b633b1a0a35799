"""Dagster runs that wait or execute.

Belongs here: finding and naming such runs, for the sensors. Does not: runs that a sensor requested (`attempts`), ending
runs whose process was killed (`resources.exclusive`).

Dagster concept: https://docs.dagster.io/guides/build/jobs/job-execution
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

PRESUMED_KILLED = timedelta(hours=12)
"""A run that is unfinished for this long was killed."""

_UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def unfinished_runs(instance: DagsterInstance, now: datetime) -> Sequence[DagsterRun]:
    """Runs that are queued or execute."""
    return instance.get_runs(RunsFilter(statuses=_UNFINISHED, created_after=now - PRESUMED_KILLED))


def named(run: DagsterRun) -> str:
    """A run by its job and the beginning of its id."""
    return f"{run.job_name} {run.run_id[:8]}"
