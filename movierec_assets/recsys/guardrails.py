"""Figures of a challenger and of its lists that must be right whatever its score is.

Belongs here: figures that no ranking metric covers. Does not: their bounds, and the consequences.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.next_movies import MAX_FOLLOWERS, NextMovies
from movierec_assets.recsys.ranking import TopK


def full_lists(lists: TopK, histories: Interactions) -> float:
    """Share of the users whose list is as long as it can be with all movies outside the history; NaN without users."""
    n_users, k = lists.items.shape
    if n_users == 0:
        return float("nan")
    possible = np.minimum(k, histories.shape[1] - histories.per_user)
    return float(((lists.items >= 0).sum(axis=1) >= possible).mean())


def seen_items(lists: TopK, histories: Interactions) -> int:
    """Number of list positions that hold a movie of the user's history."""
    users, _, items, _ = lists.entries()
    listed = csr_matrix((np.ones(len(users)), (users, items)), shape=histories.shape)
    return int(listed.multiply(histories.weighted()).sum())


def unsound_transitions(next_movies: NextMovies | None, movies: int) -> dict[str, int]:
    """Count what is wrong in the next-movie matrix of a model with a number of movies; all 0 without a matrix."""
    matrix = csr_matrix((movies, movies)) if next_movies is None else next_movies.matrix
    return {
        "transitions not finite": int((~np.isfinite(matrix.data)).sum()),
        "negative transitions": int((matrix.data < 0).sum()),
        "movies with too many followers": int((np.diff(matrix.indptr) > MAX_FOLLOWERS).sum()),
        "movies without a row": int(matrix.shape != (movies, movies)),
    }
