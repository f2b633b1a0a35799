"""Why a list is short, or is not of the model, in words for people.

Belongs here: texts, and the counts in them. Does not: making lists (`ranker`).
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from movierec_assets.recsys.interactions import IntArray
from movierec_assets.serving.online.movie_index import MovieIndex
from movierec_assets.serving.online.requests import NO_FILTERS, Request

OTHER_DATA = "Another dataset has just been loaded. A model of it will follow."
NO_MODEL = "There is no model."
NO_DIVERSITY = "There is no model, so `diversity` changes nothing: it compares movies by their factors."
UNKNOWN_MOVIE = "The model does not know this movie: nobody liked it before the model was trained."
UNKNOWN = "unknown to the model"
UNRATED = "without a rating in the loaded dataset"
STORED_ONLY = "This is a stored list: it has no reasons, and boosts and diversity change nothing."


def no_likes(request: Request, *, rated: bool) -> str:
    """Why popular movies are listed although there is a model."""
    if request.liked_movie_ids:
        return "The model knows none of the liked movies: nobody else liked them."
    if request.user_id is None:
        return "Neither a user nor liked movies are given."
    if rated:
        return f"User {request.user_id} has rated movies, but liked none that the model knows."
    return f"User {request.user_id} has no ratings of movies that the model knows."


def why_fewer(
    request: Request,
    movies: MovieIndex,
    listed: int,
    seen: IntArray,
    taken: Collection[int] = (),
    *,
    others: str = UNKNOWN,
) -> str | None:
    """Why fewer movies are listed than asked for; None where there are as many.

    Each movie of the catalogue that passes the filters is counted once: with the first reason that leaves it out.

    Parameters
    ----------
    movies : MovieIndex
        The movies that can be listed at all.
    seen : int array
        Places of the movies that the user has rated or liked.
    others : str
        What movies of the catalogue are that `movies` lacks.
    """
    if listed >= request.n:
        return None
    passing = movies.catalogued.passing(request.filters)
    total, matching = int(passing.sum()), passing[movies.rows]
    parts = [_left_out(total - int(matching.sum()), others)]
    for places, words in (
        (np.empty(0, np.int32) if request.include_seen else seen, "rated or liked by the user"),
        (movies.known(request.exclude_ids), "excluded by the request"),
        (movies.known(list(taken)), "in an earlier list of the batch"),
    ):
        parts.append(_left_out(int(matching[np.unique(places)].sum()), words))
        matching[places] = False
    named = f"{total:,} {'movie' if total == 1 else 'movies'}"
    if request.filters == NO_FILTERS:
        among = f"The catalogue has {named}"
    else:
        among = f"{named} {'passes' if total == 1 else 'pass'} the filters"
    reasons = ", ".join(filter(None, parts))
    of_these = f"; of these, {reasons}" if reasons else ""
    return f"{among}{of_these}. {listed:,} of {request.n:,} are left to list."


def _left_out(movies: int, words: str) -> str:
    return f"{movies:,} {'is' if movies == 1 else 'are'} {words}" if movies else ""


def of_stored(request: Request, listed: int, stored: int) -> str | None:
    """Why a stored list is short; None where it is not."""
    if listed >= request.n:
        return None
    return f"The stored list has {stored:,} movies. {listed:,} of {request.n:,} are left to list."


def why_fewer_neighbours(request: Request, movies: MovieIndex, listed: int, seen: IntArray) -> str | None:
    """Why fewer neighbours are listed than asked for; None where there are as many."""
    fewer = why_fewer(request, movies, listed, seen)
    return fewer and f"{fewer} The movie itself is not listed."
