"""Baselines: the rankers that the recipe has to beat.

Belongs here: a function for each. It learns from the likes in `train`, and gives a ranked list for each row of
`histories`, over the same movies and without those of the row. The users of the histories need not be in the fit. With
nothing to learn from, it raises `RecsysError`. Does not: the names (`rankers`) and the recipe (`als`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import ItemItemRecommender, bm25_weight, normalize, tfidf_weight
from scipy.linalg import lapack
from scipy.sparse import csr_matrix

from movierec_assets.recsys import metrics, ranking
from movierec_assets.recsys.confidence import BM25_B, BM25_K1, bm25_weights
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, IntArray, Interactions, positions
from movierec_assets.recsys.rankers import EASE, ITEM_KNN, ORIGINAL, POPULARITY
from movierec_assets.recsys.ranking import EMPTY, TopK
from movierec_assets.recsys.split import Task
from movierec_assets.recsys.threads import one_blas_thread

MAX_EASE_MOVIES = 20_000
"""Movies up to which `ease` is run for any number of users: two float32 matrices over them take 3.2 GB."""

EASE_GRID = (50.0, 100.0, 250.0, 500.0, 1000.0, 2000.0)

_BLOCK = 512


def rank(names: Sequence[str], task: Task, k: int, *, seed: int, ease_regularization: float) -> dict[str, TopK]:
    """Lists of some baselines for the users of a task, in the order of the names; the original recipe uses the seed."""
    train, histories = task.train, task.histories
    rankers: dict[str, Callable[[], TopK]] = {
        POPULARITY: lambda: popularity(train, histories, k),
        ITEM_KNN: lambda: item_knn(train, histories, k),
        ORIGINAL: lambda: original_recipe(train, histories, k, seed, task.users),
        EASE: lambda: ease(train, histories, k, ease_regularization),
    }
    return {name: rankers[name]() for name in names}


def popularity(train: Interactions, histories: Interactions, k: int) -> TopK:
    """Lists of the movies with the most likes in `train`, without those of the history."""
    return ranking.popular(train.per_movie, histories.stars, k)


def original_recipe(
    train: Interactions, histories: Interactions, k: int, seed: int, users: IntArray | None = None
) -> TopK:
    """Lists of the recipe that this project began with.

    BM25-weighted likes (K1 = 100, B = 0.8), ALS with 128 factors, regularization 0.1 and 25 iterations, and the fit's
    own user factors. Users without a row in the fit are folded in with the same weights.

    Parameters
    ----------
    train, histories, k
        As for `item_knn`.
    seed : int
    users : int array, shape (n_users,), optional
        Rows of `train` that the histories belong to. Users with an empty row, and all users without this array, are
        folded in.
    """
    # As in the original, users without a like to train on have no row: BM25 uses the number and mean length of rows.
    fitted = np.flatnonzero(train.per_user)
    likes = _likes(train.rows(fitted))
    rows = positions(fitted, users) if users is not None else np.full(histories.shape[0], -1)
    known, strangers = np.flatnonzero(rows >= 0), np.flatnonzero(rows < 0)
    with one_blas_thread():
        model = AlternatingLeastSquares(factors=128, regularization=0.1, iterations=25, random_state=seed)
        model.fit(bm25_weight(likes, K1=BM25_K1, B=BM25_B).tocsr(), show_progress=False)
        vectors = np.empty((histories.shape[0], 128), dtype=np.float32)
        vectors[known] = model.user_factors[rows[known]]
        folded_in = histories.rows(strangers)
        rarity = np.log(likes.shape[0]) - np.log1p(np.bincount(likes.indices, minlength=likes.shape[1]))
        weights = bm25_weights(folded_in, rarity, likes.nnz / likes.shape[0]).astype(np.float32)
        vectors[strangers] = model.recalculate_user(np.arange(len(strangers)), folded_in.weighted(weights))
    return ranking.recommend(vectors, model.item_factors, histories.stars, k)


def item_knn(train: Interactions, histories: Interactions, k: int, neighbours: int = 100) -> TopK:
    """Lists of the movies nearest to those in the history, by cosine of their TF-IDF-weighted likes.

    Parameters
    ----------
    train : Interactions, shape (all users, n_movies)
    histories : Interactions, shape (n_users, n_movies)
    k : int
    neighbours : int
        Nearest movies of each movie that are counted.

    Returns
    -------
    TopK, shape (n_users, k)
        Only neighbours of movies in the history are listed.

    References
    ----------
    Deshpande and Karypis (2004), Item-based top-N recommendation algorithms.
    """
    with np.errstate(invalid="ignore"):  # a movie that is liked by users of weight 0 only has no direction
        weighted = normalize(tfidf_weight(_likes(train).T)).T.tocsr()
    weighted.data = np.nan_to_num(weighted.data)
    model = ItemItemRecommender(K=neighbours)
    model.fit(weighted, show_progress=False)
    items, scores = model.recommend(np.arange(histories.shape[0]), histories.weighted(), N=k)
    listed = scores > 0  # `implicit` fills short lists with movies of the history, at 0
    return TopK(np.where(listed, items, EMPTY), np.where(listed, scores, np.nan).astype(np.float32))


def ease_feasible(train: Interactions, max_movies: int = MAX_EASE_MOVIES) -> bool:
    """Whether `ease` fits in memory: its largest matrix may have as many cells as `max_movies` squared."""
    n_movies = train.shape[1]
    return min(int((train.per_user > 0).sum()), n_movies) * n_movies <= max_movies**2


def ease(train: Interactions, histories: Interactions, k: int, regularization: float) -> TopK:
    """Lists of EASE: a linear model from the history to all movies, in closed form.

    Parameters
    ----------
    train, histories, k
        As for `item_knn`.
    regularization : float
        The lambda of the paper; `choose_ease_lambda` finds one.

    Raises
    ------
    RecsysError
        When it does not fit in memory, or the regularization is too small.

    References
    ----------
    Steck (2019), Embarrassingly shallow autoencoders for sparse data.
    """
    return _rank_linear(histories, _ease_of(train).fit(regularization), k)


def choose_ease_lambda(
    train: Interactions, histories: Interactions, held_out: Interactions, grid: Sequence[float] = EASE_GRID
) -> float:
    """The first regularization of the grid with the highest mean NDCG@10 of EASE on a validation part, see `Task`.

    Raises
    ------
    RecsysError
        When the grid or the validation part is empty, and where `ease` does.
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
        if self.basis is None:
            return likes @ self.weights  # type: ignore[no-any-return]
        return (likes @ self.basis).toarray() @ self.weights  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Ease:
    """The part of EASE that all regularizations share.

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
    """Rank all movies but the history by the model's scores; equal scores keep the order of columns."""
    n_users, n_movies = histories.shape
    wanted = min(k, n_movies)
    items = np.full((n_users, k), EMPTY, dtype=np.int32)
    scores = np.full((n_users, k), np.nan, dtype=np.float32)
    likes = histories.weighted()
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


def _likes(train: Interactions) -> csr_matrix:
    if len(train) == 0:
        raise RecsysError("There is no positive rating to train a baseline on.")
    return train.weighted()
