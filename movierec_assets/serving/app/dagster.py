"""The asset graph and the schedules as Dagster's webserver answers them over GraphQL.

Belongs here: the questions, and what the answers mean. Does not: the drawing (`graph`), launching runs, which the API
does.

Dagster concept: https://docs.dagster.io/api/graphql
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import httpx

from movierec_assets.errors import ExplainedError

SECONDS = 10.0
"""Longest wait for an answer; the whole graph takes a second."""
State = Literal["up to date", "running", "failed", "check failed", "late", "inputs newer", "never made", "being read"]
"""Of an asset. Late: its freshness policy asks for a newer one. Being read: see `Dagster.outline`."""

_REPOSITORY = {"repositoryLocationName": "movierec_assets", "repositoryName": "__repository__"}
_QUERY = """
query Platform($repository: RepositorySelector!) {
  assetNodes {
    assetKey { path } groupName description kinds dependencyKeys { path } jobNames
    staleStatus freshnessStatusInfo { freshnessStatus }
    assetMaterializations(limit: 1) { timestamp runId }
    assetChecksOrError { ... on AssetChecks { checks {
      name description blocking
      executionForLatestMaterialization { status timestamp evaluation { severity description } }
    } } }
  }
  schedulesOrError(repositorySelector: $repository) {
    __typename
    ... on Schedules { results {
      name description pipelineName scheduleState { status } futureTicks(limit: 1) { results { timestamp } }
    } }
    ... on Error { message }
  }
  instance { daemonHealth { allDaemonStatuses { required healthy } } }
}
"""
_OUTLINE = """
query Outline { assetNodes { assetKey { path } groupName description kinds dependencyKeys { path } jobNames } }
"""
_GOING = """
query Going($filter: RunsFilter!) {
  runsOrError(filter: $filter, limit: 20) {
    ... on Runs { results { jobName creationTime startTime stepStats { stepKey status } } }
    ... on Error { message }
  }
}
"""
_UNFINISHED = ["QUEUED", "NOT_STARTED", "MANAGED", "STARTING", "STARTED"]
_LATEST = """
query Latest($keys: [AssetKeyInput!]!) {
  assetsLatestInfo(assetKeys: $keys) {
    assetKey { path } inProgressRunIds unstartedRunIds latestRun { runId jobName status startTime endTime }
  }
}
"""


class DagsterAway(ExplainedError):  # noqa: N818 - a state that pages show, not a fault of theirs
    """Dagster's webserver does not answer, or not as expected.

    Parameters
    ----------
    message : str
    remedy : str
        What to do.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message} {remedy}")
        self.message, self.remedy = message, remedy


@dataclass(frozen=True)
class Check:
    """A check of an asset, and what it found about the latest materialization.

    Attributes
    ----------
    name, about : str
    blocking : bool
        Whether what follows the asset is not made when it fails.
    result : {"passed", "warned", "failed", "not run"}
    said : str
        What it found.
    """

    name: str
    about: str
    blocking: bool
    result: Literal["passed", "warned", "failed", "not run"]
    said: str


@dataclass(frozen=True)
class LastRun:
    """The latest run that was to make an asset; `state` as Dagster names it, in lower case."""

    run_id: str
    job: str
    state: str
    ended: datetime | None


@dataclass(frozen=True)
class Asset:
    """An asset.

    Attributes
    ----------
    name, group, about : str
    kinds, parents, jobs : tuple of str
        Parents are the assets that it is made from.
    state : State
    made_at : datetime or None
        Time of its latest materialization.
    last_run : LastRun or None
    checks : tuple of Check
    """

    name: str
    group: str
    about: str
    kinds: tuple[str, ...]
    parents: tuple[str, ...]
    jobs: tuple[str, ...]
    state: State
    made_at: datetime | None
    last_run: LastRun | None
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Schedule:
    """A schedule; nothing starts at its next tick while it is off, or Dagster's daemon is down."""

    name: str
    about: str
    job: str
    on: bool
    next_tick: datetime | None


@dataclass(frozen=True)
class Going:
    """A run that has not ended.

    Attributes
    ----------
    job : str
    steps : tuple of str
        Those that run now.
    since : datetime or None
        When it started; None while it waits.
    """

    job: str
    steps: tuple[str, ...]
    since: datetime | None


@dataclass(frozen=True)
class Pipeline:
    """What Dagster knows at one moment.

    Attributes
    ----------
    assets : tuple of Asset
        Each after those that it is made from.
    schedules : tuple of Schedule
        The next tick first.
    daemon_up : bool
    at : datetime or None
        Time of the answer; None for an outline, which knows no states, schedules and daemon.
    """

    assets: tuple[Asset, ...]
    schedules: tuple[Schedule, ...] = ()
    daemon_up: bool = True
    at: datetime | None = None


class Dagster:
    """Dagster's webserver.

    Parameters
    ----------
    address : str
        As in http://127.0.0.1:3000.
    pages : str, optional
        Address of its pages for people; `address` when None.
    """

    def __init__(self, address: str, pages: str | None = None) -> None:
        self.address = address.rstrip("/")
        self.pages = (pages or address).rstrip("/")
        self._client = httpx.Client(
            timeout=httpx.Timeout(SECONDS, connect=2.0), trust_env=False, verify=self.address.startswith("https:")
        )

    def page_of_graph(self) -> str:
        """Address of the whole graph in Dagster's pages."""
        return f"{self.pages}/asset-groups"

    def page_of_asset(self, name: str) -> str:
        """Address of an asset in Dagster's pages."""
        return f"{self.pages}/assets/{name}"

    def page_of_run(self, run_id: str) -> str:
        """Address of a run in Dagster's pages."""
        return f"{self.pages}/runs/{run_id}"

    def page_of_schedules(self) -> str:
        """Address of schedules and sensors in Dagster's pages."""
        return f"{self.pages}/automation"

    def outline(self) -> Pipeline:
        """Assets and what they are made from, without states: Dagster answers this at once.

        Raises
        ------
        DagsterAway
        """
        nodes = self._nodes(self._ask(_OUTLINE, {}))
        return Pipeline(in_order(_outlined(node, "being read", None, None, ()) for node in nodes))

    def pipeline(self) -> Pipeline:
        """Assets, schedules, and whether the daemon is up.

        Raises
        ------
        DagsterAway
        """
        found = self._ask(_QUERY, {"repository": _REPOSITORY})
        nodes = self._nodes(found)
        latest = self._ask(_LATEST, {"keys": [{"path": node["assetKey"]["path"]} for node in nodes]})
        runs = {_key(each["assetKey"]): each for each in latest["assetsLatestInfo"]}
        ticking = found["schedulesOrError"]
        if "results" not in ticking:
            raise DagsterAway(f"Dagster cannot answer: {ticking.get('message', ticking['__typename'])}.", "Try again.")
        daemons = found["instance"]["daemonHealth"]["allDaemonStatuses"]
        return Pipeline(
            assets=in_order(_asset(node, runs.get(_key(node["assetKey"]), {})) for node in nodes),
            schedules=tuple(sorted(map(_schedule, ticking["results"]), key=_by_tick)),
            daemon_up=all(each["healthy"] for each in daemons if each["required"]),
            at=datetime.now(UTC),
        )

    def going(self) -> Going | None:
        """The oldest run that has not ended, started ones first; None without one.

        Raises
        ------
        DagsterAway
        """
        found = self._ask(_GOING, {"filter": {"statuses": _UNFINISHED}}).get("runsOrError") or {}
        runs = sorted(found.get("results", ()), key=lambda run: (run["startTime"] is None, run["creationTime"]))
        if not runs:
            return None
        first = runs[0]
        steps = tuple(each["stepKey"] for each in first["stepStats"] if each["status"] == "IN_PROGRESS")
        began = first["startTime"]
        return Going(first["jobName"], steps, None if began is None else datetime.fromtimestamp(began, UTC))

    def _nodes(self, found: Mapping[str, Any]) -> list[dict[str, Any]]:
        nodes: list[dict[str, Any]] = found["assetNodes"]
        if not nodes:
            remedy = "Its page Deployment shows why the code did not load."
            raise DagsterAway(f"Dagster at {self.address} has loaded no asset.", remedy)
        return nodes

    def _ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        try:
            answer = self._client.post(f"{self.address}/graphql", json={"query": query, "variables": variables})
            answer.raise_for_status()
            content = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise DagsterAway(
                f"Dagster does not answer at {self.address}.",
                "`movierec up` starts it. MOVIEREC_DAGSTER_WEBSERVER names another address.",
            ) from error
        if not isinstance(content, dict) or not (content.get("errors") or isinstance(content.get("data"), dict)):
            remedy = "MOVIEREC_DAGSTER_WEBSERVER names the address of its webserver."
            raise DagsterAway(f"What answers at {self.address} is not Dagster.", remedy)
        if content.get("errors"):
            raise DagsterAway(f"Dagster refused the request: {content['errors'][0]['message']}", "Try again.")
        data: dict[str, Any] = content["data"]
        return data


def in_order(assets: Iterable[Asset]) -> tuple[Asset, ...]:
    """Assets so that each follows those that it is made from, groups stay together, and ends come late."""
    every = list(assets)
    uses = {asset.name: sum(asset.name in each.parents for each in every) for asset in every}
    waiting = {asset.name: asset for asset in sorted(every, key=lambda asset: (-uses[asset.name], asset.name))}
    found: list[Asset] = []
    while waiting:
        ready = [asset for asset in waiting.values() if not waiting.keys() & set(asset.parents)]
        same = [asset for asset in ready if found and asset.group == found[-1].group]
        # Nothing is ready only in a circle, which Dagster refuses to load.
        following = (same or ready or list(waiting.values()))[0]
        found.append(waiting.pop(following.name))
    return tuple(found)


def _asset(node: Mapping[str, Any], run: Mapping[str, Any]) -> Asset:
    made = next(iter(node["assetMaterializations"]), None)
    made_at = None if made is None else datetime.fromtimestamp(float(made["timestamp"]) / 1000, UTC)
    checks = tuple(_check(each) for each in (node["assetChecksOrError"] or {}).get("checks", ()))
    last = _last_run(run.get("latestRun"))
    return _outlined(node, _state(node, run, last, made, checks), made_at, last, checks)


def _outlined(
    node: Mapping[str, Any], state: State, made_at: datetime | None, last: LastRun | None, checks: tuple[Check, ...]
) -> Asset:
    return Asset(
        name=_key(node["assetKey"]),
        group=node["groupName"],
        about=node["description"] or "",
        kinds=tuple(node["kinds"]),
        parents=tuple(map(_key, node["dependencyKeys"])),
        jobs=tuple(name for name in node["jobNames"] if not name.startswith("__")),
        state=state,
        made_at=made_at,
        last_run=last,
        checks=checks,
    )


def _state(
    node: Mapping[str, Any],
    run: Mapping[str, Any],
    last: LastRun | None,
    made: Mapping[str, Any] | None,
    checks: Iterable[Check],
) -> State:
    """The state that a person should know first."""
    if run.get("inProgressRunIds") or run.get("unstartedRunIds"):
        return "running"
    if last is not None and last.state == "failure" and (made is None or made["runId"] != last.run_id):
        return "failed"
    if made is None:
        return "never made"
    if any(check.result == "failed" for check in checks):
        return "check failed"
    if (node["freshnessStatusInfo"] or {}).get("freshnessStatus") in ("WARNING", "UNHEALTHY"):
        return "late"
    return "inputs newer" if node["staleStatus"] == "STALE" else "up to date"


def _check(found: Mapping[str, Any]) -> Check:
    execution = found["executionForLatestMaterialization"] or {}
    evaluation = execution.get("evaluation") or {}
    status = execution.get("status")
    result: Literal["passed", "warned", "failed", "not run"] = "not run"
    if status == "SUCCEEDED":
        result = "passed"
    elif status in ("FAILED", "EXECUTION_FAILED"):
        result = "warned" if evaluation.get("severity") == "WARN" else "failed"
    about, said = found["description"] or "", evaluation.get("description") or ""
    return Check(found["name"], about, bool(found["blocking"]), result, said)


def _last_run(found: Mapping[str, Any] | None) -> LastRun | None:
    if found is None:
        return None
    ended = found["endTime"]
    at = None if ended is None else datetime.fromtimestamp(ended, UTC)
    return LastRun(found["runId"], found["jobName"], found["status"].lower(), at)


def _schedule(found: Mapping[str, Any]) -> Schedule:
    tick = next(iter(found["futureTicks"]["results"]), None)
    at = None if tick is None else datetime.fromtimestamp(tick["timestamp"], UTC)
    on = found["scheduleState"]["status"] == "RUNNING"
    return Schedule(found["name"], found["description"] or "", found["pipelineName"], on, at)


def _by_tick(schedule: Schedule) -> tuple[float, str]:
    return (schedule.next_tick.timestamp() if schedule.next_tick else float("inf"), schedule.name)


def _key(found: Mapping[str, Any]) -> str:
    return "/".join(found["path"])
