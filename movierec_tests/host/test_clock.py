"""Sensors and schedules after the clock was set back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from dagster import (
    DagsterInstance,
    DefaultScheduleStatus,
    Definitions,
    RunsFilter,
    ScheduleDefinition,
    job,
)
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RegisteredCodeLocationOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData
from dagster._core.storage.tags import SCHEDULE_NAME_TAG, SCHEDULED_EXECUTION_TIME_TAG
from dagster._core.test_utils import freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.sensor import get_elapsed
from dagster._scheduler.scheduler import launch_scheduled_runs

from movierec_assets.host import clock
from movierec_assets.host.clock import Reading, wake_schedules, wake_sensors, watch_clock
from movierec_assets.settings import Settings

ORIGIN = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("movierec_assets"), "__repository__")


@job
def nothing() -> None:
    """A job without ops."""


hourly = ScheduleDefinition(
    name="hourly", job=nothing, cron_schedule="0 * * * *", default_status=DefaultScheduleStatus.RUNNING
)
defs = Definitions(jobs=[nothing], schedules=[hourly])


@pytest.fixture
def instance(platform_settings: Settings) -> Iterator[DagsterInstance]:
    with DagsterInstance.get() as own:
        yield own


def sensor(instance: DagsterInstance, name: str, ticked: datetime) -> None:
    """Store a sensor that ticked at a time."""
    data = SensorInstigatorData(
        last_tick_timestamp=ticked.timestamp(),
        last_tick_start_timestamp=ticked.timestamp(),
        cursor=f"cursor of {name}",
        last_run_key="a key",
    )
    origin = ORIGIN.get_instigator_origin(name)
    instance.add_instigator_state(InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, data))


def states(instance: DagsterInstance) -> dict[str, InstigatorState]:
    return {state.name: state for state in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)}


def test_sensors_go_on_after_the_clock_was_set_back_and_keep_their_cursors(instance: DagsterInstance) -> None:
    now = datetime.now(UTC)
    sensor(instance, "dead_runs", now + timedelta(hours=1))
    sensor(instance, "champion_sensor", now + timedelta(days=400))
    sensor(instance, "just_ticked", now)
    untouched = states(instance)["just_ticked"]
    waiting = get_elapsed(states(instance)["dead_runs"])
    assert waiting is not None
    assert waiting < 0, "Dagster would wait for an hour"

    assert wake_sensors(instance, now) == ["champion_sensor", "dead_runs"]
    found = states(instance)
    for name in ("champion_sensor", "dead_runs"):
        elapsed = get_elapsed(found[name])
        assert elapsed is not None
        assert elapsed >= 0
        data = found[name].instigator_data
        assert isinstance(data, SensorInstigatorData)
        assert (data.cursor, data.last_run_key) == (f"cursor of {name}", "a key")
    assert found["just_ticked"] == untouched
    assert wake_sensors(instance, now) == []


@pytest.fixture
def schedules_at(instance: DagsterInstance) -> Iterator[Callable[[datetime], list[str]]]:
    """Let Dagster's scheduler, started anew, look at `hourly` at a time; returns the times of all runs, in order."""
    origin = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name=__name__, attribute="defs"))
    with WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin)) as workspace:

        def look(now: datetime) -> list[str]:
            with freeze_time(now):
                list(launch_scheduled_runs(workspace, logging.getLogger(__name__), now, {}))
            runs = instance.get_runs(RunsFilter(tags={SCHEDULE_NAME_TAG: "hourly"}))
            return sorted(run.tags[SCHEDULED_EXECUTION_TIME_TAG][11:16] for run in runs)

        yield look


def test_a_schedule_goes_on_after_the_clock_was_set_back_and_runs_no_time_twice(
    instance: DagsterInstance, schedules_at: Callable[[datetime], list[str]]
) -> None:
    def at(hour: int, minute: int) -> datetime:
        return datetime(2026, 3, 5, hour, minute, 10, tzinfo=UTC)

    schedules_at(at(11, 50))
    assert wake_schedules(instance, at(11, 51)) == []
    assert schedules_at(at(12, 0)) == ["12:00"]
    assert schedules_at(at(13, 0)) == ["12:00", "13:00"]

    assert wake_schedules(instance, at(10, 30)) == ["hourly"]
    assert wake_schedules(instance, at(10, 30)) == []
    assert schedules_at(at(10, 40)) == ["12:00", "13:00"]
    assert schedules_at(at(11, 0)) == ["11:00", "12:00", "13:00"]
    assert schedules_at(at(12, 0)) == ["11:00", "12:00", "13:00"]
    assert schedules_at(at(13, 0)) == ["11:00", "12:00", "13:00"]
    assert schedules_at(at(14, 0)) == ["11:00", "12:00", "13:00", "14:00"]


def test_the_clock_was_set_back_when_less_time_passed_on_it_than_on_one_that_is_never_set() -> None:
    first = Reading(wall=1000.0, steady=5.0)
    assert not Reading(wall=1030.0, steady=35.0).set_back_since(first)
    assert not Reading(wall=9000.0, steady=35.0).set_back_since(first), "the machine slept"
    assert not Reading(wall=1000.0, steady=35.0).set_back_since(first), "a small correction"
    assert Reading(wall=900.0, steady=35.0).set_back_since(first)


@pytest.mark.usefixtures("instance")
def test_the_daemon_is_started_again_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "LOOK_SECONDS", 0.01)
    readings = iter([Reading(1000.0, 0.0), Reading(1030.0, 30.0), Reading(460.0, 60.0)])
    restarted: list[bool] = []
    watch_clock(threading.Event(), lambda: restarted.append(True), lambda: next(readings))
    assert restarted == [True]
    assert next(readings, None) is None
