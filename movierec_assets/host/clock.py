"""A clock that was set back, as Dagster's sensors and schedules see it.

Belongs here: times in the future that Dagster has stored, and their correction. Does not: decisions of sensors and
schedules, which take the time as an argument.

Dagster evaluates a sensor when some seconds have passed since its last tick, and a schedule at the first time of its
cron line after its last tick. After the clock was set back by an hour, nothing would be evaluated for an hour, so that
nobody would notice new files, dead runs or failures. The scheduler also keeps times in memory, which only a new daemon
forgets. A schedule whose time comes twice starts nothing the second time: Dagster finds the run of that time by its
tags.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from dagster import DagsterInstance
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorTick,
    ScheduleInstigatorData,
    SensorInstigatorData,
)

SLACK = timedelta(seconds=60)
"""Clocks of two machines differ, and a clock is corrected by small steps."""
LOOK_SECONDS = 30.0

_log = logging.getLogger("movierec.daemon")


@dataclass(frozen=True)
class Reading:
    """The clock beside one that is never set, in seconds."""

    wall: float = field(default_factory=time.time)
    steady: float = field(default_factory=time.monotonic)

    def set_back_since(self, earlier: Reading) -> bool:
        """Whether the clock was set back by more than SLACK since an earlier reading."""
        return (self.steady - earlier.steady) - (self.wall - earlier.wall) > SLACK.total_seconds()


def wake_sensors(instance: DagsterInstance, now: datetime) -> list[str]:
    """Let sensors tick whose last tick is in the future; returns their names."""
    woken = []
    for state in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR):
        latest = _latest_tick(state)
        if latest is not None and latest > (now + SLACK).timestamp():
            data = state.instigator_data
            assert isinstance(data, SensorInstigatorData)
            at = now.timestamp()
            woken_data = data._replace(last_tick_timestamp=at, last_tick_start_timestamp=at)
            instance.update_instigator_state(state.with_data(woken_data))
            woken.append(state.name)
    return sorted(woken)


def _latest_tick(state: InstigatorState) -> float | None:
    data = state.instigator_data
    if not isinstance(data, SensorInstigatorData):
        return None
    return max(data.last_tick_timestamp or 0.0, data.last_tick_start_timestamp or 0.0)


def wake_schedules(instance: DagsterInstance, now: datetime) -> list[str]:
    """Move ticks and looks of schedules that lie in the future to the present; returns the schedules' names."""
    woken = []
    for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE):
        moved = _move_ticks(instance, state, now)
        if _move_looks(instance, state, now) or moved:
            woken.append(state.name)
    return sorted(woken)


def _move_ticks(instance: DagsterInstance, state: InstigatorState, now: datetime) -> bool:
    """Give ticks in the future the present second and those before it, in the same order."""
    after = (now + SLACK).timestamp()
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, after=after)
    for seconds, tick in enumerate(ticks):
        data = tick.tick_data._replace(timestamp=now.timestamp() - seconds)
        instance.update_tick(InstigatorTick(tick.tick_id, data))
    return bool(ticks)


def _move_looks(instance: DagsterInstance, state: InstigatorState, now: datetime) -> bool:
    data = state.instigator_data
    if not isinstance(data, ScheduleInstigatorData):
        return False
    started, looked, at = data.start_timestamp, data.last_iteration_timestamp, now.timestamp()
    if max(started or 0.0, looked or 0.0) <= (now + SLACK).timestamp():
        return False
    moved = data._replace(
        start_timestamp=started and min(started, at), last_iteration_timestamp=looked and min(looked, at)
    )
    instance.update_instigator_state(state.with_data(moved))
    return True


def wake_all() -> bool:
    """Let sensors and schedules go on that wait for times in the future; returns whether a schedule did."""
    try:
        with DagsterInstance.get() as instance:
            now = datetime.now(UTC)
            sensors, schedules = wake_sensors(instance, now), wake_schedules(instance, now)
    except Exception as error:  # noqa: BLE001 - a database that is restarted must not end this
        _log.warning("Sensors and schedules could not be looked at: %s", " ".join(str(error).split())[:300])
        return False
    if sensors or schedules:
        names = ", ".join([*sensors, *schedules])
        _log.warning("The clock was set back. Sensors and schedules that waited for it go on: %s.", names)
    return bool(schedules)


def watch_clock(ended: threading.Event, restart: Callable[[], None], read: Callable[[], Reading] = Reading) -> None:
    """Look at the clock until `ended` is set, or until it was set back; for a thread of its own.

    Parameters
    ----------
    ended : threading.Event
    restart : callable
        Called once the clock was set back, because the scheduler in this process keeps times in memory.
    read : callable
        The clocks.
    """
    before = read()
    while not ended.wait(LOOK_SECONDS):
        now = read()
        if wake_all() or now.set_back_since(before):
            _log.warning("The clock was set back. The daemon is started again, so that schedules do not wait for it.")
            restart()
            return
        before = now
