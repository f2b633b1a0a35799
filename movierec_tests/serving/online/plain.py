"""Lists computed in the plain way: all scores by the recommender, then one movie after the other."""

from __future__ import annotations

import numpy as np

from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.recsys.ranking import EMPTY, TopK
from movierec_assets.serving.online.answers import Answer
from movierec_assets.serving.online.live import LiveRatings
from movierec_assets.serving.online.requests import Filters, Request
from movierec_tests.serving.online.snapshots import World, positives_of


def scores_of(world: World, ratings: LiveRatings, elapsed: float) -> FloatArray:
    """The score of each movie of the model, in the order of its columns."""
    liked = positives_of([ratings], world.fitted.ids.movie_ids)
    nothing = liked.only(np.zeros(len(liked), dtype=np.bool_)).stars
    movies = len(world.fitted.ids.movie_ids)
    lists = world.fitted.for_histories(liked, nothing, movies, elapsed=np.array([elapsed]))
    scores = np.empty(movies)
    scores[lists.items[0]] = lists.scores[0]
    return scores


def unit_of(world: World, ratings: LiveRatings) -> float:
    """Standard deviation of the scores of a user on return."""
    return float(np.std(scores_of(world, ratings, 1e9)))


def boosted(world: World, request: Request, scores: FloatArray, unit: float) -> FloatArray:
    """Scores with the boosts of a request, as its docstring defines them."""
    catalogue, movie_ids = world.snapshot.catalogue, world.fitted.ids.movie_ids
    rows = np.searchsorted(catalogue.movie_ids, movie_ids)
    years = catalogue.years[rows].astype(np.float64)
    popularity = np.log1p(world.fitted.likes)
    lifted = scores.copy()
    for boost in request.boosts:
        if boost.kind == "genre":
            wanted = {genre.lower() for genre in boost.genres}
            of_movies = [bool(wanted & {genre.lower() for genre in catalogue.genres[row]}) for row in rows]
            lifted += boost.weight * unit * np.array(of_movies)
        elif boost.kind == "newer":
            dated = years > 0
            newness = np.where(dated, standardized(years, years[dated]), 0.0)
            lifted += boost.weight * unit * newness
        else:
            lifted -= boost.weight * unit * standardized(popularity, popularity)
    return lifted


def standardized(values: FloatArray, among: FloatArray) -> FloatArray:
    """Values less the mean and over the deviation of some, cut off at -3 and 3; 0 where these are equal."""
    if len(among) == 0 or among.std() == 0:
        return np.zeros_like(values)
    cut: FloatArray = np.clip((values - among.mean()) / among.std(), -3, 3)
    return cut


def passes(filters: Filters, genres: tuple[str, ...], year: int) -> bool:
    """Whether a movie passes filters."""
    own = {genre.casefold() for genre in genres}
    any_of, all_of, none_of = (
        {name.casefold() for name in names} for names in (filters.genres_any, filters.genres_all, filters.genres_none)
    )
    return (
        (not any_of or bool(any_of & own))
        and all_of <= own
        and not none_of & own
        and (filters.year_from is None or (year > 0 and year >= filters.year_from))
        and (filters.year_to is None or (year > 0 and year <= filters.year_to))
    )


def best_of(world: World, request: Request, ratings: LiveRatings, scores: FloatArray) -> TopK:
    """The best movies that a request allows, as columns."""
    catalogue, movie_ids = world.snapshot.catalogue, world.fitted.ids.movie_ids.tolist()
    row = {movie_id: number for number, movie_id in enumerate(catalogue.movie_ids.tolist())}
    out = set(request.exclude_ids)
    if not request.include_seen:
        out |= {*ratings.movie_ids.tolist(), *request.liked_movie_ids}
    allowed = [
        column
        for column, movie_id in enumerate(movie_ids)
        if movie_id not in out
        and passes(request.filters, catalogue.genres[row[movie_id]], int(catalogue.years[row[movie_id]]))
    ]
    listed = sorted(allowed, key=lambda column: -float(scores[column]))[: request.n]
    return filled(np.array(listed, dtype=np.int64), scores[listed], request.n)


def columns_of(world: World, answer: Answer, k: int) -> TopK:
    """The list of an answer as columns of the recommender."""
    columns = world.fitted.ids.movies_at(np.array(answer.movie_ids, dtype=np.int64))
    return filled(columns, np.array(answer.scores), k)


def filled(columns: IntArray, scores: FloatArray, k: int) -> TopK:
    """One list with k positions."""
    items, values = np.full((1, k), EMPTY), np.full((1, k), np.nan)
    items[0, : len(columns)], values[0, : len(columns)] = columns, scores
    return TopK(items, values)
