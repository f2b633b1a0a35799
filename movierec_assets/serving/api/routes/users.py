"""Users: creating, exporting and erasing those of the app, and what anybody rated.

Belongs here: the routes. Does not: rows (`tables.app_users`), posting ratings (`ratings`), and recommendations
(`recommend`).
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from pydantic import BaseModel, Field

from movierec_assets.serving.api.fields import LARGEST_ID, NO_FIELDS, NoFields, PlainDigits, UserPath
from movierec_assets.serving.api.roles import READER, refuse_bound
from movierec_assets.serving.api.writes import REPLAYED, KeyHeader, as_text, ask, write_once
from movierec_assets.tables.app_users import create_user, erase_user, export_user, ratings_of

router = APIRouter(tags=["users"])

PageLength = Annotated[int, Query(ge=1, le=1000, description="Number of ratings, at most.", examples=[50]), PlainDigits]
PageStart = Annotated[
    int, Query(ge=0, le=LARGEST_ID, description="Number of ratings to leave out.", examples=[0]), PlainDigits
]


class NewUser(BaseModel):
    """A user of the app."""

    user_id: Annotated[
        int, Field(description="From 1,000,000,000 up: never that of a dataset's user.", examples=[1_000_000_000])
    ]
    created_at: Annotated[str, Field(description="Time in UTC.", examples=["2026-05-04T12:30:00.123456Z"])]


class Rating(BaseModel):
    """A current rating."""

    movie_id: Annotated[int, Field(examples=[318])]
    title: Annotated[str | None, Field(examples=["Shawshank Redemption, The (1994)"])]
    year: Annotated[int | None, Field(examples=[1994])]
    genres: Annotated[list[str], Field(examples=[["Crime", "Drama"]])]
    stars: Annotated[float, Field(examples=[4.5])]
    rated_at: Annotated[str, Field(description="Time in UTC.", examples=["2026-05-04T12:30:00Z"])]


class RatingPage(BaseModel):
    """Ratings of a user, the latest first."""

    user_id: Annotated[int, Field(examples=[42])]
    total: Annotated[int, Field(description="Number of the user's ratings, on all pages.", examples=[68])]
    offset: Annotated[int, Field(examples=[0])]
    ratings: list[Rating]


class ExportedUser(BaseModel):
    """Everything that is stored about a user of the app: rows as they are in the tables, without secrets."""

    user_id: Annotated[int, Field(examples=[1_000_000_000])]
    created_at: Annotated[str, Field(examples=["2026-05-04T12:30:00.123456+00:00"])]
    ratings: Annotated[
        list[dict[str, Any]], Field(description="All that were ever posted, withdrawals as well, in their order.")
    ]
    rejected_ratings: Annotated[
        list[dict[str, Any]], Field(description="Ratings that do not count, since their movie left the catalogue.")
    ]
    eligible_ratings: Annotated[
        int | None, Field(description="Number of ratings by which the model may learn from the user.")
    ]
    recommendations: Annotated[list[dict[str, Any]], Field(description="List that was computed for everybody.")]
    shown: Annotated[list[dict[str, Any]], Field(description="Lists that were answered.")]
    events: Annotated[list[dict[str, Any]], Field(description="What the user did with them.")]
    keys: Annotated[list[dict[str, Any]], Field(description="API keys for this user only, without the secret.")]
    requests: Annotated[list[dict[str, Any]], Field(description="Requests of the last day with an Idempotency-Key.")]


@router.post("/users", status_code=201, response_model=NewUser, responses={201: REPLAYED}, **READER)
async def create(
    request: Request, response: Response, _body: NoFields = NO_FIELDS, idempotency_key: KeyHeader = None
) -> Any:
    """Create a user, who has no ratings yet. The id is never given to anybody else."""
    refuse_bound(request)

    def make(cursor: Cursor) -> dict[str, Any]:
        user = create_user(cursor)
        return {"user_id": user.user_id, "created_at": as_text(user.created_at)}

    made = await write_once(request, response, idempotency_key, {}, make)
    response.headers["Location"] = f"/users/{made['user_id']}/ratings"
    return made


@router.get("/users/{user_id}/ratings", response_model=RatingPage, **READER)
async def list_ratings(request: Request, user_id: UserPath, limit: PageLength = 50, offset: PageStart = 0) -> Any:
    """Current ratings of a user, from the loaded file and the app, the latest first; withdrawn ones are left out.

    404 when there is no such user.
    """
    total, ratings = await ask(request, lambda database: ratings_of(database, user_id, limit, offset))
    return {
        "user_id": user_id,
        "total": total,
        "offset": offset,
        "ratings": [{**vars(each), "rated_at": as_text(each.rated_at)} for each in ratings],
    }


@router.get("/users/{user_id}/export", response_model=ExportedUser, **READER)
async def export(request: Request, user_id: UserPath) -> Response:
    """Everything that is stored about a user of the app.

    403 for users of the loaded dataset, 404 when there is no such user.
    """
    text = await ask(request, lambda database: export_user(database, user_id))
    return Response(text.encode(), media_type="application/json")


@router.delete("/users/{user_id}", status_code=204, **READER)
async def erase(request: Request, user_id: UserPath) -> None:
    """Erase a user of the app: ratings, lists, events, keys, and what tables hold that was computed from them.

    Nothing can be posted for the id again. Files of training hold the likes until the next training writes them anew.

    403 for users of the loaded dataset, 404 when there is no such user.
    """
    await ask(request, lambda database: erase_user(database, user_id))
