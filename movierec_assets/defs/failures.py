"""What a failed run raised, in the words of whoever raised it.

Belongs here: taking off what Dagster wraps around an error. Whether a run is tried again is decided in `attempts`.
"""

from __future__ import annotations

from dagster import DagsterEvent, DagsterEventType, DagsterInstance


def failures_of(instance: DagsterInstance, run_id: str) -> list[tuple[str, str]]:
    """The steps of a run that failed, each with what it raised."""
    events = [entry.dagster_event for entry in instance.all_logs(run_id, of_type=DagsterEventType.STEP_FAILURE)]
    return [(str(event.step_key), root_cause(event)) for event in events if event is not None]


def root_cause(event: DagsterEvent) -> str:
    """What the asset raised, without what Dagster wraps around it and what the asset was caused by in turn."""
    error = event.step_failure_data.error
    while error is not None and (error.cls_name or "").startswith("Dagster") and error.cause is not None:
        error = error.cause
    if error is None:
        return str(event.message)
    # "module.Class: message" - people read the message.
    text = error.message.strip()
    head, separator, rest = text.partition(": ")
    return rest if separator and " " not in head else text
