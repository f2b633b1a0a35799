"""Rankers to be measured against.

Belongs here: methods that the recipe has to beat, each a function from what it learns on (`train`) and what is known
of the users to rank for (`histories`, over the same movies) to ranked lists, so that users of the fit and users it
never saw are served alike. No list holds a movie of its history. The recipe is in `als`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import ItemItemRecommender, bm25_weight, normalize, tfidf_weight
from scipy.linalg import lapack
from scipy.sparse import csr_matrix

from movierec_assets.recsys import metrics, ranking
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, IntArray, Interactions, positions
from movierec_assets.recsys.ranking import EMPTY, TopK
from movierec_assets.recsys.threads import one_blas_thread

EASE_LIMIT = 20_000
"""Movies up to which `ease` is tried whatever the number of users: two float32 matrices over them are 3.2 GB."""

EASE_GRID = (50.0, 100.0, 250.0, 500.0, 1000.0, 2000.0)

_K1, _B = 100.0, 0.8
_BLOCK = 512


def popularity(train: Interactions, histories: Interactions, k: int) -> TopK:
    """Lists of the movies with the most likes in `train`, the same for everybody but for what is in the history."""
    return ranking.popular(train.per_movie, histories.stars, k)


def original_recipe(
    train: Interactions, histories: Interactions, k: int, seed: int, users: IntArray | None = None
) -> TopK:
    """Lists of the recipe that this project began with.

    BM25-weighted likes (K1 = 100, B = 0.8), ALS with 128 factors, regularization 0.1 and 25 iterations, and the fit's
    own user factors. Users it was not fitted on are folded in with the same weights.

    Parameters
    ----------
    train : Interactions, shape (all users, n_movies)
    histories : Interactions, shape (n_users, n_movies)
    k, seed : int
    users : int array, shape (n_users,), optional
        Rows of `train` that the histories belong to; who has nothing there is folded in, as is everybody without it.

    Returns
    -------
    TopK, shape (n_users, k)

    Raises
    ------
    RecsysError
        When there is nothing to learn from.
    """
    # As in the original, who has no like to train on is no row: BM25 asks for the number and mean length of rows.
    fitted = np.flatnonzero(train.per_user)
    likes = _likes(train.rows(fitted))
    rows = positions(fitted, users) if users is not None else np.full(histories.shape[0], -1)
    known, strangers = np.flatnonzero(rows >= 0), np.flatnonzero(rows < 0)
    with one_blas_thread():
        model = AlternatingLeastSquares(factors=128, regularization=0.1, iterations=25, random_state=seed)
        model.fit(bm25_weight(likes, K1=_K1, B=_B).tocsr(), show_progress=False)
        vectors = np.empty((histories.shape[0], 128), dtype=np.float32)
        vectors[known] = model.user_factors[rows[known]]
        weighted = _bm25_like(likes, histories.rows(strangers))
        vectors[strangers] = model.recalculate_user(np.arange(len(strangers)), weighted)
    return ranking.recommend(vectors, model.item_factors, histories.stars, k)


def _bm25_like(fitted: csr_matrix, histories: Interactions) -> csr_matrix:
    """Weigh histories as `bm25_weight` weighs rows of the matrix it was given for the fit."""
    rarity = np.log(fitted.shape[0]) - np.log1p(np.bincount(fitted.indices, minlength=fitted.shape[1]))
    length = 1.0 - _B + _B * histories.per_user * fitted.shape[0] / fitted.nnz
    by_user = np.repeat((_K1 + 1.0) / (_K1 * length + 1.0), histories.per_user)
    indices = histories.stars.indices
    weights = (by_user * rarity[indices]).astype(np.float32)
    return csr_matrix((weights, indices, histories.stars.indptr), shape=histories.shape)


def item_knn(train: Interactions, histories: Interactions, k: int, neighbours: int = 100) -> TopK:
    """Lists of the movies most alike those in the history, by cosine of their TF-IDF-weighted likes.

    Parameters
    ----------
    train : Interactions, shape (all users, n_movies)
    histories : Interactions, shape (n_users, n_movies)
    k : int
    neighbours : int
        Of each movie that count.

    Returns
    -------
    TopK, shape (n_users, k)
        A movie that is no neighbour of any in the history is not listed.

    Raises
    ------
    RecsysError
        When there is nothing to learn from.

    References
    ----------
    Deshpande and Karypis (2004), Item-based top-N recommendation algorithms.
    """
    with np.errstate(invalid="ignore"):  # a movie that only users of no weight like has no direction
        weighted = normalize(tfidf_weight(_likes(train).T)).T.tocsr()
    weighted.data = np.nan_to_num(weighted.data)
    model = ItemItemRecommender(K=neighbours)
    model.fit(weighted, show_progress=False)
    items, scores = model.recommend(np.arange(histories.shape[0]), _ones(histories), N=k)
    listed = scores > 0  # `implicit` fills short lists with movies of the history, at 0
    return TopK(np.where(listed, items, EMPTY), np.where(listed, scores, np.nan).astype(np.float32))


def ease_feasible(train: Interactions, limit: int = EASE_LIMIT) -> bool:
    """Whether `ease` fits in memory: its largest matrix may have as many cells as `limit` movies squared."""
    n_movies = train.shape[1]
    return min(int((train.per_user > 0).sum()), n_movies) * n_movies <= limit**2


def ease(train: Interactions, histories: Interactions, k: int, regularization: float) -> TopK:
    """Lists of EASE: a linear model from the history to all movies, in closed form.

    Parameters
    ----------
    train : Interactions, shape (all users, n_movies)
    histories : Interactions, shape (n_users, n_movies)
    k : int
    regularization : float
        The lambda of the paper; `choose_ease_lambda` finds one.

    Returns
    -------
    TopK, shape (n_users, k)

    Raises
    ------
    RecsysError
        When there is nothing to learn from, it does not fit in memory, or the regularization is too small.

    References
    ----------
    Steck (2019), Embarrassingly shallow autoencoders for sparse data.
    """
    return _rank_linear(histories, _ease_of(train).fit(regularization), k)


def choose_ease_lambda(
    train: Interactions, histories: Interactions, held_out: Interactions, grid: Sequence[float] = EASE_GRID
) -> float:
    """The regularization of the grid with which EASE ranks best on a validation part.

    Parameters
    ----------
    train : Interactions, shape (all users, n_movies)
        Without the validation part.
    histories, held_out : Interactions, shape (n_users, n_movies)
        Of the users scored on it, at least one held-out entry each.
    grid : sequence of float

    Returns
    -------
    float
        The first with the highest mean NDCG@10.

    Raises
    ------
    RecsysError
        When the grid or the validation part is empty, or as `ease` does.
    """
    if len(grid) == 0 or histories.shape[0] == 0:
        raise RecsysError(f"Nothing to choose by: {len(grid)} values to try on {histories.shape[0]} users.")
    model = _ease_of(train)

    def ndcg(regularization: float) -> float:
        lists = _rank_linear(histories, model.fit(regularization), 10)
        return float(metrics.score(lists.items, held_out.stars, 10).ndcg.mean())

    return max(grid, key=ndcg)


@dataclass(frozen=True)
class _Linear:
    """Scores of movies that are not in the history: likes, through `basis` if there is one, times `weights`."""

    weights: FloatArray
    basis: csr_matrix | None = None

    def scores(self, likes: csr_matrix) -> FloatArray:
        known: FloatArray = (
            likes @ self.weights if self.basis is None else (likes @ self.basis).toarray() @ self.weights
        )
        return known


@dataclass(frozen=True)
class _Ease:
    """What all regularizations share.

    With P = (X^T X + lambda I)^-1, EASE scores a movie j that is not in the history h by -(h P)_j / P_jj. Where users
    are fewer than movies, P = (I - X^T (X X^T + lambda I)^-1 X) / lambda needs the smaller inverse only.
    """

    likes: csr_matrix
    gram: FloatArray

    def fit(self, regularization: float) -> _Linear:
        shifted = self.gram.copy(order="F")  # LAPACK works on it in place
        shifted[np.diag_indices(len(shifted))] += np.float32(regularization)
        triangle, failed = lapack.spotrf(shifted, overwrite_a=True, clean=False)
        if failed or not regularization > 0:
            raise RecsysError(f"EASE has no solution with regularization {regularization:g}; raise it.")
        if self.of_users:
            solved, _ = lapack.spotrs(triangle, self.likes.toarray())
            explained = np.asarray(self.likes.multiply(solved).sum(axis=0)).ravel()
            return _Linear(solved / (1 - explained), basis=self.likes.T.tocsr())
        inverse, _ = lapack.spotri(triangle, overwrite_c=True)
        _mirror(inverse)
        weights = inverse.T  # the same values, in the C order that sparse products want
        weights /= -weights.diagonal().copy()
        return _Linear(weights)

    @property
    def of_users(self) -> bool:
        """Whether `gram` compares users, not movies."""
        return bool(self.likes.shape[0] < self.likes.shape[1])


def _ease_of(train: Interactions) -> _Ease:
    if not ease_feasible(train):
        raise RecsysError(f"EASE of {train.shape[1]} movies needs too much memory; leave it out of the comparison.")
    likes = _likes(train.rows(np.flatnonzero(train.per_user)))
    few = likes if likes.shape[0] < likes.shape[1] else likes.T.tocsr()
    gram = np.empty((few.shape[0], few.shape[0]), dtype=np.float32)
    for start in range(0, len(gram), _BLOCK):  # by blocks: a sparse matrix this full would take twice the memory
        gram[start : start + _BLOCK] = (few[start : start + _BLOCK] @ few.T).toarray()
    return _Ease(likes, gram)


def _mirror(matrix: FloatArray) -> None:
    """Copy the upper triangle to the lower one, in place."""
    for start in range(0, len(matrix), _BLOCK):
        stop = start + _BLOCK
        matrix[start:stop, :start] = matrix[:start, start:stop].T
        corner = matrix[start:stop, start:stop]
        corner[:] = np.triu(corner) + np.triu(corner, 1).T


def _rank_linear(histories: Interactions, model: _Linear, k: int) -> TopK:
    """Rank by the model's scores, all but the history; equal scores keep the order of columns."""
    n_users, n_movies = histories.shape
    wanted = min(k, n_movies)
    items = np.full((n_users, k), EMPTY, dtype=np.int32)
    scores = np.full((n_users, k), np.nan, dtype=np.float32)
    likes = _ones(histories)
    for start in range(0, n_users, _BLOCK):
        seen = likes[start : start + _BLOCK]
        loss = -model.scores(seen)
        loss[np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr)), seen.indices] = np.inf
        best = np.argpartition(loss, wanted - 1, axis=1)[:, :wanted]
        best = np.take_along_axis(best, np.lexsort((best, np.take_along_axis(loss, best, axis=1)), axis=1), axis=1)
        value = -np.take_along_axis(loss, best, axis=1)
        items[start : start + _BLOCK, :wanted] = np.where(np.isfinite(value), best, EMPTY)
        scores[start : start + _BLOCK, :wanted] = np.where(np.isfinite(value), value, np.nan)
    return TopK(items, scores)


def _ones(interactions: Interactions) -> csr_matrix:
    """The matrix of likes, all alike."""
    stars = interactions.stars
    return csr_matrix((np.ones(len(interactions), dtype=np.float32), stars.indices, stars.indptr), shape=stars.shape)


def _likes(train: Interactions) -> csr_matrix:
    if len(train) == 0:
        raise RecsysError("There is no positive rating to train a baseline on.")
    return _ones(train)
