"""The recipe: confidence-weighted matrix factorization, and recency fold-in of a user's own history.

Belongs here: fitting factors with `implicit`, and solving user vectors from a history against fixed movie
factors. Ranking with the vectors is in `ranking`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.recommender_base import ModelFitError
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, Interactions

Progress = Callable[["Iteration"], None]


@dataclass(frozen=True)
class FoldIn:
    """How the weight of an interaction falls with the number of later ones.

    The confidence of an interaction is multiplied by `floor + boost * exp(-rank / tau)`, where rank 0 is the
    user's latest.
    """

    floor: float = 0.2
    boost: float = 3.0
    tau: float = 10.0

    def weights(self, rank: np.ndarray[Any, Any]) -> FloatArray:
        """Multiplier for each recency rank, same shape."""
        weight: FloatArray = (self.floor + self.boost * np.exp(-rank / self.tau)).astype(np.float32)
        return weight


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is learned from a matrix of positives.

    Attributes
    ----------
    alpha : float
        Confidence of a positive; an unseen pair has 1 (Hu, Koren and Volinsky 2008).
    regularization : float
        L2 penalty on both factor matrices.
    factors, iterations : int
    seed : int
        Start values; the same seed gives the same factors, bit for bit.
    fold_in : FoldIn
        Recency weights of the user vectors that are scored and served.
    """

    alpha: float = 5.0
    regularization: float = 10.0
    factors: int = 64
    iterations: int = 15
    seed: int = 1
    fold_in: FoldIn = field(default_factory=FoldIn)

    def as_dict(self) -> dict[str, float | int]:
        """Flat, with the fold-in's fields prefixed, as it is logged and compared."""
        flat = asdict(self)
        fold_in = flat.pop("fold_in")
        return {**flat, **{f"fold_in_{name}": value for name, value in fold_in.items()}}

    @classmethod
    def from_dict(cls, flat: dict[str, Any]) -> Recipe:
        """Read back what `as_dict` wrote; values may be text, as MLflow keeps them.

        Raises
        ------
        RecsysError
            When a field is missing or is not a number.
        """
        try:
            return cls(
                alpha=float(flat["alpha"]),
                regularization=float(flat["regularization"]),
                factors=int(flat["factors"]),
                iterations=int(flat["iterations"]),
                seed=int(flat["seed"]),
                fold_in=FoldIn(*(float(flat[f"fold_in_{name}"]) for name in ("floor", "boost", "tau"))),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RecsysError(f"Not a recipe: {error!r}; expected the fields {sorted(cls().as_dict())}.") from error


@dataclass(frozen=True)
class Iteration:
    """One pass of the fit: number from 1, of how many, seconds it took, training loss after it."""

    number: int
    of: int
    seconds: float
    loss: float | None


@dataclass(frozen=True)
class Factors:
    """A fitted model.

    Attributes
    ----------
    users : float32 array, shape (n_users, factors)
        As the fit left them; what is scored and served is re-solved by `fold_in`.
    movies : float32 array, shape (n_movies, factors)
    """

    users: FloatArray
    movies: FloatArray

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


def _solver(recipe: Recipe, *, loss: bool = False) -> AlternatingLeastSquares:
    return AlternatingLeastSquares(
        factors=recipe.factors,
        regularization=recipe.regularization,
        iterations=recipe.iterations,
        random_state=recipe.seed,
        calculate_training_loss=loss,
    )


def fit(positives: Interactions, recipe: Recipe, progress: Progress | None = None, *, loss: bool = False) -> Factors:
    """Factorize positives by alternating least squares.

    Parameters
    ----------
    positives : Interactions, shape (n_users, n_movies)
    recipe : Recipe
    progress : callable, optional
        Called with an `Iteration` after each pass.
    loss : bool
        Compute the training loss after each pass, which costs about a tenth of the pass.

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
    confidence = csr_matrix(
        (np.full(len(positives), recipe.alpha, dtype=np.float32), positives.stars.indices, positives.stars.indptr),
        shape=positives.shape,
    )
    with threadpool_limits(1, user_api="blas"):  # `implicit` has threads of its own; BLAS threads on top slow it down
        model = _solver(recipe, loss=loss)
        if progress is not None:
            report = progress
            model.fit_callback = lambda number, seconds, value: report(
                Iteration(number + 1, recipe.iterations, seconds, None if value is None else float(value))
            )
        try:
            model.fit(confidence, show_progress=False)
        except ModelFitError as error:
            raise RecsysError(f"{error}; raise the regularization or lower alpha ({recipe.alpha:g}).") from error
    factors = Factors(np.asarray(model.user_factors), np.asarray(model.item_factors))
    factors.require_finite()
    return factors


def fold_in(movie_factors: FloatArray, histories: Interactions, recipe: Recipe) -> FloatArray:
    """Solve user vectors exactly from their histories, the latest interactions counting most.

    Parameters
    ----------
    movie_factors : float32 array, shape (n_movies, factors)
    histories : Interactions, shape (n_users, n_movies)
        Positives of each user; the users need not be those of the fit.
    recipe : Recipe
        Its `alpha`, `regularization` and `fold_in` are used.

    Returns
    -------
    float32 array, shape (n_users, factors)
        A zero vector for an empty history.

    Raises
    ------
    RecsysError
        When the movie factors are not for these movies, or not of this recipe.
    """
    expected = (histories.shape[1], recipe.factors)
    if movie_factors.shape != expected:  # the solver reads past the end instead of complaining
        raise RecsysError(
            f"Movie factors of shape {movie_factors.shape} do not fit this history and recipe, which need {expected}."
        )
    weights = recipe.alpha * recipe.fold_in.weights(histories.recency_rank())
    weighted = csr_matrix((weights, histories.stars.indices, histories.stars.indptr), shape=histories.shape)
    with threadpool_limits(1, user_api="blas"):
        model = _solver(recipe)
        model.item_factors = movie_factors
        vectors: FloatArray = model.recalculate_user(np.arange(histories.shape[0]), weighted)
    return vectors
