"""A movie and its neighbours on a map.

Belongs here: the route. Does not: neighbours and positions (`online.ranker`), and lists of neighbours (`movies`).
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from movierec_assets.serving.api.fields import ListLength, MoviePath
from movierec_assets.serving.api.problems import not_found
from movierec_assets.serving.api.roles import READER
from movierec_assets.serving.api.worker import worker_of

router = APIRouter(tags=["movies"])


class MapMovie(BaseModel):
    """A movie with its place on the map."""

    movie_id: Annotated[int, Field(examples=[3114])]
    title: Annotated[str, Field(examples=["Toy Story 2 (1999)"])]
    year: Annotated[int | None, Field(examples=[1999])]
    genres: Annotated[list[str], Field(examples=[["Adventure", "Animation"]])]
    similarity: Annotated[float, Field(description="Cosine of its factors with those of the movie.", examples=[0.83])]
    x: Annotated[float, Field(description="From left to right, around 0.", examples=[0.31])]
    y: Annotated[float, Field(description="From bottom to top, around 0.", examples=[-0.12])]


class MovieMap(BaseModel):
    """A movie and its nearest neighbours: near on the map means alike, as far as two axes can show it."""

    movie_id: int
    model_version: int | None
    why_fewer: Annotated[str | None, Field(description="Why there are fewer neighbours than asked for.")]
    shares: Annotated[
        list[float],
        Field(description="Share of the variance of the directions that each axis shows.", examples=[[0.31, 0.14]]),
    ]
    movies: Annotated[
        list[MapMovie], Field(description="The movie itself, then its neighbours, nearest first; empty without any.")
    ]


@router.get("/movies/{movie_id}/map", **READER)
async def movie_map(request: Request, movie_id: MoviePath, n: ListLength = 60) -> MovieMap:
    """The movie and its nearest neighbours on a plane: the first two principal components of their directions."""
    ranker = worker_of(request).ranker
    (row,) = ranker.catalogued.rows_of([movie_id]).tolist()
    if row < 0:
        raise not_found(f"No movie of the catalogue has the id {movie_id}; GET /movies?query= finds movies by title.")
    near, places, shares = ranker.map_of(movie_id, n)
    catalogue, movie_ids = ranker.snapshot.catalogue, [movie_id, *near.movie_ids] if near.movie_ids else []
    return MovieMap(
        movie_id=movie_id,
        model_version=near.model_version,
        why_fewer=near.why_fewer,
        shares=shares.tolist(),
        movies=[
            MapMovie(
                movie_id=int(catalogue.movie_ids[at]),
                title=catalogue.titles[at],
                year=int(catalogue.years[at]) or None,
                genres=list(catalogue.genres[at]),
                similarity=similarity,
                x=x,
                y=y,
            )
            for at, similarity, (x, y) in zip(
                ranker.catalogued.rows_of(movie_ids).tolist(), [1.0, *near.similarities], places.tolist(), strict=False
            )
        ],
    )
