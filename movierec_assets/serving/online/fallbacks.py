"""Lists without the model: the movies that most people liked or rated, and the stored list of a user.

Belongs here: making them from what is at hand. Does not: when they are served (`ranker`).
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from movierec_assets.recsys.interactions import BoolArray, FloatArray, IntArray
from movierec_assets.serving.online import shortfall
from movierec_assets.serving.online.answers import Answer, Reason, Stored
from movierec_assets.serving.online.diversity import CANDIDATES
from movierec_assets.serving.online.lists import arranged, boosts_of, hidden_by
from movierec_assets.serving.online.model_index import ModelIndex
from movierec_assets.serving.online.movie_index import MovieIndex
from movierec_assets.serving.online.reasons import Added, completed
from movierec_assets.serving.online.requests import Request


def popular(
    movies: MovieIndex, model: ModelIndex | None, request: Request, seen: IntArray, taken: Collection[int], why: str
) -> Answer:
    """The movies with the highest counts.

    Parameters
    ----------
    movies : MovieIndex
        Of the model, or of the catalogue.
    model : ModelIndex or None
        None for the catalogue.
    request : Request
    seen : int array
        Places of the movies that the user has rated or liked.
    taken : collection of int
        Movie ids that other lists of the same batch have.
    why : str
        Why the list is not by the model.
    """
    passing = movies.passing(request.filters)
    boosts = boosts_of(movies, request, movies.spread_of_counts)
    hidden = hidden_by(movies, request, seen, taken)
    if passing is not None:
        others = np.ones(len(movies), dtype=np.bool_)
        others[passing] = False
        hidden |= others
    diversity = request.diversity and model is not None
    wanted = max(request.n, CANDIDATES) if diversity else request.n
    places = _first_shown(movies, hidden, len(movies) if boosts else wanted)
    scores: FloatArray = movies.counts[places].astype(np.float64)
    if boosts:
        for boost in boosts:
            scores += boost.values[places]
        order = np.argsort(-scores, kind="stable")
        places, scores = places[order], scores[order]
    factors = None if model is None else model.factors
    places, scores, added = arranged(factors, places[:wanted], scores[:wanted], boosts, request)
    values = scores.tolist()
    return Answer(
        source="popular",
        model_version=None if model is None else model.champion.version,
        movie_ids=movies.movie_ids[places].tolist(),
        scores=values,
        reasons=_reasons(values, added) if request.explain else None,
        why_source=why,
        why_fewer=shortfall.why_fewer(
            request,
            movies,
            len(values),
            seen,
            taken,
            others=shortfall.UNRATED if model is None else shortfall.UNKNOWN,
        ),
        notes=(shortfall.NO_DIVERSITY,) if request.diversity and model is None else (),
    )


def _first_shown(movies: MovieIndex, hidden: BoolArray, wanted: int) -> IntArray:
    """The places with the highest counts that are not hidden."""
    looked_at = 4 * wanted + 64
    while True:
        head = movies.by_count[:looked_at]
        found: IntArray = head[~hidden[head]]
        if len(found) >= wanted or looked_at >= len(movies):
            return found[:wanted]
        looked_at *= 4


def _reasons(scores: list[float], added: list[Added]) -> list[tuple[Reason, ...]]:
    return [completed([], "popularity", score, row, added) for row, score in enumerate(scores)]


def of_stored(
    movies: MovieIndex, request: Request, stored: Stored, seen_ids: Collection[int], taken: Collection[int], why: str
) -> Answer:
    """A stored list, without what the request leaves out.

    Parameters
    ----------
    movies : MovieIndex
        Of the catalogue.
    seen_ids : collection of int
        Movies that the user has rated.
    request, stored, taken, why :
        As for `Ranker.answer` and `popular`.
    """
    passing = movies.passing(request.filters)
    places = movies.places_of(stored.movie_ids)
    kept = places >= 0 if passing is None else np.isin(places, passing)
    out = {*request.exclude_ids, *taken}
    if not request.include_seen:
        out.update(seen_ids, request.liked_movie_ids)
    listed = [
        (movie_id, score)
        for movie_id, score, keep in zip(stored.movie_ids, stored.scores, kept.tolist(), strict=True)
        if keep and movie_id not in out
    ][: request.n]
    return Answer(
        source="stored",
        model_version=stored.model_version,
        movie_ids=[movie_id for movie_id, _ in listed],
        scores=[score for _, score in listed],
        reasons=[() for _ in listed] if request.explain else None,
        why_source=why,
        why_fewer=shortfall.of_stored(request, len(listed), len(stored.movie_ids)),
        notes=(shortfall.STORED_ONLY,) if request.boosts or request.diversity or request.explain else (),
    )
