"""Confidence-weighted alternating least squares, and recency fold-in of a user's own history.

Belongs here: the fit, and user vectors from histories. Does not: the recipe's numbers (`recipe`), the weight of each
interaction (`confidence`), the passes of a fit (`native.fit`, `implicit_fit`), the equations of a user
(`least_squares`), and ranking (`ranking`).
"""

from __future__ import annotations

from functools import partial

import numpy as np

from movierec_assets.progress import Progress
from movierec_assets.recsys import batches, implicit_fit, least_squares
from movierec_assets.recsys.batches import BATCH_BYTES
from movierec_assets.recsys.confidence import Confidence, interaction_weights
from movierec_assets.recsys.engine import Factors, Fit, OnIteration
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, Interactions
from movierec_assets.recsys.least_squares import Solve
from movierec_assets.recsys.native import fit as native_fit
from movierec_assets.recsys.native import library
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.threads import ALL_CORES


def engine(threads: int = ALL_CORES) -> Fit:
    """The engine that fits with a number of threads; its factors do not depend on the number."""
    return partial(fit, threads=threads)


def fit(
    positives: Interactions,
    recipe: Recipe,
    progress: OnIteration | None = None,
    *,
    loss_every: int = 0,
    start: FloatArray | None = None,
    threads: int = ALL_CORES,
) -> Factors:
    """Factorize positives by the native solver or, where it cannot be used, by `implicit`; see `engine.Fit`."""
    if len(positives) == 0:
        raise RecsysError("There is no positive rating to train on.")
    confidence = Confidence.of(positives, recipe.confidence)
    weighted = positives.weighted(np.float32(recipe.alpha) * confidence.weights(positives))
    both = None
    if start is not None:
        # A pass improves the vectors it finds, so users start with those that these movies give them.
        solve = least_squares.solver(start, recipe.regularization, len(positives), threads=threads)
        both = solve(weighted), start
    factorize = native_fit.factorize if library.solves(recipe.factors) else implicit_fit.factorize
    users, movies = factorize(weighted, recipe, progress, loss_every=loss_every, start=both, threads=threads)
    factors = Factors(users, movies, confidence)
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
    threads: int = ALL_CORES,
    progress: Progress | None = None,
) -> FloatArray:
    """Solve user vectors from their histories, the latest interactions counting most.

    Parameters
    ----------
    movie_factors : float32 array, shape (n_movies, factors)
    histories : Interactions, shape (n_users, n_movies)
        Positives of each user; the users need not be in the fit.
    recipe : Recipe
        Its `confidence`, `alpha`, `regularization` and `fold_in` are used.
    confidence : Confidence, optional
        Of the fit; required by `bm25` only.
    start : float32 array, shape (n_users, factors), optional
        Vectors near the solution, which save time: of the same users, for nearly the same histories.
    solve : callable, optional
        A solver that was made for these movie factors and this recipe, to save making one.
    batch_bytes, threads, progress
        As for `ranking.recommend`.

    Returns
    -------
    float32 array, shape (n_users, factors)
        A zero vector for an empty history.

    Raises
    ------
    RecsysError
        When the movie factors do not fit these movies or this recipe, the confidence is missing, or the regularization
        is too small for a solution.
    """
    expected = (histories.shape[1], recipe.factors)
    if movie_factors.shape != expected:  # the solver reads past the end instead of complaining
        raise RecsysError(
            f"Movie factors of shape {movie_factors.shape} do not fit this history and recipe, which need {expected}."
        )
    solve = solve or least_squares.solver(movie_factors, recipe.regularization, len(histories), threads=threads)
    vectors = np.zeros((histories.shape[0], recipe.factors), dtype=np.float32)
    needed = 24 * recipe.factors * np.arange(1, len(vectors) + 1) + 64 * histories.stars.indptr[1:].astype(np.int64)
    for batch in batches.batches(needed, batch_bytes, progress):
        some = histories.between(batch.start, batch.stop)
        weighted = some.weighted(interaction_weights(some, recipe, confidence))
        vectors[batch] = solve(weighted, None if start is None else start[batch])
    return vectors
