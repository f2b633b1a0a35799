"""The list of one request by the model.

Belongs here: the score of a movie, from the parts that it is made of, and its order. Does not: each part (`person`,
`best`, `diversity`, `reasons`), and what is listed without a model (`fallbacks`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from movierec_assets.recsys.interactions import BoolArray, FloatArray, IntArray
from movierec_assets.serving.online import shortfall
from movierec_assets.serving.online.answers import Answer
from movierec_assets.serving.online.best import best
from movierec_assets.serving.online.diversity import CANDIDATES, diverse
from movierec_assets.serving.online.model_index import ModelIndex
from movierec_assets.serving.online.movie_index import MovieIndex
from movierec_assets.serving.online.person import Person
from movierec_assets.serving.online.reasons import Added, reasons_of
from movierec_assets.serving.online.requests import Request


@dataclass(slots=True)
class Scoring:
    """Scores of one user: the score of a movie is `scale (vector . factors + extra) - offset`.

    Attributes
    ----------
    vector : float32 array, shape (factors,)
    extra : float array, shape (n_movies,), or None
        The next-movie signal by place; None where it adds nothing.
    scale, offset : float
    unit : float
        Standard deviation of the scores over all movies, without the signal.
    """

    vector: FloatArray
    extra: FloatArray | None
    scale: float
    offset: float
    unit: float

    @classmethod
    def of(cls, model: ModelIndex, vector: FloatArray, person: Person) -> Scoring:
        """Scores of a person with this vector, see `moment.Scorer`."""
        mean, spread = model.spread_of(vector)
        if not model.on:
            return cls(vector, None, 1.0, 0.0, spread)
        share = 0.0 if person.moment is None else person.moment.signal * model.recommender.recipe.next_movie.weight
        if share == 0:
            return cls(vector, None, 1.0 / spread, mean / spread, 1.0)
        signal, mean_signal, spread_of_signal = model.signal(person.recent, person.recency)
        # The vector is scaled instead of the signal: that is one number for each factor, not for each movie.
        scale = share / spread_of_signal
        return cls(
            vector / np.float32(spread * scale),
            signal.astype(np.float32),
            scale,
            mean / spread + scale * mean_signal,
            1.0,
        )

    def of_places(self, model: ModelIndex, places: IntArray) -> FloatArray:
        """Scores of some movies, float64."""
        scores: FloatArray = model.factors[places] @ self.vector
        return self.of_sums(scores if self.extra is None else scores + self.extra[places])

    def of_sums(self, sums: FloatArray) -> FloatArray:
        """Scores, given the sums of products and what is added to them."""
        scores: FloatArray = sums.astype(np.float64) * self.scale - self.offset
        return scores


def by_model(
    model: ModelIndex, vector: FloatArray, person: Person, request: Request, taken: Collection[int] = ()
) -> Answer:
    """The list of a person with this vector; parameters as for `Ranker.answer`."""
    movies = model.movies
    passing = movies.passing(request.filters)
    scoring = Scoring.of(model, vector, person)
    boosts = boosts_of(movies, request, scoring.unit)
    extra = scoring.extra
    for boost in boosts:
        added_to_sums = boost.values / np.float32(scoring.scale)
        extra = added_to_sums if extra is None else extra + added_to_sums
    hidden = hidden_by(movies, request, person.seen, taken)
    wanted = max(request.n, CANDIDATES) if request.diversity else request.n
    places, scores = best(model, scoring.vector, hidden, wanted, passing, extra)
    scores = scoring.of_sums(scores)
    places, scores, added = arranged(model.factors, places, scores, boosts, request)
    values = scores.tolist()
    return Answer(
        "model",
        model.champion.version,
        movies.movie_ids[places].tolist(),
        values,
        reasons_of(model, vector, person, places, values, added) if request.explain else None,
        person.moment,
        None,
        None if len(values) == request.n else shortfall.why_fewer(request, movies, len(values), person.seen, taken),
        fold_in_seconds=person.fold_in_seconds,
    )


def hidden_by(movies: MovieIndex, request: Request, seen: IntArray, taken: Collection[int]) -> BoolArray:
    """Places that a request leaves out, whatever its filters: seen, excluded, and taken ones."""
    hidden = np.zeros(len(movies), dtype=np.bool_)
    if not request.include_seen:
        hidden[seen] = True
    if request.exclude_ids:
        hidden[movies.known(request.exclude_ids)] = True
    if taken:
        hidden[movies.known(list(taken))] = True
    return hidden


def boosts_of(movies: MovieIndex, request: Request, unit: float) -> list[Added]:
    """What each boost of a request adds to the score of each movie, float32, shape (n_movies,)."""
    return [
        Added(np.float32(boost.weight * unit) * movies.property_of(boost, f"boost.{number}"), boost.kind)
        for number, boost in enumerate(request.boosts)
    ]


def arranged(
    factors: FloatArray | None, places: IntArray, scores: Any, boosts: list[Added], request: Request
) -> tuple[IntArray, FloatArray, list[Added]]:
    """The list in its final order, its scores, and what boosts and diversity added to these.

    Parameters
    ----------
    factors : float32 array, shape (n_movies, factors), or None
        Of the movies, by place; without them, diversity changes nothing.
    places : int array
        Best first; with diversity, more than are listed.
    scores : float array, same shape
    boosts : list of Added
    request : Request
    """
    added: list[Added] = []
    if request.diversity and factors is not None:
        chosen, values = diverse(scores, factors[places], request.n, request.diversity)
        added = [Added(values - scores[chosen])]
        places, scores = places[chosen], values
    return places, scores, [*(Added(boost.values[places], boost.boost) for boost in boosts), *added]
