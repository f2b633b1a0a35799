"""Lists of all users on return, made ahead: a request without any wish then needs neither a vector nor ranking.

Belongs here: making them by the ranking of requests, and which requests they answer. Does not: when they are made
(`user_states`), and whether a user has something new (`ranker`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.serving.online.answers import Answer
from movierec_assets.serving.online.lists import by_model
from movierec_assets.serving.online.model_index import ModelIndex
from movierec_assets.serving.online.movie_index import Catalogued
from movierec_assets.serving.online.person import moment_of, of_state
from movierec_assets.serving.online.requests import NO_FILTERS, Request
from movierec_assets.serving.online.snapshot import Catalogue, Champion, ReturnLists, UserStates

LENGTH = 20
"""Movies of a list."""
_NEVER_AGAIN = 10 * 365 * 24 * 3600
"""Seconds after which every signal has faded."""


def with_lists(states: UserStates, champion: Champion) -> UserStates:
    """The states with everybody's list."""
    model = ModelIndex(champion, _catalogued(champion))
    request = Request(n=LENGTH, elapsed=_NEVER_AGAIN)
    movie_ids: IntArray = np.zeros((len(states.user_ids), LENGTH), dtype=np.int32)
    scores: FloatArray = np.full(movie_ids.shape, np.nan)
    for row in range(len(movie_ids)):
        person = of_state(model, states, row, request, 0.0)
        if person.vector is not None:
            listed = by_model(model, person.vector, person, request)
            movie_ids[row, : len(listed.movie_ids)] = listed.movie_ids
            scores[row, : len(listed.scores)] = listed.scores
    return replace(states, lists=ReturnLists(movie_ids, scores))


def listed(model: ModelIndex, states: UserStates, row: int, request: Request, now: float) -> Answer | None:
    """The answer to a request by the user's list; None where it does not answer the request.

    Parameters
    ----------
    model : ModelIndex
    states : UserStates
        Of the user, who has nothing new.
    row : int
        Of the user.
    request : Request
        Of the user, without liked movies.
    now : float
        Unix seconds.
    """
    lists = states.lists
    if lists is None or request.n > lists.length or has_wishes(request):
        return None
    moment = moment_of(request, int(states.latest_at[row]), now, model)
    scores = lists.scores[row, : request.n].tolist()
    if moment.signal > 0 or scores[-1] != scores[-1]:  # NaN: a list that is short is explained
        return None
    return Answer("model", model.champion.version, lists.movie_ids[row, : request.n].tolist(), scores, moment=moment)


def has_wishes(request: Request) -> bool:
    """Whether a request says more than for whom, how many and when."""
    return bool(
        request.liked_movie_ids
        or request.exclude_ids
        or request.include_seen
        or request.boosts
        or request.diversity
        or request.explain
        or (request.filters is not NO_FILTERS and request.filters != NO_FILTERS)
    )


def _catalogued(champion: Champion) -> Catalogued:
    """The movies of a champion, without what lists do not need."""
    movie_ids = champion.recommender.ids.movie_ids
    nothing = ("",) * len(movie_ids)
    years = np.zeros(len(movie_ids), dtype=np.int16)
    return Catalogued(Catalogue(None, None, movie_ids, nothing, ((),) * len(movie_ids), years, champion.likes))
