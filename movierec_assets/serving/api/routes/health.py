"""Whether this worker lives, whether it can answer, and what it depends on.

Belongs here: the routes and their texts. Does not: what the keeper saw (`serving.online.keeper`, by its file).

A worker is ready as soon as it has a snapshot, because it answers from that even when everything else is away. What is
away is told: `degraded`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from movierec_assets.serving.api.roles import OPEN
from movierec_assets.serving.api.worker import Worker, worker_of
from movierec_assets.serving.online import stored

router = APIRouter(tags=["health"])

ANSWER_SECONDS = 2.0
"""A dependency that takes longer does not answer."""
SHARED_SECONDS = 1.0
"""Everybody who asks within this time gets the same answer: these routes have no limit of requests."""
KEEPER_SECONDS = 15.0
"""A keeper that wrote nothing for so long has ended, or hangs."""


class Alive(BaseModel):
    """The worker answers."""

    status: Literal["alive"] = "alive"


class Dependency(BaseModel):
    """What the API needs, or works together with."""

    answers: Annotated[
        bool | None, Field(description="null when that is not known: the keeper or Dagster, who would know, is away.")
    ]
    milliseconds: Annotated[float | None, Field(description="Time of its last answer.", examples=[1.7])] = None
    without: Annotated[str, Field(description="What works while it does not answer.")]


class ServedModel(BaseModel):
    """The model that answers come from."""

    version: Annotated[int | None, Field(description="null while there is none to answer from.", examples=[7])]
    champion: Annotated[
        int | None,
        Field(description="Version that MLflow names now; it is served a few seconds later.", examples=[7]),
    ]
    promoted_at: Annotated[float | None, Field(description="Unix seconds, where that is known.")]
    age_seconds: Annotated[float | None, Field(description="Since it became the champion.", examples=[86_400.0])]
    dataset: Annotated[str | None, Field(description="The loaded dataset.", examples=["ml-latest-small"])]
    movies: Annotated[int, Field(description="In the catalogue.", examples=[9742])]
    users: Annotated[
        int | None,
        Field(description="Users whose state is kept; null while everybody's ratings are read.", examples=[610]),
    ]
    why_none: Annotated[str | None, Field(description="Why there is no model.")]


class Health(BaseModel):
    """State of the worker that answers, and of everything around it."""

    status: Annotated[
        Literal["ready", "degraded", "starting"],
        Field(
            description="`ready`: everything works. `degraded`: recommendations are answered, and something named in "
            "`problems` does not work. `starting`: there is nothing to answer from yet."
        ),
    ]
    problems: list[str]
    model: ServedModel
    dependencies: dict[Literal["database", "mlflow", "dagster", "daemon", "keeper"], Dependency]


@router.get("/health/live", **OPEN)
async def live() -> Alive:
    """Whether this worker answers at all: restart it when it does not."""
    return Alive()


@router.get("/health", **OPEN)
async def health(request: Request) -> Health:
    """State of the API, for people; always 200."""
    return await _shared(request)


@router.get(
    "/health/ready",
    responses={503: {"model": Health, "description": "There is nothing to answer from yet."}},
    **OPEN,
)
async def ready(request: Request, response: Response) -> Health:
    """Whether to send requests here: 503 until there is a snapshot, 200 from then on, also when something is away."""
    found = await _shared(request)
    if found.status == "starting":
        response.status_code = 503
        response.headers["Retry-After"] = "2"
    return found


async def _shared(request: Request) -> Health:
    """The state a moment ago, or now."""
    state = request.app.state
    asked_at, answer = getattr(state, "health", (0.0, None))
    if answer is None or time.monotonic() - asked_at > SHARED_SECONDS:
        answer = asyncio.ensure_future(_health(worker_of(request)))
        state.health = (time.monotonic(), answer)
    found: Health = await asyncio.shield(answer)
    return found


async def _health(worker: Worker) -> Health:
    directory = stored.directory_of(worker.settings.state)
    daemon: bool | None = None

    async def ask_dagster() -> None:
        nonlocal daemon
        daemon = await worker.dagster.daemon_lives()

    (database, database_time), (dagster, dagster_time), keeper = await asyncio.gather(
        _timed(worker.queries.run(lambda database: database.rows("SELECT 1"))),
        _timed(ask_dagster()),
        asyncio.to_thread(stored.read_json, directory / stored.KEEPER),
    )
    seen = keeper or {}
    keeper_lives = time.time() - seen.get("at", 0.0) < KEEPER_SECONDS
    mlflow = seen.get("mlflow", {}) if keeper_lives else {}
    dependencies: dict[Any, Dependency] = {
        "database": Dependency(
            answers=database,
            milliseconds=database_time,
            without="recommendations for liked movies, popular movies, search",
        ),
        "mlflow": Dependency(
            answers=mlflow.get("answers"),
            milliseconds=mlflow.get("milliseconds"),
            without="everything but a change of the champion; the last one stays",
        ),
        "dagster": Dependency(
            answers=dagster, milliseconds=dagster_time, without="everything but training, refreshes, and runs"
        ),
        "daemon": Dependency(answers=daemon, without="everything but schedules, sensors, alerts, and runs that wait"),
        "keeper": Dependency(
            answers=keeper_lives, without="everything but a change of the champion or the dataset; the last ones stay"
        ),
    }
    model = _model(worker, seen.get("alias"))
    problems = [f"{name} does not answer" for name, each in dependencies.items() if each.answers is False]
    problems += _problems(worker, model, seen if keeper_lives else {})
    status: Literal["ready", "degraded", "starting"] = "degraded" if problems else "ready"
    return Health(
        status=status if worker.current.found else "starting",
        problems=problems,
        model=model,
        dependencies=dependencies,
    )


def _model(worker: Worker, champion: int | None) -> ServedModel:
    snapshot = worker.current.snapshot
    served = snapshot.champion
    promoted_at = None if served is None else served.promoted_at
    return ServedModel(
        version=None if served is None else served.version,
        champion=champion,
        promoted_at=promoted_at,
        age_seconds=None if promoted_at is None else round(time.time() - promoted_at, 1),
        dataset=snapshot.catalogue.dataset,
        movies=len(snapshot.catalogue.movie_ids),
        users=None if snapshot.users is None else len(snapshot.users.user_ids),
        why_none=snapshot.why_none,
    )


def _problems(worker: Worker, model: ServedModel, seen: dict[str, Any]) -> list[str]:
    """Problems of the snapshot; files and addresses, which texts of errors name, are in the log only."""
    found = []
    if model.version is None:
        found.append("there is no model to answer from")
    elif model.champion not in (None, model.version):
        found.append(f"version {model.champion} is the champion, and version {model.version} is served")
    if worker.current.problem is not None:
        found.append("files of the snapshot are damaged; the keeper makes them again")
    return found + [f"{what}: see the keeper's log" for what in sorted(seen.get("problems", {}))]


async def _timed(answer: Awaitable[Any]) -> tuple[bool, float | None]:
    """Whether something answers in time, and how many milliseconds it took."""
    started = time.perf_counter()
    try:
        await asyncio.wait_for(answer, ANSWER_SECONDS)
    except Exception:  # noqa: BLE001 - whatever it is, the dependency does not answer
        return False, None
    return True, round((time.perf_counter() - started) * 1000, 2)
