"""Bodies of requests for lists, and of their answers.

Belongs here: fields, bounds, descriptions and examples. Does not: what they mean (`serving.online.requests`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from movierec_assets.recsys.moment import ON_RETURN
from movierec_assets.serving.api.fields import Body, Id, Text
from movierec_assets.serving.online import requests as online
from movierec_assets.serving.online.requests import MAX_MOVIES, MAX_REQUESTS, MAX_WEIGHT, NO_FILTERS

_MOST_LIKED, _MOST_TITLES, _MOST_EXCLUDED, _MOST_GENRES, _MOST_BOOSTS = 500, 20, 1000, 20, 5

Genres = Annotated[tuple[Text, ...], Field(max_length=_MOST_GENRES)]
Year = Annotated[int, Field(strict=True, ge=1800, le=2200)]
Seconds = Annotated[int, Field(strict=True, ge=0, le=2**32 - 1)]
Scenario = Annotated[Text, Field(max_length=64)]


class FiltersBody(Body):
    """Which movies may be listed. A movie has to pass each filter that is given."""

    genres_any: Annotated[Genres, Field(description="At least one of these genres.", examples=[["Comedy"]])] = ()
    genres_all: Annotated[Genres, Field(description="All of these genres.")] = ()
    genres_none: Annotated[Genres, Field(description="None of these genres.", examples=[["Horror"]])] = ()
    year_from: Annotated[Year | None, Field(description="The first year.", examples=[1990])] = None
    year_to: Annotated[Year | None, Field(description="The last year.")] = None
    exclude_ids: Annotated[
        tuple[Id, ...],
        Field(max_length=_MOST_EXCLUDED, description="Movies that are not listed; unknown ids do no harm."),
    ] = ()
    include_seen: Annotated[
        bool, Field(strict=True, description="Whether movies that the user has rated may be listed.")
    ] = False


class BoostBody(Body):
    """Lifts movies with a property: a weight of 1 adds the standard deviation of the scores for each unit of it."""

    kind: Annotated[
        Literal["genre", "newer", "less_popular"],
        Field(
            description="`genre`: movies of at least one of `genres`. `newer`: by year. `less_popular`: by the "
            "number of likes. The latter two are standardized over all movies.",
            examples=["newer"],
        ),
    ]
    weight: Annotated[
        float,
        Field(
            strict=True,
            ge=-MAX_WEIGHT,
            le=MAX_WEIGHT,
            description="1 adds the standard deviation of the scores for each unit; negative weights push down.",
            examples=[0.5],
        ),
    ]
    genres: Annotated[
        Genres, Field(validate_default=True, description="For `genre`: at least one. The other kinds take none.")
    ] = ()

    @field_validator("genres")
    @classmethod
    def _of_kind(cls, genres: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        kind = info.data.get("kind")  # missing where it is refused itself
        if kind == "genre" and not genres:
            raise ValueError("A boost by genre names at least one genre")
        if kind not in (None, "genre") and genres:
            raise ValueError(f"A boost of the kind {kind} takes no genres; leave them out, or add a boost by genre")
        return genres


class RecommendBody(Body):
    """Whose list, how long, which movies, and in which order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"user_id": 42, "n": 10, "filters": {"genres_any": ["Comedy"], "year_from": 1990}, "explain": True},
                {"liked_movie_ids": [1, 260], "diversity": 0.3},
                {"liked_titles": ["The Matrix"], "boost": [{"kind": "less_popular", "weight": 0.5}]},
            ]
        }
    )

    user_id: Annotated[Id | None, Field(description="A user, of the file or of the app.", examples=[42])] = None
    liked_movie_ids: Annotated[
        tuple[Id, ...],
        Field(
            max_length=_MOST_LIKED,
            description="Movies that count as liked now, beside the ratings of the user.",
            examples=[[1, 260]],
        ),
    ] = ()
    liked_titles: Annotated[
        tuple[Text, ...],
        Field(
            max_length=_MOST_TITLES,
            description="Like `liked_movie_ids`, as people type titles.",
            examples=[["The Matrix"]],
        ),
    ] = ()
    n: Annotated[int, Field(strict=True, ge=1, le=MAX_MOVIES, description="Movies, at most.", examples=[10])] = 10
    scenario: Annotated[
        Scenario | None, Field(description="Where the list is shown, for the log.", examples=["start page"])
    ] = None
    filters: FiltersBody | None = None
    boost: Annotated[
        tuple[BoostBody, ...], Field(max_length=_MOST_BOOSTS, description="What lifts movies or pushes them down.")
    ] = ()
    diversity: Annotated[
        float,
        Field(
            strict=True,
            ge=0,
            le=1,
            description="0 lists the best movies, 1 the most unlike ones of the best 200.",
        ),
    ] = 0.0
    explain: Annotated[bool, Field(strict=True, description="Whether each movie has reasons.")] = False
    shown: Annotated[
        bool,
        Field(
            strict=True,
            description="`false` where the user does not see the list, as when somebody looks at how it is made: it is "
            "not in the log, counts in no figure, and has no `recommendation_id`.",
        ),
    ] = True
    at: Annotated[
        Literal["latest", "return"] | Seconds | None,
        Field(
            description="The moment that the list is for: `latest`, right after the user's latest like; `return`, a "
            "day after it; or a time in Unix seconds. Without it: now.",
            examples=["return"],
        ),
    ] = None

    def request(self, liked_by_title: tuple[int, ...] = ()) -> online.Request:
        """The request, with movies that were named by their titles."""
        filters, given = NO_FILTERS, self.filters
        if given is not None:
            filters = online.Filters(
                given.genres_any, given.genres_all, given.genres_none, given.year_from, given.year_to
            )
        return online.Request(
            user_id=self.user_id,
            liked_movie_ids=(*self.liked_movie_ids, *liked_by_title),
            n=self.n,
            filters=filters,
            exclude_ids=given.exclude_ids if given is not None else (),
            include_seen=given is not None and given.include_seen,
            boosts=tuple(online.Boost(boost.kind, boost.weight, boost.genres) for boost in self.boost),
            diversity=self.diversity,
            explain=self.explain,
            at=None if self.at == "return" else self.at,
            elapsed=int(ON_RETURN) if self.at == "return" else None,
        )


class BatchBody(Body):
    """Several requests at once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"requests": [{"user_id": 42, "n": 5}, {"liked_movie_ids": [1], "n": 5}], "distinct": True}]
        }
    )

    requests: Annotated[tuple[RecommendBody, ...], Field(min_length=1, max_length=MAX_REQUESTS)]
    distinct: Annotated[
        bool,
        Field(
            strict=True, description="Whether no movie is listed twice among all lists; earlier requests choose first."
        ),
    ] = False


class ReasonOut(BaseModel):
    """A part of the score of a movie. The parts of a movie sum to its score."""

    kind: Annotated[
        Literal["because of", "after", "other likes", "popularity", "boost", "diversity"],
        Field(
            description="`because of` a like: by taste. `after` a like: liked soon after it by others. `other likes`: "
            "those that add less.",
            examples=["because of"],
        ),
    ]
    contribution: Annotated[float, Field(examples=[0.61])]
    movie_id: Annotated[int, Field(description="The like.", examples=[1])] = 0
    title: Annotated[str, Field(description="The like.", examples=["Toy Story (1995)"])] = ""
    boost: Annotated[str, Field(description="Kind of the boost.", examples=["newer"])] = ""


class MovieOut(BaseModel):
    """A movie of the catalogue."""

    movie_id: Annotated[int, Field(examples=[3114])]
    title: Annotated[str, Field(examples=["Toy Story 2 (1999)"])]
    year: Annotated[int | None, Field(examples=[1999])]
    genres: Annotated[list[str], Field(examples=[["Adventure", "Animation", "Comedy"]])]


class RecommendedOut(MovieOut):
    """A movie of a list."""

    score: Annotated[float, Field(description="Comparable within this list only.", examples=[2.31])]
    reasons: Annotated[list[ReasonOut], Field(description="With `explain` only.")] = []


class MomentOut(BaseModel):
    """The time of the request, seen from the latest like of the user."""

    name: Literal["in the sitting", "on return"]
    elapsed_seconds: Annotated[int, Field(examples=[86400])]
    signal: Annotated[
        float, Field(description="How much it counts what others liked next, from 0 to 1.", examples=[0.0])
    ]
    note: str | None


class ListOut(BaseModel):
    """A list of movies, best first, and what it is based on."""

    recommendation_id: Annotated[
        str | None,
        Field(
            description="For `POST /events`; null where the request says that the list is not shown.",
            examples=["01a21c3c-7d64-79c6-80e2-c41d218abfac"],
        ),
    ]
    source: Annotated[
        Literal["model", "stored", "popular"],
        Field(
            description="`model`: from the ratings as they are now. `stored`: as they were at the latest run; there is "
            "no usable model. `popular`: the most liked movies."
        ),
    ]
    model_version: Annotated[int | None, Field(examples=[7])]
    moment: MomentOut | None
    why_source: Annotated[str | None, Field(description="Why the list is not of the model.")]
    why_fewer: Annotated[str | None, Field(description="Why there are fewer movies than asked for.")]
    notes: Annotated[list[str], Field(description="What else is unusual.")]
    movies: list[RecommendedOut]


class BatchOut(BaseModel):
    """The lists of a batch, in the order of its requests."""

    answers: list[ListOut]
