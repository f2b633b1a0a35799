"""Errors of a failed run, without Dagster's wrapping.

Belongs here: reading errors from events. Does not: whether a run is tried again (`attempts`).

Dagster concept: https://docs.dagster.io/guides/build/ops/op-events
"""

from __future__ import annotations

from dagster import DagsterEvent, DagsterEventType, DagsterInstance


def failures_of(instance: DagsterInstance, run_id: str) -> list[tuple[str, str]]:
    """Failed steps of a run, each with the message of its error."""
    events = [entry.dagster_event for entry in instance.all_logs(run_id, of_type=DagsterEventType.STEP_FAILURE)]
    return [(str(event.step_key), root_cause(event)) for event in events if event is not None]


def root_cause(event: DagsterEvent) -> str:
    """Message of the error that the asset raised, without Dagster's wrapping and without the causes of that error."""
    error = event.step_failure_data.error
    while error is not None and (error.cls_name or "").startswith("Dagster") and error.cause is not None:
        error = error.cause
    if error is None:
        return str(event.message)
    # The text is "module.Class: message"; SQLAlchemy adds the statement, with whole events in its parameters.
    text = error.message.partition("\n[SQL: ")[0].strip()
    head, separator, rest = text.partition(": ")
    return rest if separator and " " not in head else text
