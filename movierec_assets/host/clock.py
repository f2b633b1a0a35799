"""A clock that was set back, as Dagster's sensors see it.

Belongs here: times in the future that Dagster has stored, and their correction. Does not: decisions of sensors and
schedules, which take the time as an argument.

Dagster evaluates a sensor when some seconds have passed since its last tick. After the clock was set back by an hour,
no sensor would be evaluated for an hour, so that nobody would notice new files, dead runs or failures. Schedules are
left alone: what ran at a time runs once, also when that time comes twice.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta

from dagster import DagsterInstance
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, SensorInstigatorData

SLACK = timedelta(seconds=60)
"""Clocks of two machines differ, and a clock is corrected by small steps."""
LOOK_SECONDS = 30.0

_log = logging.getLogger("movierec.daemon")


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


def keep_sensors_awake(ended: threading.Event) -> None:
    """Look at the clock until `ended` is set; for a thread of its own."""
    while True:
        try:
            with DagsterInstance.get() as instance:
                woken = wake_sensors(instance, datetime.now(UTC))
            if woken:
                _log.warning("The clock was set back. Sensors that waited for it go on: %s.", ", ".join(woken))
        except Exception as error:  # noqa: BLE001 - a database that is restarted must not end this
            _log.warning("Sensors could not be looked at: %s", " ".join(str(error).split())[:300])
        if ended.wait(LOOK_SECONDS):
            return
