"""The latest ticks of schedules and sensors, as Dagster recorded them.

Belongs here: reading them. Does not: which of them are a cause of an alert (`alerts.causes`).
"""

from __future__ import annotations

from collections.abc import Iterable

from dagster import DagsterInstance, RepositoryDefinition
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick, InstigatorType, TickStatus

from movierec_assets.alerts.causes import STREAK
from movierec_assets.alerts.facts import Ticks

_ENDED = [TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE]


def latest_ticks(instance: DagsterInstance, repository: RepositoryDefinition | None) -> list[Ticks]:
    """The latest ticks of each schedule and sensor that is on.

    Parameters
    ----------
    instance : DagsterInstance
    repository : RepositoryDefinition or None
        Schedules and sensors that it does not have any more are left out.
    """
    if instance.schedule_storage is None:  # an instance in memory has none
        return []
    states: dict[tuple[str, bool], list[InstigatorState]] = {}
    for state in instance.all_instigator_state():
        is_schedule = state.instigator_type is InstigatorType.SCHEDULE
        if state.is_running and (repository is None or _has(repository, state.name, is_schedule)):
            states.setdefault((state.name, is_schedule), []).append(state)
    return [
        Ticks(name, is_schedule, [_error(tick) for tick in _newest(instance, found)])
        for (name, is_schedule), found in sorted(states.items())
    ]


def _has(repository: RepositoryDefinition, name: str, is_schedule: bool) -> bool:
    return repository.has_schedule_def(name) if is_schedule else repository.has_sensor_def(name)


def _newest(instance: DagsterInstance, states: Iterable[InstigatorState]) -> list[InstigatorTick]:
    """Ticks of all states of one name: there are several where the code was loaded under several names."""
    ticks = [
        tick
        for state in states
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=STREAK, statuses=_ENDED)
    ]
    return sorted(ticks, key=lambda tick: tick.timestamp, reverse=True)[:STREAK]


def _error(tick: InstigatorTick) -> str | None:
    """First line of the cause of a tick's error; None when it did not fail."""
    if tick.status is not TickStatus.FAILURE:
        return None
    error = tick.tick_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip().partition("\n")[0] if error is not None else "The tick failed without a word."
