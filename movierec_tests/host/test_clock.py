"""Sensors after the clock was set back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from dagster import DagsterInstance
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData
from dagster._daemon.sensor import get_elapsed

from movierec_assets.host.clock import wake_sensors
from movierec_assets.settings import Settings

ORIGIN = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("movierec_assets"), "__repository__")


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
