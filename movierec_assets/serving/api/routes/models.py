"""Versions of the model, and which one is the champion.

Belongs here: the routes and what they take. Does not: reading the registry (`online.registry_view`), changing the
champion (`serving.registry_change`).
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from movierec_assets.serving import registry_change
from movierec_assets.serving.api.fields import Body, ListLength, Text
from movierec_assets.serving.api.problems import Problem, unavailable
from movierec_assets.serving.api.roles import OPERATOR, READER, caller_of
from movierec_assets.serving.api.worker import worker_of
from movierec_assets.serving.online.registry_view import RegistryView
from movierec_assets.serving.registry_change import Change, ChangeRefusedError, Refusal
from movierec_assets.tables.api_keys import find_key

router = APIRouter(tags=["models"])

_STATUS: dict[Refusal, tuple[int, str]] = {
    "no such version": (404, "Not found"),
    "refused": (409, "Not possible now"),
    "busy": (409, "Not possible now"),
    "unavailable": (503, "Temporarily unavailable"),
}


_NOT_NOW: dict[int | str, dict[str, Any]] = {
    409: {"description": "The change is refused, as of a version that is the champion, or another one is under way."}
}
_NO_VERSION: dict[int | str, dict[str, Any]] = {404: {"description": "There is no such version."}}


class Decision(BaseModel):
    """A decision about the champion."""

    decision_id: int
    decided_at: str
    model_version: int
    previous_champion: int | None
    outcome: str = Field(examples=["improvement"])
    promoted: bool
    reason: str
    numbers: dict[str, Any]
    dagster_run_id: str | None
    decided_by: str
    state: str = Field(examples=["done"])


class VersionState(BaseModel):
    """A version of the model."""

    version: int
    aliases: list[str] = Field(examples=[["champion"]])
    created: str | None
    dataset: str | None
    dataset_id: int | None
    positive_threshold: float | None
    outcome: str | None = Field(description="Of the last decision about it.")
    reason: str | None
    metrics: dict[str, float] = Field(
        description="As in MLflow: names that begin with return_ are for people who come back, others in the sitting."
    )
    held_back: dict[str, Any] | None
    recipe: dict[str, Any]
    provenance: dict[str, Any]
    decisions: list[Decision] = Field(description="Decisions about it, newest first.")


class Served(BaseModel):
    """What this worker answers with."""

    version: int | None
    why_none: str | None


class ModelState(BaseModel):
    """The champion."""

    champion: VersionState | None
    no_champion: str | None = Field(description="Why no version is the champion.")
    served: Served = Field(description="The version that answers now; it follows the champion within seconds.")
    as_of: float = Field(description="When the registry was read, in Unix seconds.")


class Models(BaseModel):
    """Versions, newest first."""

    versions: list[VersionState]
    as_of: float = Field(description="When the registry was read, in Unix seconds.")


class Rollback(Body):
    """Why the previous champion becomes the champion again."""

    reason: Text = Field(description="Kept with the decision.", examples=["Complaints about the lists of today."])
    force: bool = Field(False, strict=True, description="Accept a version of other data than the loaded one.")


class Promotion(Rollback):
    """The version that becomes the champion, and why."""

    version: Annotated[int, Field(strict=True, ge=1, le=2**31 - 1, examples=[3])]


class Changed(BaseModel):
    """A change of the champion."""

    champion: int
    previous: int | None
    decision: Decision
    follows: str = Field(description="What follows the champion, and when.")


@router.get("/model", **READER)
async def show_model(request: Request) -> ModelState:
    """The champion: metrics of both moments, recipe, provenance, and the decisions about it."""
    view = _view(request)
    champion = next((each for each in view.versions if each["version"] == view.champion), None)
    snapshot = worker_of(request).current.snapshot
    served = Served(version=snapshot.champion.version if snapshot.champion else None, why_none=snapshot.why_none)
    found = None if champion is None else VersionState(**champion)
    return ModelState(champion=found, no_champion=view.no_champion, served=served, as_of=view.at)


@router.get("/models", **READER)
async def list_models(request: Request, n: ListLength = 20) -> Models:
    """The newest versions, and those that carry an alias, with metrics and decisions."""
    view = _view(request)
    versions = [VersionState(**each) for place, each in enumerate(view.versions) if place < n or each["aliases"]]
    return Models(versions=versions, as_of=view.at)


@router.post("/model/promote", responses=_NO_VERSION | _NOT_NOW, **OPERATOR)
async def promote(request: Request, promotion: Promotion) -> Changed:
    """Make a version the champion, as `movierec model promote` does."""
    return await _change(request, promotion, promotion.version)


@router.post("/model/rollback", responses=_NO_VERSION | _NOT_NOW, **OPERATOR)
async def rollback(request: Request, rollback: Rollback) -> Changed:
    """Return to the previous champion, as `movierec model rollback` does."""
    return await _change(request, rollback, None)


async def _change(request: Request, asked: Rollback, version: int | None) -> Changed:
    change = Change(version, asked.reason, await _who(request), asked.force)
    try:
        done = await registry_change.carry_out(change)
    except ChangeRefusedError as error:
        status, title = _STATUS[error.kind]
        raise Problem(status, title, str(error), {"Retry-After": "5"} if status == 503 else None) from error
    decision = Decision(**done["decision"])
    follows = (
        "Workers serve it within 30 s; the tables follow by a run of `publish`, which a sensor of Dagster requests "
        "within a minute."
    )
    return Changed(
        champion=decision.model_version,
        previous=decision.previous_champion,
        decision=decision,
        follows=follows if done["other_data"] is None else f"The version is of other data: {done['other_data']}.",
    )


async def _who(request: Request) -> str:
    """The key of a request, by its name and id."""
    key_id = caller_of(request).key_id or ""
    key = await worker_of(request).queries.run(lambda database: find_key(database, key_id))
    return f"API key {key_id}" if key is None else f"API key {key.label} ({key_id})"


def _view(request: Request) -> RegistryView:
    view = RegistryView.read(worker_of(request).settings)
    if view is None:
        raise unavailable("The registry was not read yet; the keeper of `movierec api` does so when it starts.")
    return view
