"""Movies of the catalogue: search, details, neighbours.

Belongs here: the routes and what they take. Does not: searching (`online.movie_search`), ranking (`online.ranker`),
popular and trending movies (`charts`).
"""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from movierec_assets.serving.api.fields import LARGEST_ID, ListLength, MoviePath, PlainDigits
from movierec_assets.serving.api.problems import missing, not_found, out_of_range
from movierec_assets.serving.api.roles import READER, allow_user
from movierec_assets.serving.api.worker import worker_of
from movierec_assets.serving.online.answer_json import neighbours_json
from movierec_assets.serving.online.answering import UnknownIdError, known_of
from movierec_assets.serving.online.movie_index import Catalogued
from movierec_assets.serving.online.requests import Request as ListRequest
from movierec_assets.serving.online.requests import RequestError
from movierec_assets.tables.database import SCHEMA, Database

router = APIRouter(tags=["movies"])

Typed = Annotated[
    str | None,
    Query(
        max_length=200,
        description="A title, or a part of one; typing errors, accents, articles and the order of words are forgiven.",
        examples=["star wras"],
    ),
]
Genre = Annotated[str | None, Query(max_length=50, examples=["Comedy"])]
Year = Annotated[int | None, Query(ge=1800, le=2200, description="Year of release.", examples=[1995]), PlainDigits]
Offset = Annotated[int, Query(ge=0, le=1_000_000, description="Movies to leave out at the beginning."), PlainDigits]

OptionalUser = Annotated[
    int | None, Query(ge=1, le=LARGEST_ID, description="Rank for this user.", examples=[42]), PlainDigits
]


class FoundMovie(BaseModel):
    """A movie of the catalogue."""

    movie_id: int = Field(examples=[1])
    title: str = Field(examples=["Toy Story (1995)"])
    year: int | None = Field(examples=[1995])
    genres: list[str] = Field(examples=[["Adventure", "Animation"]])
    ratings: int = Field(description="Number of ratings.", examples=[215])


class FoundMovies(BaseModel):
    """A page of movies, best first."""

    total: int = Field(description="Movies on all pages; of those that are like a query, 200 at most.")
    next_offset: int | None = Field(description="`offset` of the next page; null on the last one.")
    movies: list[FoundMovie]


class MovieDetails(FoundMovie):
    """A movie with its mean stars and its ids elsewhere."""

    mean_stars: float | None = Field(description="Of the loaded ratings; null without any.", examples=[3.92])
    imdb_url: str | None
    tmdb_url: str | None


class SimilarMovie(BaseModel):
    """A neighbour of a movie."""

    movie_id: int
    title: str
    year: int | None
    genres: list[str]
    similarity: float = Field(description="Cosine of the movies' factors, from -1 to 1.", examples=[0.83])
    score: float | None = Field(None, description="Of the user, where one is named.")


class SimilarMovies(BaseModel):
    """Neighbours of a movie, nearest first; for a user, those that fit the user best first."""

    movie_id: int
    user_id: int | None
    model_version: int | None
    why_fewer: str | None = Field(description="Why there are fewer than asked for.")
    movies: list[SimilarMovie]


@router.get("/movies", response_model=FoundMovies, **READER)
async def search_movies(
    request: Request,
    query: Typed = None,
    genre: Genre = None,
    year: Year = None,
    n: ListLength = 20,
    offset: Offset = 0,
) -> Response:
    """Movies by title, genre and year.

    With a query the most similar titles are first, and the most rated among equals; without one the most rated movies.
    """
    worker = worker_of(request)
    catalogued = worker.ranker.catalogued
    search = await worker.search.of(catalogued)
    try:
        found = search.rows(query, genre, year)
    except RequestError as error:
        raise out_of_range(error.field, str(error)) from None
    more = offset + n < len(found)
    page = {
        "total": len(found),
        "next_offset": offset + n if more else None,
        "movies": [_shown(catalogued, row) for row in found[offset : offset + n].tolist()],
    }
    return Response(orjson.dumps(page), media_type="application/json")


@router.get("/movies/{movie_id}", **READER)
async def show_movie(request: Request, movie_id: MoviePath) -> MovieDetails:
    """Title, year, genres, number of ratings, mean stars, and addresses at IMDb and TMDB."""
    worker = worker_of(request)
    catalogued = worker.ranker.catalogued
    row = _row_of(catalogued, movie_id)

    def read(database: Database) -> list[tuple[float | None, str | None, int | None]]:
        return database.rows(_DETAILS, {"movie_id": movie_id})

    mean, imdb, tmdb = next(iter(await worker.queries.run(read)), (None, None, None))
    return MovieDetails(
        **_shown(catalogued, row),
        mean_stars=None if mean is None else round(mean, 3),
        imdb_url=f"https://www.imdb.com/title/{imdb}/" if imdb else None,
        tmdb_url=f"https://www.themoviedb.org/movie/{tmdb}" if tmdb else None,
    )


@router.get("/movies/{movie_id}/similar", response_model=SimilarMovies, **READER)
async def similar_movies(
    request: Request, movie_id: MoviePath, n: ListLength = 10, user: OptionalUser = None
) -> Response:
    """The nearest movies by what people like, optionally in the order of a user and without what the user has rated."""
    worker = worker_of(request)
    allow_user(request, user)
    ranker = worker.ranker
    _row_of(ranker.catalogued, movie_id)
    wanted = ListRequest(user_id=user, n=n)
    try:
        known = await known_of(wanted, ranker, worker.live, worker.queries)
    except UnknownIdError as error:
        raise missing("query.user", str(error)) from None
    found = ranker.similar(movie_id, wanted, known.ratings)
    about = {"movie_id": movie_id, "user_id": user, "model_version": found.model_version, "why_fewer": found.why_fewer}
    content = orjson.dumps(about)[:-1] + b',"movies":[' + neighbours_json(found, ranker.catalogued) + b"]}"
    return Response(content, media_type="application/json")


_DETAILS = f"""
    SELECT (SELECT (sum(rating::float8 * ratings) / nullif(sum(ratings), 0))::float8 FROM {SCHEMA}.rating_totals
            WHERE movie_id = %(movie_id)s),
           imdb_id, tmdb_id
    FROM {SCHEMA}.movies WHERE movie_id = %(movie_id)s
"""


def _row_of(catalogued: Catalogued, movie_id: int) -> int:
    """Row of a movie in the catalogue.

    Raises
    ------
    Problem
        404.
    """
    (row,) = catalogued.rows_of([movie_id]).tolist()
    if row < 0:
        raise not_found(f"No movie of the catalogue has the id {movie_id}; GET /movies?query= finds movies by title.")
    return int(row)


def _shown(catalogued: Catalogued, row: int) -> dict[str, Any]:
    catalogue = catalogued.catalogue
    return {
        "movie_id": int(catalogue.movie_ids[row]),
        "title": catalogue.titles[row],
        "year": int(catalogue.years[row]) or None,
        "genres": catalogue.genres[row],
        "ratings": int(catalogue.ratings[row]),
    }
