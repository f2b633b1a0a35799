"""Runs of Dagster over its GraphQL API, so that a worker need not import Dagster.

Belongs here: requests to Dagster's webserver, and what its answers mean. Does not: launching
once (`launches`).

Dagster concept: https://docs.dagster.io/api/graphql
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import httpx

from movierec_assets.settings import Settings

SECONDS = 5.0
"""Longest wait for an answer; a launch takes 0.2 s."""
UNFINISHED = ("QUEUED", "NOT_STARTED", "MANAGED", "STARTING", "STARTED", "CANCELING")

REPOSITORY = {"repositoryLocationName": "movierec_assets", "repositoryName": "__repository__"}
"""How Dagster finds the platform's definitions."""
_EVENTS, _PAGES = 1000, 20
"""Events of one page, and pages of a run that are looked at for failures."""
_RUN = """
    runId jobName status creationTime startTime endTime runConfig
    tags { key value }
    stepStats { stepKey status startTime endTime }
    executionPlan { steps { key } }
"""
_LAUNCH = """
mutation Launch($parameters: ExecutionParams!) {
  launchRun(executionParams: $parameters) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on PipelineNotFoundError { message }
    ... on Error { message }
  }
}
"""
_FIND_UNFINISHED = f"""
query Unfinished($filter: RunsFilter!) {{
  runsOrError(filter: $filter, limit: 20) {{
    __typename
    ... on Runs {{ results {{ {_RUN} assetSelection {{ path }} }} }}
    ... on Error {{ message }}
  }}
}}
"""
_FIND = f"""
query Run($runId: ID!) {{
  runOrError(runId: $runId) {{
    __typename
    ... on Run {{ {_RUN} }}
    ... on Error {{ message }}
  }}
}}
"""
_FAILURES = """
query Failures($runId: ID!, $after: String, $limit: Int) {
  runOrError(runId: $runId) {
    ... on Run {
      eventConnection(afterCursor: $after, limit: $limit) {
        cursor hasMore
        events {
          __typename
          ... on MessageEvent { message stepKey }
          ... on ExecutionStepFailureEvent { error { ...named cause { ...named cause { ...named } } } }
        }
      }
    }
  }
}
fragment named on PythonError { className message }
"""
_DAEMON = "query Daemon { instance { daemonHealth { allDaemonStatuses { required lastHeartbeatTime } } } }"


HEARTBEAT_SECONDS = 180.0
"""Age of a heartbeat at which the daemon has ended or hangs; it writes one every 30 seconds."""


class DagsterUnavailableError(RuntimeError):
    """Dagster does not answer, or not as expected; the message says at which address."""


@dataclass(frozen=True)
class Step:
    """A step of a run.

    Attributes
    ----------
    name : str
    state : str
        As in "SUCCESS"; "IN_PROGRESS" while it runs.
    started, ended : float or None
        Unix seconds.
    """

    name: str
    state: str
    started: float | None
    ended: float | None


@dataclass(frozen=True)
class Run:
    """A run.

    Attributes
    ----------
    run_id : str
    job : str
    state : str
        As in "QUEUED", "STARTED", "SUCCESS", "FAILURE", "CANCELED".
    created, started, ended : float or None
        Unix seconds.
    config : dict
    steps : list of Step
        Those that have started, in the order of their start.
    planned : int or None
        Number of all steps; None while Dagster does not know.
    """

    run_id: str
    job: str
    state: str
    created: float | None
    started: float | None
    ended: float | None
    config: dict[str, Any]
    steps: list[Step]
    planned: int | None = None


class DagsterClient:
    """Dagster's webserver.

    Parameters
    ----------
    address : str
        As in "http://127.0.0.1:3000".
    pages : str, optional
        Address of its pages for people; `address` when None.
    """

    def __init__(self, address: str, pages: str | None = None) -> None:
        self.address = address.rstrip("/")
        self._pages = (pages or address).rstrip("/")
        self._http = httpx.AsyncClient(timeout=SECONDS, trust_env=False, verify=self.address.startswith("https:"))

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The webserver that the settings name."""
        return cls(settings.dagster_address, settings.dagster_pages)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    def page_of(self, run_id: str) -> str:
        """Address of a run in Dagster's UI, for people."""
        return f"{self._pages}/runs/{run_id}"

    async def daemon_lives(self) -> bool:
        """Whether each part of Dagster's daemon was heard of in the last `HEARTBEAT_SECONDS`.

        Raises
        ------
        DagsterUnavailableError
        """
        statuses = (await self.ask(_DAEMON, {}))["instance"]["daemonHealth"]["allDaemonStatuses"]
        beats = [each["lastHeartbeatTime"] for each in statuses if each["required"]]
        return all(beat is not None and time.time() - beat < HEARTBEAT_SECONDS for beat in beats)

    async def launch(self, job: str, config: Mapping[str, Any]) -> str:
        """Launch a job; returns the id of the run.

        Raises
        ------
        DagsterUnavailableError
        """
        selector = {**REPOSITORY, "pipelineName": job}
        tags = [{"key": "movierec/launched_by", "value": "API"}]
        parameters = {"selector": selector, "runConfigData": dict(config), "executionMetadata": {"tags": tags}}
        found = await self.ask(_LAUNCH, {"parameters": parameters})
        result = found["launchRun"]
        if result["__typename"] != "LaunchRunSuccess":
            messages = [each["message"] for each in result.get("errors", [result])]
            raise DagsterUnavailableError(f"Dagster did not launch {job}: {' '.join(messages)}")
        return str(result["run"]["runId"])

    async def unfinished(self, job: str) -> Run | None:
        """The oldest whole run of a job that is queued or running; runs of some of its assets do not count.

        Raises
        ------
        DagsterUnavailableError
        """
        found = await self.ask(_FIND_UNFINISHED, {"filter": {"pipelineName": job, "statuses": UNFINISHED}})
        runs = _result(found["runsOrError"])["results"]
        whole = [run for run in runs if not run["assetSelection"]]
        return _run(min(whole, key=lambda run: run["creationTime"])) if whole else None

    async def run(self, run_id: str) -> Run | None:
        """A run; None when there is none with this id.

        Raises
        ------
        DagsterUnavailableError
        """
        found = (await self.ask(_FIND, {"runId": run_id}))["runOrError"]
        if found["__typename"] == "RunNotFoundError":
            return None
        return _run(_result(found))

    async def failures(self, run_id: str) -> list[str]:
        """Why a run failed: each failed step with its error, or else what Dagster says about the run.

        Raises
        ------
        DagsterUnavailableError
        """
        of_steps, of_run, after = [], [], None
        for _ in range(_PAGES):
            found = await self.ask(_FAILURES, {"runId": run_id, "after": after, "limit": _EVENTS})
            page = found["runOrError"]["eventConnection"]
            for event in page["events"]:
                if event["__typename"] == "ExecutionStepFailureEvent":
                    of_steps.append(f"{event['stepKey']}: {_cause(event)}")
                elif event["__typename"] in ("RunFailureEvent", "RunCanceledEvent"):
                    of_run.append(event["message"])
            if not page["hasMore"]:
                break
            after = page["cursor"]
        return of_steps or of_run

    async def ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The data that answer a GraphQL query.

        Raises
        ------
        DagsterUnavailableError
        """
        try:
            answer = await self._http.post(f"{self.address}/graphql", json={"query": query, "variables": variables})
            answer.raise_for_status()
            content = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise DagsterUnavailableError(
                f"Dagster does not answer at {self.address} ({type(error).__name__}). It is a part of `movierec up`."
            ) from error
        if content.get("errors"):
            raise DagsterUnavailableError(f"Dagster refused the request: {content['errors'][0]['message']}")
        data: dict[str, Any] = content["data"]
        return data


def _result(found: dict[str, Any]) -> dict[str, Any]:
    if found["__typename"] not in ("Run", "Runs"):
        raise DagsterUnavailableError(f"Dagster cannot answer: {found.get('message', found['__typename'])}")
    return found


def _run(found: Mapping[str, Any]) -> Run:
    steps = [Step(each["stepKey"], each["status"], each["startTime"], each["endTime"]) for each in found["stepStats"]]
    return Run(
        run_id=found["runId"],
        job=found["jobName"],
        state=found["status"],
        created=found["creationTime"],
        started=found["startTime"],
        ended=found["endTime"],
        config=dict(found["runConfig"] or {}),
        steps=sorted(steps, key=lambda step: (step.started is None, step.started or 0.0)),
        planned=len(found["executionPlan"]["steps"]) if found["executionPlan"] else None,
    )


def _cause(event: Mapping[str, Any]) -> str:
    """Message of the error that the asset raised, without Dagster's wrapping."""
    error = event["error"]
    while error and error["className"].startswith("Dagster") and error.get("cause"):
        error = error["cause"]
    text = str(error["message"] if error else event["message"]).strip()
    # The text is "module.Class: message".
    head, separator, rest = text.partition(": ")
    return rest if separator and " " not in head else text
