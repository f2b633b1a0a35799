"""Lists of movies that differ: maximal marginal relevance.

Belongs here: the order of a list. Does not: the scores (`best`).

References
----------
Carbonell and Goldstein (1998), The use of MMR, diversity-based reranking for reordering documents and producing
summaries.
"""

from __future__ import annotations

import numpy as np

from movierec_assets.recsys.interactions import FloatArray, IntArray

CANDIDATES = 200
"""The list is chosen among so many best movies."""


def diverse(scores: FloatArray, vectors: FloatArray, n: int, diversity: float) -> tuple[IntArray, FloatArray]:
    """Choose movies one by one: good ones that are unlike those already chosen.

    With `low` and `high` the lowest and highest score, and `like` the highest cosine with a movie that is on the list
    already, at least 0, the next movie has the highest value of

        (1 - diversity) score + diversity low - diversity (high - low) like.

    Parameters
    ----------
    scores : float array, shape (n_candidates,)
        Falling.
    vectors : float32 array, shape (n_candidates, factors)
    n : int
    diversity : float
        In [0, 1]. 0 keeps the order; at 1 the first movie is the best one, and the others only have to be unlike.

    Returns
    -------
    chosen : int array, shape (at most n,)
        Candidates, in the order of the list. Of equal values, the better candidate comes first.
    values : float64 array, same shape
        Falling.
    """
    count = min(n, len(scores))
    chosen, values = np.empty(count, dtype=np.int64), np.empty(count)
    if count == 0:
        return chosen, values
    exact = scores.astype(np.float64)
    low, high = float(exact.min()), float(exact.max())
    value = (1.0 - diversity) * exact + diversity * low
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    like, weight = np.zeros(len(exact), dtype=np.float32), diversity * (high - low)
    for position in range(count):
        current = value - weight * like
        at = int(current.argmax())
        chosen[position], values[position] = at, current[at]
        np.maximum(like, unit @ unit[at], out=like)
        value[at] = -np.inf
    return chosen, values
