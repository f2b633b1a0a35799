"""The recipe: confidence-weighted matrix factorization, and recency fold-in of a user's own history.

Belongs here: fitting factors with `implicit`, and what weight a history has when user vectors are solved from it. The
numbers are in `recipe`, the solving is in `least_squares`, and ranking with the vectors in `ranking`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.recommender_base import ModelFitError
from scipy.sparse import csr_matrix

from movierec_assets.progress import Progress
from movierec_assets.recsys import batches, least_squares
from movierec_assets.recsys.batches import BATCH_BYTES
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, Interactions
from movierec_assets.recsys.least_squares import Solve
from movierec_assets.recsys.recipe import ConfidenceKind, FoldIn, Recipe
from movierec_assets.recsys.threads import one_blas_thread

__all__ = [
    "Confidence",
    "ConfidenceKind",
    "Factors",
    "FoldIn",
    "Iteration",
    "Recipe",
    "fit",
    "fold_in",
    "interaction_weights",
]

OnIteration = Callable[["Iteration"], None]


_BM25_K1, _BM25_B = 100.0, 0.8
_MIDDLE_STARS = 4.5


@dataclass(frozen=True)
class Confidence:
    """How sure an interaction makes us of a like, before `alpha` and recency.

    `binary` treats all alike; `rating` doubles with each star; `bm25` counts an interaction with a rarely liked
    movie, and one of a user with few interactions, for more. What `bm25` needs to know of the training data is kept
    here, so that users who were not part of it are weighted alike.

    Attributes
    ----------
    kind : {"binary", "rating", "bm25"}
    movie_weight : float32 array, shape (n_movies,)
        Inverse document frequency scaled so that the mean over training interactions is 1; ones unless `bm25`.
    mean_length : float
        Mean number of interactions of a training user.

    References
    ----------
    Robertson and Zaragoza (2009), The probabilistic relevance framework: BM25 and beyond.
    """

    kind: ConfidenceKind
    movie_weight: FloatArray
    mean_length: float

    @classmethod
    def of(cls, positives: Interactions, kind: ConfidenceKind) -> Self:
        """Learn the weights from training data."""
        users = int((positives.per_user > 0).sum())
        weight = np.ones(positives.shape[1], dtype=np.float32)
        mean_length = len(positives) / max(1, users)
        if kind == "bm25":
            rarity = np.log(users + 1) - np.log1p(positives.per_movie)
            raw = cls(kind, rarity.astype(np.float32), mean_length).weights(positives)
            weight = (rarity / max(float(raw.mean()), 1e-12)).astype(np.float32)
        return cls(kind, weight, mean_length)

    def weights(self, histories: Interactions) -> FloatArray:
        """Weight of each interaction, in the order of `histories.stars.data`."""
        if self.kind == "rating":
            by_stars: FloatArray = np.exp2(histories.stars.data - np.float32(_MIDDLE_STARS))
            return by_stars
        if self.kind == "binary":
            return np.ones(len(histories), dtype=np.float32)
        length = 1.0 - _BM25_B + _BM25_B * histories.per_user / self.mean_length
        by_user = ((_BM25_K1 + 1.0) / (_BM25_K1 * length + 1.0)).astype(np.float32)
        weight: FloatArray = np.repeat(by_user, histories.per_user) * self.movie_weight[histories.stars.indices]
        return weight


@dataclass(frozen=True)
class Iteration:
    """One pass of the fit.

    Attributes
    ----------
    number, of : int
        Counted from 1.
    seconds : float
    loss : float or None
        Training loss after it, where asked for.
    movies : float32 array, shape (n_movies, factors)
        Movie factors as they are now; the next pass changes them.
    """

    number: int
    of: int
    seconds: float
    loss: float | None
    movies: FloatArray


@dataclass(frozen=True)
class Factors:
    """A fitted model.

    Attributes
    ----------
    users : float32 array, shape (n_users, factors)
        As the fit left them; what is scored and served is re-solved by `fold_in`.
    movies : float32 array, shape (n_movies, factors)
    confidence : Confidence
        As learned from what was fitted.
    """

    users: FloatArray
    movies: FloatArray
    confidence: Confidence

    def require_finite(self) -> None:
        """Raise when a factor is not a number.

        Raises
        ------
        RecsysError
        """
        for name, matrix in (("user", self.users), ("movie", self.movies)):
            broken = int((~np.isfinite(matrix)).any(axis=1).sum())
            if broken:
                raise RecsysError(f"{broken} of {len(matrix)} {name} vectors are not finite; raise the regularization.")


def _solver(recipe: Recipe) -> AlternatingLeastSquares:
    return AlternatingLeastSquares(
        factors=recipe.factors,
        regularization=recipe.regularization,
        iterations=recipe.iterations,
        random_state=recipe.seed,
    )


class EnoughIterations(Exception):  # noqa: N818
    """Raised by a progress callback to end a fit after the iteration it was told of."""


def fit(
    positives: Interactions,
    recipe: Recipe,
    progress: OnIteration | None = None,
    *,
    loss_every: int = 0,
    start: FloatArray | None = None,
) -> Factors:
    """Factorize positives by alternating least squares.

    Parameters
    ----------
    positives : Interactions, shape (n_users, n_movies)
    recipe : Recipe
    progress : callable, optional
        Called with an `Iteration` after each pass; may raise `EnoughIterations`.
    loss_every : int
        Compute the training loss after the first and the last pass and after each so many, which costs about a tenth of
        a pass; 0 for never.
    start : float32 array, shape (n_movies, factors), optional
        Movie factors to go on from; random ones, by the recipe's seed, without.

    Returns
    -------
    Factors

    Raises
    ------
    RecsysError
        When there is nothing to learn from, or a factor comes out not finite.

    References
    ----------
    Hu, Koren and Volinsky (2008), Collaborative filtering for implicit feedback datasets.
    """
    if len(positives) == 0:
        raise RecsysError("There is no positive rating to train on.")
    confidence = Confidence.of(positives, recipe.confidence)
    weights = np.float32(recipe.alpha) * confidence.weights(positives)
    weighted = csr_matrix((weights, positives.stars.indices, positives.stars.indptr), shape=positives.shape)
    with one_blas_thread():  # `implicit` has threads of its own; BLAS threads on top slow it down
        model = _solver(recipe)
        model.calculate_training_loss = loss_every > 0

        def after(number: int, seconds: float, value: float | None) -> None:
            known = None if value is None or not model.calculate_training_loss else float(value)
            ahead = number + 2
            model.calculate_training_loss = loss_every > 0 and (ahead == recipe.iterations or ahead % loss_every == 0)
            if progress is not None:
                progress(Iteration(number + 1, recipe.iterations, seconds, known, model.item_factors))

        model.fit_callback = after
        if start is not None:
            model.item_factors = np.array(start, dtype=np.float32)
            # The solver improves on the vectors it finds, so users start where these movies put them.
            solve = least_squares.solver(model.item_factors, recipe.regularization, len(positives))
            model.user_factors = solve(weighted)
        try:
            model.fit(weighted, show_progress=False)
        except EnoughIterations:
            pass
        except ModelFitError as error:
            raise RecsysError(f"{error}; raise the regularization or lower alpha ({recipe.alpha:g}).") from error
    factors = Factors(np.asarray(model.user_factors), np.asarray(model.item_factors), confidence)
    factors.require_finite()
    return factors


def fold_in(
    movie_factors: FloatArray,
    histories: Interactions,
    recipe: Recipe,
    confidence: Confidence | None = None,
    *,
    start: FloatArray | None = None,
    solve: Solve | None = None,
    batch_bytes: int = BATCH_BYTES,
    progress: Progress | None = None,
) -> FloatArray:
    """Solve user vectors from their histories, the latest interactions counting most.

    Parameters
    ----------
    movie_factors : float32 array, shape (n_movies, factors)
    histories : Interactions, shape (n_users, n_movies)
        Positives of each user; the users need not be those of the fit.
    recipe : Recipe
        Its `confidence`, `alpha`, `regularization` and `fold_in` are used.
    confidence : Confidence, optional
        Of the fit; only `bm25` cannot do without.
    start : float32 array, shape (n_users, factors), optional
        Vectors of the same users for nearly the same histories: what is solved for is found sooner from there.
    solve : callable, optional
        Made before for these movie factors and this recipe; preparing it for large histories takes a while.
    batch_bytes : int
        Memory for the temporary arrays of one batch of users.
    progress : callable, optional
        Told the number of users done, and of all.

    Returns
    -------
    float32 array, shape (n_users, factors)
        A zero vector for an empty history.

    Raises
    ------
    RecsysError
        When the movie factors are not for these movies, or not of this recipe, the confidence is missing, or the
        regularization is too small for a solution.
    """
    expected = (histories.shape[1], recipe.factors)
    if movie_factors.shape != expected:  # the solver reads past the end instead of complaining
        raise RecsysError(
            f"Movie factors of shape {movie_factors.shape} do not fit this history and recipe, which need {expected}."
        )
    confidence = confidence or _confidence_of(histories, recipe)
    solve = solve or least_squares.solver(movie_factors, recipe.regularization, len(histories))
    vectors = np.zeros((histories.shape[0], recipe.factors), dtype=np.float32)
    needed = 24 * recipe.factors * np.arange(1, len(vectors) + 1) + 64 * histories.stars.indptr[1:].astype(np.int64)
    for batch in batches.batches(needed, batch_bytes, progress):
        some = histories.between(batch.start, batch.stop)
        weights = interaction_weights(some, recipe, confidence)
        weighted = csr_matrix((weights, some.stars.indices, some.stars.indptr), shape=some.shape)
        vectors[batch] = solve(weighted, None if start is None else start[batch])
    return vectors


def interaction_weights(histories: Interactions, recipe: Recipe, confidence: Confidence | None = None) -> FloatArray:
    """Confidence of each interaction in a fold-in: `alpha`, times its kind's weight, times its recency's.

    Returns
    -------
    float32 array, shape (nnz,)
        In the order of `histories.stars.data`.

    Raises
    ------
    RecsysError
        When the recipe needs the confidence of the fit and does not get it.
    """
    confidence = confidence or _confidence_of(histories, recipe)
    recency = recipe.fold_in.weights(histories.recency_rank())
    weights: FloatArray = np.float32(recipe.alpha) * confidence.weights(histories) * recency
    return weights


def _confidence_of(histories: Interactions, recipe: Recipe) -> Confidence:
    if recipe.confidence == "bm25":
        raise RecsysError("A bm25 recipe folds in with the confidence of its fit; pass `Factors.confidence`.")
    return Confidence.of(histories, recipe.confidence)
