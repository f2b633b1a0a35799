"""What Dagster has recorded of its daemon, schedules, sensors and latest runs.

Belongs here: reading them over GraphQL, in the form of `movierec status`. Does not: one run (`dagster_client`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from movierec_assets.serving.api.dagster_client import REPOSITORY, UNFINISHED, DagsterClient, DagsterUnavailableError
from movierec_assets.serving.automation import Automation, JobRun, ScheduleState, SensorState

_NEWEST = 200
"""Runs among which the latest of each job is looked for."""
_NEVER = datetime.max.replace(tzinfo=UTC)
_QUERY = """
query Automation($repository: RepositorySelector!, $limit: Int!) {
  instance { daemonHealth { allDaemonStatuses { required healthy lastHeartbeatTime } } }
  schedulesOrError(repositorySelector: $repository) {
    __typename
    ... on Schedules { results {
      name pipelineName scheduleState { status } futureTicks(limit: 1) { results { timestamp } }
    } }
    ... on Error { message }
  }
  sensorsOrError(repositorySelector: $repository) {
    __typename
    ... on Sensors { results { name sensorState { status ticks(limit: 1) { error { ...named cause { ...named } } } } } }
    ... on Error { message }
  }
  runsOrError(limit: $limit) {
    __typename
    ... on Runs { results { runId jobName status creationTime startTime endTime } }
    ... on Error { message }
  }
}
fragment named on PythonError { message }
"""


async def automation_of(dagster: DagsterClient) -> Automation:
    """Read the state of everything that starts runs.

    Raises
    ------
    DagsterUnavailableError
    """
    found = await dagster.ask(_QUERY, {"repository": REPOSITORY, "limit": _NEWEST})
    daemons = found["instance"]["daemonHealth"]["allDaemonStatuses"]
    beats = [each["lastHeartbeatTime"] for each in daemons if each["lastHeartbeatTime"]]
    schedules = [_schedule(each) for each in _results(found["schedulesOrError"])]
    latest: dict[str, Mapping[str, Any]] = {}
    for run in _results(found["runsOrError"]):  # newest first
        latest.setdefault(run["jobName"], run)
    runs = [await _job_run(dagster, each) for each in latest.values()]
    return Automation(
        daemon_seen=_time(max(beats, default=None)),
        daemon_up=bool(beats) and all(each["healthy"] for each in daemons if each["required"]),
        schedules=sorted(schedules, key=lambda each: (each.next_tick or _NEVER, each.name)),
        sensors=[_sensor(each) for each in _results(found["sensorsOrError"])],
        runs=sorted(runs, key=lambda run: run.at, reverse=True),
    )


async def _job_run(dagster: DagsterClient, run: Mapping[str, Any]) -> JobRun:
    status, started, ended = run["status"], run["startTime"], run["endTime"]
    finished = status not in UNFINISHED
    problem = ""
    if status == "FAILURE":
        problem = next(iter(await dagster.failures(run["runId"])), "").partition("\n")[0]
    at = (ended if finished else None) or started or run["creationTime"]
    seconds = ended - started if finished and started and ended else None
    return JobRun(run["jobName"], run["runId"], status.lower(), datetime.fromtimestamp(at, UTC), seconds, problem)


def _schedule(found: Mapping[str, Any]) -> ScheduleState:
    ticks = found["futureTicks"]["results"]
    on = found["scheduleState"]["status"] == "RUNNING"
    return ScheduleState(found["name"], found["pipelineName"], on, _time(ticks[0]["timestamp"] if ticks else None))


def _sensor(found: Mapping[str, Any]) -> SensorState:
    state = found["sensorState"]
    on, error = state["status"] == "RUNNING", next((each["error"] for each in state["ticks"]), None)
    while error is not None and error.get("cause"):
        error = error["cause"]
    return SensorState(found["name"], on, error["message"].strip().partition("\n")[0] if error and on else "")


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _results(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "results" not in found:
        raise DagsterUnavailableError(f"Dagster cannot answer: {found.get('message', found['__typename'])}")
    return list(found["results"])
