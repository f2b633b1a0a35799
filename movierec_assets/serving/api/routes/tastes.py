"""Which genres a user is expected to like.

Belongs here: the route. Does not: counting genres (`serving.online.tastes`), and lists of movies (`recommend`).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from movierec_assets.serving.api.fields import UserPath
from movierec_assets.serving.api.problems import missing
from movierec_assets.serving.api.roles import READER
from movierec_assets.serving.api.worker import worker_of
from movierec_assets.serving.online.answering import UnknownIdError, known_of
from movierec_assets.serving.online.requests import Request as ListRequest

router = APIRouter(tags=["users"])


class ExpectedGenre(BaseModel):
    """How much the model expects a user to like a genre."""

    genre: Annotated[str, Field(examples=["Comedy"])]
    score: Annotated[float, Field(description="`share - usual`, from -1 to 1.", examples=[0.17])]
    share: Annotated[
        float,
        Field(description="Share of the genre among the user's 100 best movies, rated or not.", examples=[0.41]),
    ]
    usual: Annotated[float, Field(description="Share of the genre among the 100 most liked movies.", examples=[0.24])]


class ExpectedGenres(BaseModel):
    """Genres of a user, the most preferred first."""

    user_id: Annotated[int, Field(examples=[42])]
    model_version: Annotated[int | None, Field(description="null without a model of the loaded data.", examples=[7])]
    why_none: Annotated[str | None, Field(description="Why there are no genres.")]
    genres: list[ExpectedGenre]


@router.get("/users/{user_id}/genres", **READER)
async def expected_genres(request: Request, user_id: UserPath) -> ExpectedGenres:
    """Which genres the model expects a user to like, from the ratings as they are at this moment.

    404 when there is no such user.
    """
    worker = worker_of(request)
    ranker, wanted = worker.ranker, ListRequest(user_id=user_id)
    try:
        known = await known_of(wanted, ranker, worker.live, worker.queries)
    except UnknownIdError as error:
        raise missing("path.user_id", str(error)) from None
    found = ranker.genres(wanted, known.ratings)
    return ExpectedGenres(
        user_id=user_id,
        model_version=found.model_version,
        why_none=found.why_none,
        genres=[ExpectedGenre(**asdict(each)) for each in found.genres],
    )
