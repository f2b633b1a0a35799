"""Schedules, the switch of all schedules and sensors, and the sensors that end runs whose process was killed.

Belongs here: when a job runs, whether anything runs by itself, and the end of killed runs. Does not: the jobs (`jobs`),
sensors that request runs (`catch_up`, `nightly`, `publishing`), jobs of a person (`promotion_jobs`).

Dagster concepts: https://docs.dagster.io/guides/automate/schedules, https://docs.dagster.io/guides/automate/sensors
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from dagster import (
    DefaultScheduleStatus,
    DefaultSensorStatus,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from movierec_assets.defs import nightly
from movierec_assets.defs.backtest import backtest_job, recent_months
from movierec_assets.defs.backup import backup_job
from movierec_assets.defs.jobs import feedback, refresh, search, train
from movierec_assets.defs.maintenance import maintenance
from movierec_assets.defs.nightly import SCHEDULE, day_of
from movierec_assets.defs.run_limits import DAY_TAG
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.resources.exclusive import end_dead_runs, end_left_mlflow_runs

_Asked = RunRequest | SkipReason
_Automatic = TypeVar("_Automatic", ScheduleDefinition, SensorDefinition)


def schedules(timezone: str) -> list[ScheduleDefinition]:
    """Refresh every day at 01:55, train at 02:00, as the original's cron lines do; everything else around them.

    Feedback is summed up before them, so that it does not wait for the training. Of several ticks that a machine missed
    while it slept, Dagster makes the last one up.
    """
    planned: list[tuple[str, Any, str, Callable[[ScheduleEvaluationContext], _Asked], str]] = [
        ("daily_feedback", feedback, "30 1 * * *", _at_tick, "Every day at 01:30: what came of the lists of the API."),
        ("daily_refresh", refresh, "55 1 * * *", _at_tick, "Every day at 01:55: the newest ratings into the database."),
        (SCHEDULE, train, "0 2 * * *", nightly.at_tick, "Every day at 02:00, after the refresh: a new challenger."),
        ("weekly_search", search, "0 3 * * 0", _at_tick, "Every Sunday at 03:00: a search for a better recipe."),
        ("daily_backup", backup_job, "0 4 * * *", _at_tick, "Every day at 04:00: a backup of the whole state."),
        ("weekly_maintenance", maintenance, "30 5 * * 0", _at_tick, "Every Sunday at 05:30: removes old files."),
        ("monthly_backtest", backtest_job, "0 6 1 * *", _backtest, "On the first at 06:00: the year before, by month."),
    ]
    return [
        ScheduleDefinition(
            name=name,
            job=job,
            cron_schedule=cron,
            execution_timezone=timezone,
            execution_fn=asked,
            default_status=DefaultScheduleStatus.RUNNING,
            description=description,
        )
        for name, job, cron, asked, description in planned
    ]


def _at_tick(context: ScheduleEvaluationContext) -> RunRequest:
    return RunRequest(tags={DAY_TAG: str(day_of(context.scheduled_execution_time))})


def _backtest(context: ScheduleEvaluationContext) -> _Asked:
    months = recent_months(PostgresResource().open())
    if isinstance(months, str):
        return SkipReason(months)
    return RunRequest(tags={**_at_tick(context).tags, **months})


def switched(definitions: Iterable[_Automatic], *, on: bool) -> list[_Automatic]:
    """Copies of schedules or sensors that are on or off until a person switches them in Dagster."""
    found = []
    for definition in definitions:
        one: Any = copy.copy(definition)  # Dagster has no other way to change it afterwards
        kind = DefaultScheduleStatus if isinstance(definition, ScheduleDefinition) else DefaultSensorStatus
        one._default_status = kind.RUNNING if on else kind.STOPPED
        found.append(one)
    return found


@sensor(
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.RUNNING,
    description="Ends runs whose process was killed, which would keep the queue waiting for ever, and MLflow runs that "
    "a training step could not end.",
)
def dead_runs(context: SensorEvaluationContext, postgres: PostgresResource, registry: RegistryResource) -> SkipReason:
    """Mark a run as failed when its process was killed, and then every MLflow run whose Dagster run has ended."""
    ended = end_dead_runs(context.instance, postgres.open())
    left = end_left_mlflow_runs(context.instance, registry.open())
    told = [*ended, *(f"the MLflow run {each}" for each in left)]
    return SkipReason(f"Ended {', '.join(told)}." if told else "Every run that has started is being executed.")
