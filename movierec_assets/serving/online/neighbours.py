"""Movies like a movie, for everybody or for one user.

Belongs here: the nearest movies, and their order for a user. Does not: the user (`person`).
"""

from __future__ import annotations

import numpy as np

from movierec_assets.recsys.interactions import IntArray
from movierec_assets.serving.online import shortfall
from movierec_assets.serving.online.answers import Neighbours
from movierec_assets.serving.online.best import highest
from movierec_assets.serving.online.lists import Scoring, hidden_by
from movierec_assets.serving.online.model_index import ModelIndex
from movierec_assets.serving.online.person import STRANGER, Person
from movierec_assets.serving.online.requests import Request

OF_A_USER = 5
"""For a user, the nearest so many times as many movies as asked for are ordered by the user's scores."""


def nearest(model: ModelIndex, movie_id: int, request: Request, person: Person = STRANGER) -> Neighbours:
    """The nearest movies by the cosine of factors; for a person with likes, those of them that suit the person best.

    Parameters
    ----------
    model : ModelIndex
    movie_id : int
    request : Request
        Its `n`, filters, `exclude_ids` and `include_seen` count.
    person : Person, optional
    """
    movies, version = model.movies, model.champion.version
    known = movies.known([movie_id])
    if len(known) == 0 or model.lengths[known[0]] == 0:
        return Neighbours(version, [], [], None, shortfall.UNKNOWN_MOVIE)
    place = int(known[0])
    hidden = hidden_by(movies, request, person.seen, ())
    hidden[place] = True
    passing = movies.passing(request.filters)
    some: slice | IntArray = slice(0, len(model)) if passing is None else passing
    cosines = model.factors[some] @ (model.factors[place] / np.float32(model.lengths[place]))
    # As in `recsys.ranking.similar`, a movie without direction is at right angles to all others.
    cosines *= model.reciprocals[some]
    cosines[hidden[some]] = -np.inf
    wanted = request.n if person.vector is None else OF_A_USER * request.n
    places, cosines = highest(np.arange(len(model)) if passing is None else passing, cosines, wanted)
    cosines = np.clip(cosines, -1.0, 1.0)
    scores = None
    if person.vector is not None:
        of_person = Scoring.of(model, person.vector, person).of_places(model, places)
        order = np.argsort(-of_person, kind="stable")[: request.n]
        places, cosines, scores = places[order], cosines[order], of_person[order].tolist()
    fewer = shortfall.why_fewer_neighbours(request, movies, len(places), person.seen)
    return Neighbours(version, movies.movie_ids[places].tolist(), cosines.tolist(), scores, fewer)
