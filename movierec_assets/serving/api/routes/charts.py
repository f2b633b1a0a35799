"""Movies for everybody: the most popular ones, and those that are liked more now than before.

Belongs here: the routes. Does not: counting and ranking (`online.ranker`, the asset `trending_movies`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from movierec_assets.serving.api.fields import ListLength
from movierec_assets.serving.api.problems import out_of_range
from movierec_assets.serving.api.roles import READER
from movierec_assets.serving.api.routes.movies import Genre
from movierec_assets.serving.api.worker import worker_of
from movierec_assets.serving.online.ranker import Ranker
from movierec_assets.serving.online.requests import Filters, RequestError
from movierec_assets.serving.online.requests import Request as ListRequest
from movierec_assets.tables.trending import Trend, trends_of

router = APIRouter(tags=["movies"])


class ChartMovie(BaseModel):
    """A movie of a chart."""

    movie_id: Annotated[int, Field(examples=[318])]
    title: Annotated[str, Field(examples=["Shawshank Redemption, The (1994)"])]
    year: Annotated[int | None, Field(examples=[1994])]
    genres: Annotated[list[str], Field(examples=[["Crime", "Drama"]])]


class PopularMovie(ChartMovie):
    """A movie with the number of users who like it."""

    likes: Annotated[
        int | None, Field(description="Users who like it; null where no model has counted them.", examples=[274])
    ]
    ratings: Annotated[int, Field(description="Number of ratings.", examples=[317])]


class PopularMovies(BaseModel):
    """The most popular movies, the first one first."""

    model_version: Annotated[
        int | None, Field(description="Version whose likes are counted; null: ratings are counted.", examples=[3])
    ]
    movies: list[PopularMovie]


class TrendingMovie(ChartMovie):
    """A movie with the increase of its likes."""

    likes: Annotated[int, Field(description="Users who liked it in the period.", examples=[41])]
    expected: Annotated[
        float, Field(description="Likes it would have with its share of the likes before.", examples=[12.4])
    ]
    score: Annotated[
        float,
        Field(
            description="At the least, how many times as often as expected it is liked, with 95 % probability.",
            examples=[2.3],
        ),
    ]


class TrendingMovies(BaseModel):
    """Movies that are liked more in a period than before, the highest score first.

    The period ends with the latest like in the data, however old it is; both times are null while no movie trends.
    """

    since: Annotated[datetime | None, Field(description="Beginning of the period.", examples=["2018-07-03T00:00:00Z"])]
    until: Annotated[datetime | None, Field(description="End of the period.", examples=["2018-09-25T00:00:00Z"])]
    movies: list[TrendingMovie]


@router.get("/movies/popular", **READER)
async def list_popular(request: Request, genre: Genre = None, n: ListLength = 20) -> PopularMovies:
    """The movies that most users like, of all genres or of one."""
    ranker = worker_of(request).ranker
    name = _genre(ranker, genre)
    wanted = ListRequest(n=n, filters=Filters(genres_any=() if name is None else (name,)))
    answer = ranker.answer(wanted)
    ratings = ranker.snapshot.catalogue.ratings
    return PopularMovies(
        model_version=answer.model_version,
        movies=[
            PopularMovie(
                **_shown(ranker, row),
                likes=None if answer.model_version is None else round(likes),
                ratings=int(ratings[row]),
            )
            for row, likes in zip(ranker.catalogued.rows_of(answer.movie_ids).tolist(), answer.scores, strict=True)
        ],
    )


@router.get("/movies/trending", **READER)
async def list_trending(request: Request, genre: Genre = None, n: ListLength = 20) -> TrendingMovies:
    """Movies that are liked more in the latest weeks of the data than in the year before, of all genres or of one."""
    worker = worker_of(request)
    name = _genre(worker.ranker, genre)
    found = await worker.queries.run(lambda database: trends_of(database, name, n))
    return TrendingMovies(since=found.since, until=found.until, movies=[_trending(each) for each in found.movies])


def _genre(ranker: Ranker, genre: str | None) -> str | None:
    """The genre as the catalogue writes it."""
    if genre is None:
        return None
    try:
        (row,) = ranker.catalogued.genre_rows([genre], "genre")
    except RequestError as error:
        raise out_of_range("query.genre", str(error)) from None
    return ranker.catalogued.genres[row]


def _shown(ranker: Ranker, row: int) -> dict[str, Any]:
    catalogue = ranker.snapshot.catalogue
    return {
        "movie_id": int(catalogue.movie_ids[row]),
        "title": catalogue.titles[row],
        "year": int(catalogue.years[row]) or None,
        "genres": list(catalogue.genres[row]),
    }


def _trending(movie: Trend) -> TrendingMovie:
    rounded = movie._replace(expected=round(movie.expected, 2), score=round(movie.score, 3))
    return TrendingMovie(**rounded._asdict())
