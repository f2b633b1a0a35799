"""Ratings of users: posting and withdrawing.

Belongs here: the routes. Does not: rows and the order in which they count (`tables.app_ratings`), and lists of ratings
(`users`).
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from pydantic import AfterValidator, BaseModel, Field

from movierec_assets.serving.api.fields import Body, Id, MoviePath, UserPath
from movierec_assets.serving.api.roles import READER, allow_user
from movierec_assets.serving.api.writes import REPLAYED, KeyHeader, as_text, ask, write_once
from movierec_assets.tables.app_ratings import are_stars, post_rating, withdraw_rating
from movierec_assets.tables.database import Database

router = APIRouter(tags=["ratings"])


def _half_stars(value: float) -> float:
    if not are_stars(value):
        raise ValueError("must be 0.5 to 5.0 in steps of 0.5")
    return value


Stars = Annotated[
    float,
    Field(
        strict=True,
        ge=0.5,
        le=5,
        json_schema_extra={"multipleOf": 0.5},
        description="0.5 to 5.0 in steps of 0.5, read as a double: digits after the 15th may be rounded away.",
        examples=[4.5],
    ),
    AfterValidator(_half_stars),
]


class NewRating(Body):
    """A rating of a movie by a user."""

    user_id: Annotated[Id, Field(description="Of the app or of the loaded dataset.", examples=[42])]
    movie_id: Annotated[Id, Field(description="Of the catalogue.", examples=[318])]
    stars: Stars


class PostedRating(BaseModel):
    """A rating that counts from now on."""

    rating_id: Annotated[int, Field(description="Ascends with each change of any rating.", examples=[1])]
    user_id: Annotated[int, Field(examples=[42])]
    movie_id: Annotated[int, Field(examples=[318])]
    stars: Annotated[float, Field(examples=[4.5])]
    rated_at: Annotated[str, Field(description="Time in UTC.", examples=["2026-05-04T12:30:00.123456Z"])]
    added: Annotated[
        bool,
        Field(description="False when the user's latest rating of the movie had the same stars: it counts once."),
    ]


class WithdrawnRating(BaseModel):
    """A rating that does not count any more."""

    rating_id: Annotated[int, Field(description="Of the withdrawal.", examples=[2])]
    user_id: Annotated[int, Field(examples=[42])]
    movie_id: Annotated[int, Field(examples=[318])]
    withdrawn_at: Annotated[str, Field(description="Time in UTC.", examples=["2026-05-04T12:31:00.123456Z"])]


@router.post(
    "/ratings",
    status_code=201,
    response_model=PostedRating,
    responses={201: REPLAYED, 404: {"description": "There is no such user or movie."}},
    **READER,
)
async def rate(request: Request, response: Response, body: NewRating, idempotency_key: KeyHeader = None) -> Any:
    """Rate a movie. The rating counts in the next recommendation, instead of any earlier one of the movie.

    404 when there is no such user or movie.
    """
    allow_user(request, body.user_id)

    def post(cursor: Cursor) -> dict[str, Any]:
        posted = post_rating(cursor, body.user_id, body.movie_id, body.stars)
        return {
            "rating_id": posted.rating_id,
            **body.model_dump(),
            "rated_at": as_text(posted.rated_at),
            "added": posted.added,
        }

    return await write_once(request, response, idempotency_key, body.model_dump(), post)


@router.delete("/ratings/{user_id}/{movie_id}", response_model=WithdrawnRating, **READER)
async def withdraw(request: Request, user_id: UserPath, movie_id: MoviePath) -> Any:
    """Withdraw a rating: for recommendations, the user has not rated the movie, in the loaded file either.

    404 when the user has no rating of the movie.
    """

    def write(database: Database) -> dict[str, Any]:
        with database.transaction() as cursor:
            posted = withdraw_rating(cursor, user_id, movie_id)
        return {
            "rating_id": posted.rating_id,
            "user_id": user_id,
            "movie_id": movie_id,
            "withdrawn_at": as_text(posted.rated_at),
        }

    return await ask(request, write)
