"""Movies of the catalogue: search, details, neighbours.

Belongs here: the routes and what they take. Does not: searching (`online.movie_search`), ranking (`online.ranker`),
popular and trending movies (`charts`).
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from movierec_assets.serving.api.fields import ListLength, MoviePath, PlainDigits
from movierec_assets.serving.api.problems import not_found, out_of_range
from movierec_assets.serving.api.roles import READER
from movierec_assets.serving.api.worker import worker_of
from movierec_assets.serving.online.movie_search import MovieSearch, UnknownGenreError
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
Year = Annotated[int | None, PlainDigits, Query(ge=1800, le=2200, description="Year of release.", examples=[1995])]
Offset = Annotated[int, PlainDigits, Query(ge=0, le=1_000_000, description="Movies to leave out at the beginning.")]


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


@router.get("/movies", **READER)
async def search_movies(
    request: Request,
    query: Typed = None,
    genre: Genre = None,
    year: Year = None,
    n: ListLength = 20,
    offset: Offset = 0,
) -> FoundMovies:
    """Movies by title, genre and year.

    With a query the most similar titles are first, and the most rated among equals; without one the most rated movies.
    """
    search = await _search(request)
    try:
        found = search.find(query, genre, year)
    except UnknownGenreError as error:
        raise out_of_range("query.genre", str(error)) from error
    more = offset + n < len(found)
    return FoundMovies(
        total=len(found),
        next_offset=offset + n if more else None,
        movies=[FoundMovie(**_shown(search, place)) for place in found[offset : offset + n].tolist()],
    )


@router.get("/movies/{movie_id}", **READER)
async def show_movie(request: Request, movie_id: MoviePath) -> MovieDetails:
    """Title, year, genres, number of ratings, mean stars, and addresses at IMDb and TMDB."""
    search = await _search(request)
    place = search.place_of(movie_id)
    if place is None:
        raise not_found(f"No movie of the catalogue has the id {movie_id}; GET /movies?query= finds movies by title.")

    def read(database: Database) -> list[tuple[float | None, str | None, int | None]]:
        return database.rows(_DETAILS, {"movie_id": movie_id})

    mean, imdb, tmdb = next(iter(await worker_of(request).queries.run(read)), (None, None, None))
    return MovieDetails(
        **_shown(search, place),
        mean_stars=None if mean is None else round(mean, 3),
        imdb_url=f"https://www.imdb.com/title/{imdb}/" if imdb else None,
        tmdb_url=f"https://www.themoviedb.org/movie/{tmdb}" if tmdb else None,
    )


_DETAILS = f"""
    SELECT (SELECT (sum(rating::float8 * ratings) / nullif(sum(ratings), 0))::float8 FROM {SCHEMA}.rating_totals
            WHERE movie_id = %(movie_id)s),
           imdb_id, tmdb_id
    FROM {SCHEMA}.movies WHERE movie_id = %(movie_id)s
"""


async def _search(request: Request) -> MovieSearch:
    worker = worker_of(request)
    return await worker.search.of(worker.current.snapshot.catalogue)


def _shown(search: MovieSearch, place: int) -> dict[str, object]:
    catalogue = search.catalogue
    return {
        "movie_id": int(catalogue.movie_ids[place]),
        "title": catalogue.titles[place],
        "year": int(catalogue.years[place]) or None,
        "genres": catalogue.genres[place],
        "ratings": int(catalogue.ratings[place]),
    }
