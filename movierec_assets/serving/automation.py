"""What Dagster has recorded of its daemon, schedules, sensors and latest runs, as people and the API are shown it.

Belongs here: the form. Does not: reading it, from an instance (`host.automation_status`) or over GraphQL
(`serving.api.automation`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class JobRun:
    """The latest run of a job.

    Attributes
    ----------
    job, run_id : str
    status : str
        Dagster's, in lower case: queued, started, success, failure, canceled.
    at : datetime
        When it ended; for an unfinished run when it started, or else was created.
    seconds : float or None
        Between start and end; None for an unfinished run.
    problem : str
        First line of the error of a failed run.
    """

    job: str
    run_id: str
    status: str
    at: datetime
    seconds: float | None
    problem: str


@dataclass(frozen=True)
class ScheduleState:
    """A schedule, its job, whether it is on, and its next tick, at which nothing starts while it is off.

    `next_tick` is None where the cron line names no further time.
    """

    name: str
    job: str
    on: bool
    next_tick: datetime | None


@dataclass(frozen=True)
class SensorState:
    """A sensor, whether it is on, and the first line of the error of its latest tick, if that failed."""

    name: str
    on: bool
    problem: str


@dataclass(frozen=True)
class Automation:
    """Dagster's daemon, schedules, sensors and runs.

    Attributes
    ----------
    daemon_seen : datetime or None
        Latest sign of life of the daemon; None when there never was one.
    daemon_up : bool
    schedules : list of ScheduleState
        The next tick first.
    sensors : list of SensorState
    runs : list of JobRun
        The latest run of each job that ever ran, newest first.
    """

    daemon_seen: datetime | None
    daemon_up: bool
    schedules: list[ScheduleState]
    sensors: list[SensorState]
    runs: list[JobRun]
