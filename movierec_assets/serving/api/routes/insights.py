"""Documents of figures that runs made, for people to look at.

Belongs here: the route, and which version a document is asked of. Does not: the figures (the assets that make them).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field

from movierec_assets.serving.api.fields import LARGEST_ID, PlainDigits
from movierec_assets.serving.api.problems import not_found, out_of_range
from movierec_assets.serving.api.roles import READER, refuse_bound
from movierec_assets.serving.api.worker import worker_of
from movierec_assets.tables.app_ratings import AppCounts
from movierec_assets.tables.database import Database
from movierec_assets.tables.insights import KINDS, Insight, InsightName, read_insight

router = APIRouter(tags=["models"])

Name = Annotated[InsightName, Path(description="Name of the document.", examples=["dataset"])]
OfVersion = Annotated[
    int | None,
    Query(
        ge=1,
        le=LARGEST_ID,
        description="Version of the model, for documents that are about one; the served champion by default.",
        examples=[3],
    ),
    PlainDigits,
]


class InTheApp(BaseModel):
    """Ratings that users posted, as they are now or, where counting takes long, were a moment ago."""

    ratings: int = Field(description="Ratings and withdrawals of movies of the loaded dataset.")
    users: int = Field(description="People who posted them.")
    today: int = Field(description="Posted since midnight, UTC.")


class InsightAnswer(BaseModel):
    """A document."""

    name: InsightName
    version: int | None = Field(description="Version that it is about; null where it is about none.", examples=[None])
    made_at: datetime
    document: dict[str, Any] = Field(examples=[{"counts": {"ratings": 100836, "users": 610}}])
    in_the_app: InTheApp | None = Field(None, description="With the document dataset, which counts the file only.")


@router.get("/insights/{name}", **READER)
async def show_insight(request: Request, name: Name, version: OfVersion = None) -> InsightAnswer:
    """Figures that the latest run of an asset left: of the dataset, its preprocessing, training and evaluation."""
    refuse_bound(request)
    worker, asked = worker_of(request), _version(request, name, version)

    def read(database: Database) -> tuple[Insight | None, AppCounts | None]:
        found = read_insight(database, name, asked)
        if found is None or name != "dataset":
            return found, None
        return found, worker.app_counts.of(database, (found.made_at, datetime.now(UTC).date()))

    found, in_the_app = await worker.queries.run(read)
    if found is None:
        of_version = "" if asked is None else f" of version {asked}"
        raise not_found(f"{name}: the document{of_version} was not made. `{KINDS[name].made_by}` makes it.")
    return InsightAnswer(
        name=name,
        version=asked,
        made_at=found.made_at,
        document=found.document,
        in_the_app=None if in_the_app is None else InTheApp(**in_the_app._asdict()),
    )


def _version(request: Request, name: InsightName, version: int | None) -> int | None:
    """The version that a document is asked of; None for a document that is about none."""
    if not KINDS[name].of_version:
        if version is not None:
            raise out_of_range("query.version", f"the document {name} is not about a version; leave it out.")
        return None
    if version is not None:
        return version
    snapshot = worker_of(request).current.snapshot
    if snapshot.champion is None:
        raise not_found(
            f"{name}: there is no champion to show it of. {snapshot.why_none or ''} "
            "Name a version with `version`, or run `movierec run`."
        )
    return snapshot.champion.version
