"""What Dagster has recorded of its daemon, schedules, sensors and runs.

Belongs here: reading them. Does not: the rest of the platform's state (`status`), runs while servers are up
(`run_watch`), text for people (`cli.status`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from movierec_assets.host.run_watch import problem_of
from movierec_assets.serving.automation import Automation, JobRun, ScheduleState, SensorState

if TYPE_CHECKING:
    from dagster import DagsterInstance, RunRecord, ScheduleDefinition
    from dagster._core.scheduler.instigation import InstigatorState, InstigatorType

ALIVE = timedelta(minutes=2)
"""A daemon that was not heard of for longer is down; it gives a sign every 30 seconds."""
BY_HAND = "__ASSET_JOB"
"""Dagster's name for the job of assets that a person materializes in the UI."""

_NEVER = datetime.max.replace(tzinfo=UTC)


def automation_of(instance: DagsterInstance, now: datetime) -> Automation:
    """Read the state of everything that starts runs."""
    from dagster._core.scheduler.instigation import InstigatorType  # noqa: PLC0415

    from movierec_assets.definitions import build  # noqa: PLC0415

    repository = build().get_repository_def()
    seen = _daemon_seen(instance)
    ticking = _states(instance, InstigatorType.SCHEDULE)
    sensing = _states(instance, InstigatorType.SENSOR)
    schedules = [_schedule(each, ticking, now) for each in repository.schedule_defs]
    return Automation(
        daemon_seen=seen,
        daemon_up=seen is not None and now - seen < ALIVE,
        schedules=sorted(schedules, key=lambda each: (each.next_tick or _NEVER, each.name)),
        sensors=[_sensor(instance, each.name, sensing) for each in repository.sensor_defs],
        runs=latest_runs(instance, [*(job.name for job in repository.get_all_jobs()), BY_HAND]),
    )


def latest_runs(instance: DagsterInstance, jobs: Iterable[str]) -> list[JobRun]:
    """The latest run of each of these jobs, newest first; jobs that never ran are left out."""
    from dagster import RunsFilter  # noqa: PLC0415

    found = [instance.get_run_records(RunsFilter(job_name=job), limit=1) for job in dict.fromkeys(jobs)]
    runs = [_job_run(instance, records[0]) for records in found if records]
    return sorted(runs, key=lambda run: run.at, reverse=True)


def _job_run(instance: DagsterInstance, record: RunRecord) -> JobRun:
    run = record.dagster_run
    ended = record.end_time if run.is_finished else None
    at = ended or record.start_time or record.create_timestamp.timestamp()
    took = ended - record.start_time if ended is not None and record.start_time is not None else None
    problem = problem_of(instance, run.run_id) if run.is_failure else ""
    return JobRun(run.job_name, run.run_id, run.status.value.lower(), datetime.fromtimestamp(at, UTC), took, problem)


def _daemon_seen(instance: DagsterInstance) -> datetime | None:
    beats = instance.get_daemon_heartbeats().values()
    latest = max((beat.timestamp for beat in beats), default=None)
    return None if latest is None else datetime.fromtimestamp(latest, UTC)


def _states(instance: DagsterInstance, kind: InstigatorType) -> Mapping[str, Sequence[InstigatorState]]:
    """States by name. One name has several where the code was loaded under several names, as by `dg dev`."""
    found: dict[str, list[InstigatorState]] = {}
    for state in instance.all_instigator_state(instigator_type=kind):
        found.setdefault(state.instigator_name, []).append(state)
    return found


def _schedule(
    schedule: ScheduleDefinition, states: Mapping[str, Sequence[InstigatorState]], now: datetime
) -> ScheduleState:
    from dagster._utils.schedules import schedule_execution_time_iterator  # noqa: PLC0415

    following = schedule_execution_time_iterator(
        now.timestamp(), schedule.cron_schedule, schedule.execution_timezone or "UTC"
    )
    on = any(state.is_running for state in states.get(schedule.name, ()))
    return ScheduleState(schedule.name, schedule.job_name, on, next(following))


def _sensor(instance: DagsterInstance, name: str, states: Mapping[str, Sequence[InstigatorState]]) -> SensorState:
    running = [state for state in states.get(name, ()) if state.is_running]
    problems = [problem for state in running if (problem := _tick_problem(instance, state))]
    return SensorState(name, bool(running), problems[0] if problems else "")


def _tick_problem(instance: DagsterInstance, state: InstigatorState) -> str:
    """First line of the error of the latest tick; empty when it did not fail."""
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    error = ticks[0].tick_data.error if ticks else None
    while error is not None and error.cause is not None:
        error = error.cause
    return "" if error is None else error.message.strip().partition("\n")[0]
