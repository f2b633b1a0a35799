"""From vectors to lists: the best unseen movies of users, the nearest movies of a movie, the most popular.

Belongs here: selecting and ordering. Solving the vectors is in `als`, scoring the lists in `metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from movierec_assets.recsys.interactions import FloatArray, IntArray

EMPTY = -1
"""Marks an empty place at the end of a list that could not be filled."""

_CUT = np.finfo(np.float32).min / 2
"""`implicit` pads short lists with filtered items at about -3.4e38; nothing real is anywhere near."""


@dataclass(frozen=True)
class TopK:
    """Ranked lists.

    Attributes
    ----------
    items : int32 array, shape (n, k)
        Columns, best first; `EMPTY` where fewer than k could be had.
    scores : float32 array, shape (n, k)
        Not a number at empty places.
    """

    items: IntArray
    scores: FloatArray


def recommend(user_vectors: FloatArray, movie_factors: FloatArray, seen: csr_matrix, k: int, batch: int = 4096) -> TopK:
    """Rank the k best movies that each user has not seen.

    Parameters
    ----------
    user_vectors : float32 array, shape (n_users, factors)
    movie_factors : float32 array, shape (n_movies, factors)
    seen : csr_matrix, shape (n_users, n_movies)
        Entries are left out of the user's list.
    k : int
    batch : int
        Users at a time; bounds the memory.

    Returns
    -------
    TopK, shape (n_users, k)
    """
    with threadpool_limits(1, user_api="blas"):
        model = AlternatingLeastSquares(factors=movie_factors.shape[1])
    model.user_factors, model.item_factors = user_vectors, movie_factors
    n_users, n_movies = len(user_vectors), len(movie_factors)
    wanted = min(k, n_movies)
    items = np.full((n_users, k), EMPTY, dtype=np.int32)
    scores = np.full((n_users, k), np.nan, dtype=np.float32)
    for start in range(0, n_users if wanted else 0, batch):
        rows = np.arange(start, min(start + batch, n_users))
        ids, values = model.recommend(rows, seen[rows[0] : rows[-1] + 1], N=wanted, filter_already_liked_items=True)
        real = values > _CUT
        items[rows, :wanted] = np.where(real, ids, EMPTY)
        scores[rows, :wanted] = np.where(real, values, np.nan)
    return TopK(items, scores)


def similar(movie_factors: FloatArray, k: int, batch: int = 4096) -> TopK:
    """Rank the k nearest other movies of each movie by cosine of their factors.

    Parameters
    ----------
    movie_factors : float32 array, shape (n_movies, factors)
    k : int

    Returns
    -------
    TopK, shape (n_movies, k)
        Scores in [-1, 1]. A movie is never its own neighbour; a movie with a zero vector has no neighbours.
    """
    n_movies = len(movie_factors)
    norms = np.linalg.norm(movie_factors, axis=1, keepdims=True)
    unit = np.divide(movie_factors, norms, out=np.zeros_like(movie_factors), where=norms > 0)
    itself = csr_matrix((np.ones(n_movies, dtype=np.float32), (np.arange(n_movies),) * 2), shape=(n_movies, n_movies))
    found = recommend(unit, unit, itself, k, batch)
    nothing = (norms == 0).ravel()
    found.items[nothing], found.scores[nothing] = EMPTY, np.nan
    # Of unit vectors in single precision the product may be 1.0000004.
    np.clip(found.scores, -1.0, 1.0, out=found.scores)
    return found


def popular(counts: IntArray, seen: csr_matrix, k: int) -> TopK:
    """Rank the k movies with the most positives that each user has not seen.

    Parameters
    ----------
    counts : int array, shape (n_movies,)
        Positives of each movie; equal counts keep the order of columns.
    seen : csr_matrix, shape (n_users, n_movies)
    k : int

    Returns
    -------
    TopK, shape (n_users, k)
        Scores are the counts.
    """
    order = np.argsort(-counts, kind="stable").astype(np.int32)
    n_users = seen.shape[0]
    items = np.full((n_users, k), EMPTY, dtype=np.int32)
    for user in range(n_users):
        row = seen.indices[seen.indptr[user] : seen.indptr[user + 1]]
        # The k best unseen are within the first k + seen of the order.
        candidates = order[: k + len(row)]
        unseen = candidates[~np.isin(candidates, row)][:k]
        items[user, : len(unseen)] = unseen
    scores = np.full(items.shape, np.nan, dtype=np.float32)
    scores[items != EMPTY] = counts[items[items != EMPTY]]
    return TopK(items, scores)
