"""Runs of the platform: refresh the ratings, train, search for a recipe, and look at a run.

Belongs here: the routes and what they take. Does not: Dagster's API (`dagster_client`), launching once (`launches`).
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from movierec_assets.recsys.recipe import ConfidenceKind
from movierec_assets.serving.api.dagster_client import DagsterUnavailableError, Run
from movierec_assets.serving.api.fields import NO_FIELDS, Body, NoFields
from movierec_assets.serving.api.launches import launch_once
from movierec_assets.serving.api.problems import Problem, not_found, unavailable
from movierec_assets.serving.api.roles import OPERATOR
from movierec_assets.serving.api.worker import worker_of

router = APIRouter(tags=["operations"])

REFRESH, TRAIN, SEARCH = "refresh", "train", "search"

RunId = Annotated[
    str,
    Path(
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        description="Id of a run.",
        examples=["3f2b7c1e-6a54-4d0f-9c3e-0a1b2c3d4e5f"],
    ),
]
Positive = Annotated[float, Field(strict=True, gt=0, le=10_000)]
Share = Annotated[float, Field(strict=True, ge=0, le=10)]


class RecipeChanges(Body):
    """Numbers of the recipe to train instead of those that would be chosen; see `recsys/recipe.py`."""

    confidence: ConfidenceKind | None = None
    alpha: Positive | None = Field(None, examples=[5.0])
    regularization: Positive | None = Field(None, examples=[10.0])
    factors: int | None = Field(None, strict=True, ge=1, le=512, examples=[64])
    iterations: int | None = Field(None, strict=True, ge=1, le=100)
    seed: int | None = Field(None, strict=True, ge=0, le=2**31 - 1)
    fold_in_floor: Share | None = None
    fold_in_boost: Annotated[float, Field(strict=True, ge=0, le=100)] | None = None
    fold_in_tau: Positive | None = None
    next_movie_window: int | None = Field(None, strict=True, ge=1, le=200)
    next_movie_decay: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None
    next_movie_out_exponent: Share | None = None
    next_movie_in_exponent: Share | None = None
    next_movie_smoothing: Positive | None = None
    next_movie_tau: Positive | None = None
    next_movie_weight: Share | None = Field(None, description="0 switches the next-movie signal off.")
    next_movie_fade_hours: Positive | None = None


class Training(Body):
    """What to train."""

    recipe: RecipeChanges = RecipeChanges()
    retrain: bool = Field(
        False, strict=True, description="Train although a version of the same likes, recipe, seed and code is there."
    )


class RecipeSearch(Body):
    """How long to search, at most; without a number as long as the weekly search."""

    trials: int | None = Field(None, strict=True, ge=2, le=10_000, description="Recipes to try.", examples=[100])
    seconds: float | None = Field(None, strict=True, gt=0, le=43_200, description="Time to search.", examples=[300])


class StepState(BaseModel):
    """A step of a run; times are Unix seconds."""

    name: str = Field(examples=["als_model"])
    state: str = Field(examples=["SUCCESS"])
    started: float | None
    ended: float | None


class RunState(BaseModel):
    """A run; times are Unix seconds."""

    model_config = ConfigDict(json_schema_extra={"x-source": "Dagster"})

    run_id: str
    job: str = Field(examples=[TRAIN])
    state: str = Field(description="As Dagster names it.", examples=["QUEUED", "STARTED", "SUCCESS", "FAILURE"])
    address: str = Field(description="Where Dagster's UI shows the run.")
    created: float | None
    started: float | None
    ended: float | None
    recipe: dict[str, Any] = Field(description="Numbers of the recipe that this run was asked to train with.")
    planned: int | None = Field(description="Number of all its steps; null while Dagster does not know.", examples=[12])
    done: int = Field(description="Steps that succeeded or were skipped.", examples=[4])
    running: list[str] = Field(description="Steps that run now.", examples=[["als_model"]])
    steps: list[StepState] = Field(description="Steps that have started, in the order of their start.")
    failures: list[str] = Field(description="Why the run failed: each failed step with its error.")


class LaunchedRun(BaseModel):
    """A run that was asked for."""

    run_id: str
    job: str = Field(examples=[REFRESH])
    state: str = Field(examples=["QUEUED"])
    address: str = Field(description="Where Dagster's UI shows the run.")
    launched: bool = Field(description="False for a run that was queued or running already.")
    recipe: dict[str, Any] = Field(description="Numbers of the recipe that this run was asked to train with.")


@router.post("/refresh-mv", status_code=202, **OPERATOR)
async def refresh_ratings(request: Request, response: Response, _body: NoFields = NO_FIELDS) -> LaunchedRun:
    """Load movies and ratings if their files changed, and refresh the eligible users: the job `refresh`."""
    return await _launch(request, response, REFRESH, {})


@router.post("/train", status_code=202, **OPERATOR)
async def train(request: Request, response: Response, training: Training = Training()) -> LaunchedRun:  # noqa: B008
    """Train, evaluate, decide on the promotion, and write the recommendations: the job `train`."""
    changes = training.recipe.model_dump(exclude_none=True)
    config = {"recipe": changes, "retrain": training.retrain}
    used = {name: value for name, value in config.items() if value}
    return await _launch(request, response, TRAIN, {"ops": {"als_model": {"config": used}}} if used else {})


@router.post("/search-recipe", status_code=202, **OPERATOR)
async def search_recipe(request: Request, response: Response, search: RecipeSearch = RecipeSearch()) -> LaunchedRun:  # noqa: B008
    """Search for a better recipe, which the next training takes if it is better beyond chance: the job `search`."""
    used = search.model_dump(exclude_none=True)
    return await _launch(request, response, SEARCH, {"ops": {"hyperparameters": {"config": used}}} if used else {})


@router.get("/runs/{run_id}", **OPERATOR)
async def show_run(request: Request, run_id: RunId) -> RunState:
    """State of a run, its steps, and why it failed."""
    dagster = worker_of(request).dagster
    try:
        run = await dagster.run(run_id)
        if run is None:
            raise not_found(f"There is no run {run_id}; runs are kept as long as Dagster keeps them.")
        failures = await dagster.failures(run_id) if run.state in ("FAILURE", "CANCELED") else []
    except DagsterUnavailableError as error:
        raise _away(error) from error
    return RunState(
        run_id=run.run_id,
        job=run.job,
        state=run.state,
        address=dagster.page_of(run.run_id),
        created=run.created,
        started=run.started,
        ended=run.ended,
        recipe=_recipe_of(run),
        planned=run.planned,
        done=sum(step.state in ("SUCCESS", "SKIPPED") for step in run.steps),
        running=[step.name for step in run.steps if step.state == "IN_PROGRESS"],
        steps=[StepState(**vars(step)) for step in run.steps],
        failures=failures,
    )


async def _launch(request: Request, response: Response, job: str, config: dict[str, Any]) -> LaunchedRun:
    dagster = worker_of(request).dagster
    try:
        found = await launch_once(worker_of(request).launches, dagster, job, config)
    except DagsterUnavailableError as error:
        raise _away(error) from error
    run = found.run
    response.headers["Location"] = f"/runs/{run.run_id}"
    return LaunchedRun(
        run_id=run.run_id,
        job=job,
        state=run.state,
        address=dagster.page_of(run.run_id),
        launched=found.new,
        recipe=_recipe_of(run),
    )


def _recipe_of(run: Run) -> dict[str, Any]:
    config = run.config.get("ops", {}).get("als_model", {}).get("config", {})
    return dict(config.get("recipe", {}))


def _away(error: DagsterUnavailableError) -> Problem:
    return unavailable(f"{error} Recommendations do not need it.", retry_after=10)
