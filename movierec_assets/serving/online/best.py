"""The best movies of one user, exactly, without scoring all movies.

Belongs here: selecting. Does not: what is added to products of vectors (`ranker`), and many users at a time
(`recsys.ranking`).

The product of two vectors is at most the product of their lengths. Movies are sorted by length, so the k-th best score
so far says where to stop.
"""

from __future__ import annotations

import numpy as np

from movierec_assets.recsys.interactions import BoolArray, FloatArray, IntArray
from movierec_assets.serving.online.model_index import ModelIndex

_FIRST = 512
"""Movies to begin with."""
_ROUNDING = 1e-4
"""Products in single precision differ from exact ones by less than this share of the product of lengths."""
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
    extra : float32 array, shape (n,), optional
        Added to the products.

    Returns
    -------
    places : int array, shape (at most k,)
        Best first.
    scores : float32 array, same shape
    """
    length = float(vector @ vector) ** 0.5
    if extra is not None:
        return _with_extra(model, vector, length * (1 + _ROUNDING), hidden, k, passing, extra)
    total = len(model) if passing is None else len(passing)
    places: IntArray = np.empty(0, dtype=np.int64)
    scores: FloatArray = np.empty(0, dtype=np.float32)
    start, stop = 0, min(total, max(_FIRST, 2 * k))
    while start < stop:
        found, products = _products(model, vector, hidden, passing, start, stop)
        if start:
            found, products = np.concatenate([places, found]), np.concatenate([scores, products])
        places, scores = highest(found, products, k)
        start = stop
        reach = total
        if len(scores) == k and (least := float(scores[-1])) > 0:
            shortest = least / (length * (1 + _ROUNDING))
            reach = len(model) - int(np.searchsorted(model.lengths[::-1], shortest))
            if passing is not None:
                reach = int(np.searchsorted(passing, reach))
        stop = min(reach, total, 4 * start)
    return places, scores


def _products(
    model: ModelIndex, vector: FloatArray, hidden: BoolArray, passing: IntArray | None, start: int, stop: int
) -> tuple[IntArray, FloatArray]:
    """Places from `start` to `stop` of those to choose from, and their products; those of hidden ones are -inf."""
    products: FloatArray
    if passing is None:
        found: IntArray = np.arange(start, stop)
        products = model.factors[start:stop] @ vector
        products[hidden[start:stop]] = _HIDDEN
    else:
        found = passing[start:stop]
        products = model.factors[found] @ vector
        products[hidden[found]] = _HIDDEN
    return found, products


def _with_extra(
    model: ModelIndex,
    vector: FloatArray,
    length: float,
    hidden: BoolArray,
    k: int,
    passing: IntArray | None,
    extra: FloatArray,
) -> tuple[IntArray, FloatArray]:
    """`best`, with a bound for each movie: first among those with the highest bounds, then among all within reach."""
    bounds = model.lengths * length
    bounds += extra
    bounds[hidden] = -np.inf
    if passing is not None:
        bounds = bounds[passing]
    total, first = len(bounds), max(_FIRST, 2 * k)
    chosen = np.argpartition(bounds, total - first)[total - first :] if first < total else np.arange(total)
    places, scores = _scored(model, vector, chosen if passing is None else passing[chosen], hidden, extra, k)
    if first >= total or len(scores) == 0:
        return places, scores
    least = float(scores[-1]) if len(scores) == k else -np.inf
    chosen = np.flatnonzero(bounds > least - _ROUNDING)
    if len(chosen) <= first:
        return places, scores
    return _scored(model, vector, chosen if passing is None else passing[chosen], hidden, extra, k)


def _scored(
    model: ModelIndex, vector: FloatArray, places: IntArray, hidden: BoolArray, extra: FloatArray, k: int
) -> tuple[IntArray, FloatArray]:
    scores = model.factors[places] @ vector
    scores += extra[places]
    scores[hidden[places]] = _HIDDEN
    return highest(places, scores, k)


def highest(places: IntArray, scores: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """The k highest scores that are more than -inf, and their places, best first; equal ones by place."""
    if k < len(scores):
        top = np.argpartition(scores, len(scores) - k)[len(scores) - k :]
        places, scores = places[top], scores[top]
    order = np.lexsort((places, -scores))
    scores = scores[order]
    count = int(np.count_nonzero(scores > _HIDDEN))
    return places[order[:count]], scores[:count]
