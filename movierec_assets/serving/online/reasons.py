"""The parts of a score: what each like, each boost and diversity add to it.

Belongs here: splitting scores of listed movies; the parts of each sum to its score. Does not: the scores (`ranker`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from movierec_assets.recsys.explain import contributions, signal_contributions
from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.serving.online.answers import Reason, ReasonKind
from movierec_assets.serving.online.model_index import ModelIndex
from movierec_assets.serving.online.person import Person

STRONGEST = 5
"""Likes that are named for each movie, at most; the others are one part together."""


@dataclass(frozen=True)
class Added:
    """What was added to the scores of the listed movies by a boost or by diversity.

    Attributes
    ----------
    values : float array, shape (n_listed,)
    boost : str or None
        Kind of the boost; None for diversity.
    """

    values: FloatArray
    boost: str | None = None


def reasons_of(
    model: ModelIndex,
    vector: FloatArray,
    person: Person,
    listed: IntArray,
    scores: Sequence[float],
    added: Sequence[Added],
) -> list[tuple[Reason, ...]]:
    """Reasons of the listed movies, for a person whose likes are known.

    Parameters
    ----------
    vector : float32 array, shape (factors,)
        Of the person.
    listed : int array, shape (n_listed,)
        Places.
    scores : sequence of float
        With what was added.
    added : sequence of Added
    """
    if person.likes is None or person.moment is None or len(listed) == 0:
        return [() for _ in listed]
    liked = person.likes.places
    recommender = model.recommender
    because_of = contributions(
        model.factors,
        liked,
        person.likes.confidences,
        recommender.recipe.regularization,
        listed,
        gram=model.gram,
        less_the_mean=model.on,
    )
    after = np.zeros((len(listed), 0))
    if model.on:
        because_of /= model.spread_of(vector)[1]
    if len(person.recent) and recommender.next_movies is not None:
        share = person.moment.signal * recommender.recipe.next_movie.weight
        spread = model.raw_signal(person.recent, person.recency)[2]
        signal, mean = signal_contributions(
            recommender.next_movies.matrix, person.recent, person.recency, model.columns[listed]
        )
        after = share * (signal - mean) / spread
    ids = model.movies.movie_ids
    because_ids, after_ids = ids[liked].tolist(), recommender.ids.movie_ids[person.recent].tolist()
    sources = [("because of", movie) for movie in because_ids] + [("after", movie) for movie in after_ids]
    parts = np.hstack([because_of, after])
    strongest = np.argsort(-parts, axis=1, kind="stable")[:, :STRONGEST]
    answer = []
    for row, columns in enumerate(strongest):
        named = [
            Reason(kind, float(parts[row, column]), movie)
            for column in columns.tolist()
            if parts[row, column] > 0
            for kind, movie in [sources[column]]
        ]
        answer.append(completed(named, "other likes", scores[row], row, added))
    return answer


def completed(
    named: list[Reason], rest: ReasonKind, score: float, row: int, added: Sequence[Added]
) -> tuple[Reason, ...]:
    """Reasons with the parts of boosts and diversity, and with a part `rest` that completes the sum."""
    others = [
        Reason("diversity" if part.boost is None else "boost", float(part.values[row]), None, part.boost)
        for part in added
    ]
    left = score - sum(each.contribution for each in (*named, *others))
    if abs(left) < 1e-9:
        return (*named, *others)
    return (*named, Reason(rest, left), *others)
