"""The best movies of one user, exactly, without scoring all movies.

Belongs here: selecting. Does not: what is added to products of vectors (`lists`), and many users at a time
(`recsys.ranking`).

The product of two vectors is at most the product of their lengths. Movies are sorted by length, so the k-th best score
so far says which movies can still be among the best.
"""

from __future__ import annotations

import numpy as np

from movierec_assets.recsys.interactions import BoolArray, FloatArray, IntArray
from movierec_assets.serving.online.model_index import ModelIndex

_FIRST = 512
"""Movies to begin with."""
_MANY = 2048
"""From so many movies within reach on, a higher k-th score is looked for among those with the highest bounds."""
_ROUNDING = 2e-4
"""Products and lengths in single precision differ from exact ones by less than this share of the product of lengths."""
_HIDDEN = np.float32(-np.inf)


def best(
    model: ModelIndex,
    vector: FloatArray,
    hidden: BoolArray,
    k: int,
    passing: IntArray | None = None,
    extra: FloatArray | None = None,
) -> tuple[IntArray, FloatArray]:
    """The k places with the highest `vector . factors + extra`.

    Parameters
    ----------
    model : ModelIndex
    vector : float32 array, shape (factors,)
    hidden : bool array, shape (n,)
        Places to leave out.
    k : int
        At least 1.
    passing : int array, optional
        Places to choose from, ascending; all by default.
    extra : float array, shape (n,), optional
        Added to the products.

    Returns
    -------
    places : int array, shape (at most k,)
        Best first.
    scores : float array, same shape
    """
    if model.native_best is not None:
        return model.native_best(vector, hidden, k, passing, extra)
    length = float(vector @ vector) ** 0.5 * (1 + _ROUNDING)
    total = len(model) if passing is None else len(passing)
    start, stop = 0, min(total, max(_FIRST, 2 * k))
    places, scores = highest(*_scored(model, vector, hidden, _slice(passing, start, stop), extra), k)
    if extra is not None:
        return _beyond(model, vector, hidden, k, passing, extra, length, stop, places, scores)
    while stop < total:
        reach = total
        if len(scores) == k and (least := float(scores[-1])) > 0:
            reach = len(model) - int(model.rising.searchsorted(least / length))
            if passing is not None:
                reach = int(passing.searchsorted(reach))
        start, stop = stop, min(reach, total, 4 * stop)
        if stop <= start:
            break
        found, more = _scored_above(model, vector, hidden, _slice(passing, start, stop), scores, k)
        if len(found):
            places, scores = highest(np.concatenate([places, found]), np.concatenate([scores, more]), k)
    return places, scores


def _scored_above(
    model: ModelIndex, vector: FloatArray, hidden: BoolArray, some: slice | IntArray, scores: FloatArray, k: int
) -> tuple[IntArray, FloatArray]:
    """As `_scored`, of later places than those of the best so far, and only what can be among the k best with them."""
    if len(scores) < k:
        return _scored(model, vector, hidden, some, None)
    found: FloatArray = model.factors[some] @ vector
    better = (found > scores[-1]).nonzero()[0]
    places = better + some.start if isinstance(some, slice) else some[better]
    shown = ~hidden[places]
    return places[shown], found[better[shown]]


def _beyond(
    model: ModelIndex,
    vector: FloatArray,
    hidden: BoolArray,
    k: int,
    passing: IntArray | None,
    extra: FloatArray,
    length: float,
    start: int,
    places: IntArray,
    scores: FloatArray,
) -> tuple[IntArray, FloatArray]:
    """`best`, given the best of the first `start` places to choose from: each further one has a bound of its own."""
    rest = slice(start, None) if passing is None else passing[start:]
    bounds = model.lengths[rest] * np.float32(length)
    bounds += extra[rest]

    def within_reach() -> IntArray:
        return np.flatnonzero(bounds >= (float(scores[-1]) if len(scores) == k else -np.inf))

    def take(chosen: IntArray) -> tuple[IntArray, FloatArray]:
        found, more = _scored(
            model, vector, hidden, start + chosen if passing is None else passing[start:][chosen], extra
        )
        return highest(np.concatenate([places, found]), np.concatenate([scores, more]), k)

    chosen = within_reach()
    if len(chosen) > _MANY:
        split = len(chosen) - max(_FIRST, 2 * k)
        order = np.argpartition(bounds[chosen], split)
        places, scores = take(chosen[order[split:]])
        bounds[chosen[order[split:]]] = -np.inf
        chosen = within_reach()
    return take(chosen) if len(chosen) else (places, scores)


def _slice(passing: IntArray | None, start: int, stop: int) -> slice | IntArray:
    return slice(start, stop) if passing is None else passing[start:stop]


def _scored(
    model: ModelIndex, vector: FloatArray, hidden: BoolArray, some: slice | IntArray, extra: FloatArray | None
) -> tuple[IntArray, FloatArray]:
    """Places and their scores; those of hidden ones are -inf."""
    scores: FloatArray = model.factors[some] @ vector
    if extra is not None:
        scores = scores + extra[some]
    scores[hidden[some]] = _HIDDEN
    return np.arange(some.start, some.stop) if isinstance(some, slice) else some, scores


def highest(places: IntArray, scores: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """The k highest scores that are more than -inf, and their places, best first; equal ones by place."""
    if k < len(scores):
        top = scores.argpartition(len(scores) - k)[len(scores) - k :]
        places, scores = places[top], scores[top]
    order = np.lexsort((places, -scores))
    places, scores = places[order], scores[order]
    if len(scores) and scores[-1] == _HIDDEN:
        count = int(np.count_nonzero(scores > _HIDDEN))
        return places[:count], scores[:count]
    return places, scores
