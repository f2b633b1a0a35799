"""A user as the model sees them at the time of a request.

Belongs here: vectors, latest likes and rated movies, from live ratings, from stored states, or from liked movies. Does
not: ranking (`ranker`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

import numpy as np

from movierec_assets.recsys.interactions import NEVER, FloatArray, IntArray
from movierec_assets.recsys.moment import HOUR, MIN_FADE
from movierec_assets.serving.moments import LATEST, SITTING_SECONDS, Moment
from movierec_assets.serving.online.live import LiveRatings
from movierec_assets.serving.online.model_index import LIKED_STARS, ModelIndex
from movierec_assets.serving.online.requests import Request
from movierec_assets.serving.online.snapshot import UserStates

_WITHOUT_HISTORY = 1.0
"""Stars of liked movies of nobody in particular, as `Recommender.history_of` has them."""
_NONE: IntArray = np.empty(0, dtype=np.int32)


@dataclass(slots=True)
class Likes:
    """Likes that a vector was folded in from.

    Attributes
    ----------
    places : int array, shape (n_liked,)
    confidences : float32 array, shape (n_liked,)
    """

    places: IntArray
    confidences: FloatArray


@dataclass(slots=True)
class Person:
    """A user at the time of a request.

    Attributes
    ----------
    vector : float32 array, shape (factors,), or None
        None without likes that tell the model anything: every product would be 0.
    seen : int array
        Places of the movies that are rated or liked.
    recent : int32 array, shape (n_recent,)
        Columns of the latest likes, for the next-movie signal.
    recency : float32 array, shape (n_recent,)
        Their recency weights.
    moment : Moment or None
        None without likes.
    likes : Likes or None
        None where the vector is a stored one.
    fold_in_seconds : float or None
        Time of the fold-in; None where the vector is a stored one.
    """

    vector: FloatArray | None
    seen: IntArray
    recent: IntArray
    recency: FloatArray
    moment: Moment | None
    likes: Likes | None = None
    fold_in_seconds: float | None = None


STRANGER = Person(None, _NONE, _NONE, np.empty(0, dtype=np.float32), None)
"""Somebody of whom nothing is known."""


def of_state(model: ModelIndex, states: UserStates, row: int, request: Request, now: float) -> Person:
    """A user from their row in the stored states."""
    seen = model.places[states.rated.indices[states.rated.indptr[row] : states.rated.indptr[row + 1]]]
    latest = int(states.latest_at[row])
    vector = states.vectors[row]
    if vector @ vector == 0:
        return Person(None, seen, _NONE, STRANGER.recency, None)
    moment = moment_of(request, latest, now, model)
    if states.recent is None or moment.signal == 0:
        return Person(vector, seen, _NONE, STRANGER.recency, moment)
    some = slice(states.recent.indptr[row], states.recent.indptr[row + 1])
    return Person(vector, seen, states.recent.indices[some], states.recent.data[some], moment)


def of_ratings(model: ModelIndex, ratings: LiveRatings | None, request: Request, now: float) -> Person:
    """A user from their ratings, and from movies that are liked in the request, which count as liked just now."""
    seen, places, times, latest = _NONE, _NONE, _NONE, NEVER
    stars = STRANGER.recency
    if ratings is not None and len(ratings.movie_ids):
        found = model.movies.places_of(ratings.movie_ids)
        known, liked = found >= 0, ratings.stars >= np.float32(model.champion.positive_threshold)
        seen = found[known]
        # Likes of movies that the model does not know count as well: somebody was there at that time.
        times_of_likes = ratings.rated_at[liked]
        latest = int(times_of_likes.max()) if len(times_of_likes) else NEVER
        known &= liked
        places, stars, times = found[known], ratings.stars[known], ratings.rated_at[known]
    added = np.unique(model.movies.known(request.liked_movie_ids)) if request.liked_movie_ids else _NONE
    if len(added):
        stars_of_added = LIKED_STARS if len(places) else _WITHOUT_HISTORY
        others = ~np.isin(places, added)
        at = max(latest, int(now))
        places = np.concatenate([places[others], added])
        stars = np.concatenate([stars[others], np.full(len(added), stars_of_added, dtype=np.float32)])
        times = np.concatenate([times[others], np.full(len(added), at)])
        seen = np.union1d(seen, added)
    if len(places) == 0:
        return Person(None, seen, _NONE, STRANGER.recency, None)
    ranks = recency_ranks(times)
    confidences = model.confidences(places, stars, ranks)
    began = perf_counter()
    vector = model.fold_in(places, confidences)
    took = perf_counter() - began
    if vector @ vector == 0:
        return Person(None, seen, _NONE, STRANGER.recency, None)
    moment = moment_of(request, None if len(added) else latest, now, model)
    recent, recency = _recent(model, places, ranks) if moment.signal > 0 else (_NONE, STRANGER.recency)
    return Person(vector, seen, recent, recency, moment, Likes(places, confidences), took)


def recency_ranks(times: IntArray) -> IntArray:
    """How many likes are later than each; equal times share the mean rank, rounded down. See `recency_rank`."""
    ordered = np.sort(times)
    before, through = ordered.searchsorted(times, "left"), ordered.searchsorted(times, "right")
    ranks: IntArray = len(times) - through + (through - before - 1) // 2
    return ranks


def _recent(model: ModelIndex, places: IntArray, ranks: IntArray) -> tuple[IntArray, FloatArray]:
    """Columns of the latest likes, and their recency weights; see `next_movies.recency_weights`."""
    recent = (ranks < len(model.recency)).nonzero()[0]
    return model.columns[places[recent]], model.recency[ranks[recent]]


def moment_of(request: Request, latest: int | None, now: float, model: ModelIndex) -> Moment:
    """The moment of a request: `Moment.of`, or the number of seconds that the request gives.

    Parameters
    ----------
    latest : int or None
        Unix seconds of the latest like; None for movies that are liked in the request.
    """
    if request.elapsed is not None:
        elapsed = max(0, request.elapsed)
    elif latest is None or request.at == LATEST:
        elapsed = 0
    else:
        elapsed = (int(now) if request.at is None else int(request.at)) - latest
        if elapsed < 0:
            return Moment.of(request.at, latest, model.recommender)
    signal = model.recommender.recipe.next_movie
    share = math.exp(-elapsed / (signal.fade_hours * HOUR)) if model.on else 0.0
    name: Literal["in the sitting", "on return"] = "in the sitting" if elapsed <= SITTING_SECONDS else "on return"
    return Moment(name, elapsed, share if share >= MIN_FADE else 0.0)
