"""The training of a day: it follows that day's refresh.

Belongs here: whether the training starts, waits or is skipped; the function of the schedule `daily_train`, and the
sensor that starts a training that had to wait. Does not: the times of the schedules (`automation`).

At 02:00 the refresh of 01:55 may still run, and on a machine that slept both ticks come at once. So the schedule
decides about the day, and as long as its decision is to wait, the sensor makes it again. So it does after a tick that
failed.

Dagster concepts: https://docs.dagster.io/guides/automate/schedules, https://docs.dagster.io/guides/automate/sensors
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from dagster import (
    DagsterInstance,
    DefaultSensorStatus,
    RunRequest,
    ScheduleEvaluationContext,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus

from movierec_assets.defs.attempts import Attempt, tagged_attempts
from movierec_assets.defs.failures import failures_of
from movierec_assets.defs.jobs import refresh, train
from movierec_assets.defs.run_limits import DAY_TAG
from movierec_assets.settings import get_settings

SCHEDULE = "daily_train"
PATIENCE = timedelta(hours=1)
"""Longest wait for a refresh that has not begun; one that has begun is waited for until its end."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of the training of a day.

    Attributes
    ----------
    action : {"train", "wait", "skip", "none"}
        None: it was started already.
    reason : str
    """

    action: Literal["train", "wait", "skip", "none"]
    reason: str


def decide(
    day: date, refreshes: Sequence[Attempt], trainings: Sequence[Attempt], since: datetime, now: datetime
) -> Verdict:
    """Decide about the training of a day.

    Parameters
    ----------
    day : date
    refreshes, trainings : sequence of Attempt
        Runs of the jobs `refresh` and `train` for this day.
    since : datetime
        When the training became due on this machine.
    now : datetime
    """
    if trainings:
        return Verdict("none", f"The training of {day} was started already, as run {trainings[0].run_id}.")
    if any(attempt.succeeded for attempt in refreshes):
        return Verdict("train", f"The refresh of {day} succeeded.")
    if any(not attempt.finished for attempt in refreshes):
        return Verdict("wait", f"The training of {day} waits for the end of its refresh.")
    if refreshes:
        latest = max(refreshes, key=lambda attempt: attempt.order)
        return Verdict(
            "skip",
            f"The training of {day} is skipped, because its refresh did not succeed: run {latest.run_id}. Correct the "
            "cause, then execute that run again: the training follows.",
        )
    if now < since + PATIENCE:
        return Verdict("wait", f"The training of {day} waits for its refresh, which has not begun.")
    return Verdict(
        "skip",
        f"The training of {day} is skipped, because `daily_refresh` started no run. See that this schedule is on, then "
        "run `refresh` and `train` by hand.",
    )


def verdict_on(instance: DagsterInstance, day: date, since: datetime, now: datetime) -> Verdict:
    """Decide about the training of a day from the runs in an instance; a failed refresh is named with its error."""
    refreshes = tagged_attempts(instance, DAY_TAG, str(day), now, refresh.name)
    trainings = tagged_attempts(instance, DAY_TAG, str(day), now, train.name)
    verdict = decide(day, refreshes, trainings, since, now)
    if verdict.action != "skip" or not refreshes:
        return verdict
    latest = max(refreshes, key=lambda attempt: attempt.order)
    errors = "".join(f"\n{step}: {cause}" for step, cause in failures_of(instance, latest.run_id))
    return Verdict("skip", verdict.reason + errors)


def at_tick(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
    """Evaluate the schedule `daily_train`."""
    day = day_of(context.scheduled_execution_time)
    now = datetime.now(UTC)
    return _asked(day, verdict_on(context.instance, day, now, now))


def day_of(at: datetime) -> date:
    """The day of a time, in the time zone of the schedules."""
    return at.astimezone(ZoneInfo(get_settings().timezone)).date()


def _asked(day: date, verdict: Verdict) -> RunRequest | SkipReason:
    if verdict.action != "train":
        return SkipReason(verdict.reason)
    return RunRequest(run_key=str(day), tags={DAY_TAG: str(day)})


@sensor(
    job=train,
    minimum_interval_seconds=30,
    default_status=DefaultSensorStatus.RUNNING,
    description="Starts the training of a day that had to wait at 02:00 for the end of that day's refresh, or whose "
    "tick failed.",
)
def late_training(context: SensorEvaluationContext) -> SensorResult | SkipReason:
    """Request the training of a day as soon as its refresh has succeeded."""
    return evaluate(context, latest_tick(context.instance), datetime.now(UTC))


def evaluate(context: SensorEvaluationContext, tick: InstigatorTick | None, now: datetime) -> SensorResult | SkipReason:
    """Evaluate the sensor at a given time, after the latest tick of the schedule."""
    if tick is None or tick.status not in (TickStatus.SKIPPED, TickStatus.FAILURE):
        return SkipReason("No training waits for a refresh.")
    day = day_of(datetime.fromtimestamp(tick.timestamp, UTC))
    since = datetime.fromtimestamp(tick.tick_data.end_timestamp or tick.timestamp, UTC)
    verdict = verdict_on(context.instance, day, since, now)
    asked = _asked(day, verdict)
    if isinstance(asked, RunRequest):
        context.log.info(verdict.reason)
        return SensorResult(run_requests=[asked], cursor=context.cursor)
    skipped = verdict.action == "skip"
    if skipped and context.cursor != str(day):
        context.log.error(verdict.reason)
    return SensorResult(skip_reason=asked, cursor=str(day) if skipped else context.cursor)


def latest_tick(instance: DagsterInstance) -> InstigatorTick | None:
    """The latest tick of `daily_train`; None before its first one."""
    states = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    ticks = [
        tick
        for state in states
        if state.instigator_name == SCHEDULE
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    ]
    return max(ticks, key=lambda tick: tick.timestamp, default=None)
