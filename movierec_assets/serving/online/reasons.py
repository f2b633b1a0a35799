"""The parts of a score: what each like, each boost and diversity add to it.

Belongs here: splitting scores of listed movies; the parts of each sum to its score. Does not: the scores (`lists`), and
splitting scores of many histories (`recsys.explain`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dposv

from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.serving.online.answers import Reason, ReasonKind
from movierec_assets.serving.online.model_index import ModelIndex
from movierec_assets.serving.online.person import Likes, Person

STRONGEST = 5
"""Likes that are named for each movie, at most; the others are one part together."""
_NO_PART = 1e-9
"""A rest below this is a rounding error."""


@dataclass(frozen=True, slots=True)
class Added:
    """What was added to the scores of movies by a boost or by diversity.

    Attributes
    ----------
    values : float array, shape (n,)
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
    """Reasons of the listed movies; no likes are named where the vector is a stored one.

    Parameters
    ----------
    vector : float32 array, shape (factors,)
        Of the person.
    listed : int array, shape (n_listed,)
        Places.
    scores : sequence of float
        With what was added.
    added : sequence of Added
        To the listed movies.
    """
    if person.likes is None or person.moment is None or len(listed) == 0:
        return [completed([], "other likes", score, row, added) for row, score in enumerate(scores)]
    parts = because_of(model, person.likes, listed)
    if model.on:
        parts /= model.spread_of(vector)[1]
    movies: list[tuple[ReasonKind, int]] = [
        ("because of", movie) for movie in model.movies.movie_ids[person.likes.places].tolist()
    ]
    share = person.moment.signal * model.recommender.recipe.next_movie.weight
    if share > 0 and len(person.recent):
        parts = np.hstack([parts, share * after(model, person, listed)])
        movies += [("after", movie) for movie in model.recommender.ids.movie_ids[person.recent].tolist()]
    strongest = np.argsort(-parts, axis=1, kind="stable")[:, :STRONGEST]
    values = np.take_along_axis(parts, strongest, axis=1)
    return [
        completed(
            [Reason(movies[at][0], value, movies[at][1]) for at, value in zip(row, of_row, strict=True) if value > 0],
            "other likes",
            score,
            number,
            added,
        )
        for number, (row, of_row, score) in enumerate(zip(strongest.tolist(), values.tolist(), scores, strict=True))
    ]


def because_of(model: ModelIndex, likes: Likes, listed: IntArray) -> FloatArray:
    """What each like adds through the user's vector, float64, shape (n_listed, n_liked).

    As `explain.contributions`, with the Gram matrix and the mean that the model keeps.
    """
    liked = model.factors[likes.places].astype(np.float64)
    confidences = likes.confidences.astype(np.float64)
    wanted = model.factors[listed].astype(np.float64)
    if model.on:
        wanted -= model.mean
    normal = model.regularized + (liked * (confidences - 1.0)[:, None]).T @ liked
    # `Person` has a vector, so the equations have a solution.
    _, solved, _ = dposv(normal, wanted.T, overwrite_a=True)
    summands: FloatArray = (liked @ solved).T * confidences
    return summands


def after(model: ModelIndex, person: Person, listed: IntArray) -> FloatArray:
    """What each recent like adds through the standardized signal, before it fades, float64, shape (n_listed, n_recent).

    As `explain.signal_contributions`, less the mean and over the spread.
    """
    followers = model.recommender.next_movies
    summands = np.zeros((len(listed), len(person.recent)))
    if followers is None:
        return summands
    matrix, columns = followers.matrix, model.columns[listed]
    for number, (column, recency) in enumerate(zip(person.recent.tolist(), person.recency.tolist(), strict=True)):
        row = slice(matrix.indptr[column], matrix.indptr[column + 1])
        indices, data = matrix.indices[row], matrix.data[row]
        if len(indices) == 0:
            continue
        at = np.minimum(np.searchsorted(indices, columns), len(indices) - 1)
        mean = float(data.sum(dtype=np.float64)) / len(model)
        summands[:, number] = recency * (np.where(indices[at] == columns, data[at], 0.0) - mean)
    summands /= model.signal(person.recent, person.recency)[2]
    return summands


def completed(
    named: list[Reason], rest: ReasonKind, score: float, row: int, added: Sequence[Added]
) -> tuple[Reason, ...]:
    """Reasons with the parts of boosts and diversity, and with a part `rest` that completes the sum."""
    others = [
        Reason("diversity" if part.boost is None else "boost", float(part.values[row]), None, part.boost)
        for part in added
    ]
    left = score - sum(each.contribution for each in (*named, *others))
    if abs(left) < _NO_PART:
        return (*named, *others)
    return (*named, Reason(rest, left), *others)
