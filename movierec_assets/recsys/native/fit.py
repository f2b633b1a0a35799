"""The passes of a fit by the native solver.

Belongs here: alternating least squares on a matrix of confidences. Does not: where the confidences come from and
whether the solver is there (`als`), and the solver (`solver`).
"""

from __future__ import annotations

import time

import numpy as np
from scipy.sparse import csr_matrix

from movierec_assets.recsys.engine import EnoughIterations, Iteration, OnIteration
from movierec_assets.recsys.interactions import FloatArray
from movierec_assets.recsys.native import solver
from movierec_assets.recsys.native.solver import Rows
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.threads import ALL_CORES

_STEPS = 3
"""Steps of conjugate gradients in half a pass, as in `implicit`."""


def factorize(
    confidences: csr_matrix,
    recipe: Recipe,
    report: OnIteration | None,
    *,
    loss_every: int = 0,
    start: tuple[FloatArray, FloatArray] | None = None,
    threads: int = ALL_CORES,
) -> tuple[FloatArray, FloatArray]:
    """Factorize confidences, see `engine.Fit`; the factors do not depend on the number of threads.

    Parameters
    ----------
    confidences : csr_matrix, shape (n_users, n_movies)
    recipe : Recipe
    report : callable or None
    loss_every, threads : int
    start : tuple of float32 arrays, optional
        Factors of users and movies; without them, those that `implicit` starts from.

    Returns
    -------
    users, movies : float32 arrays, shapes (n_users, factors) and (n_movies, factors)

    Raises
    ------
    RecsysError
        When the matrix is broken.
    """
    users = Rows.of(confidences)
    movies = users.transposed()
    x, y = (solver.padded(each) for each in start or _random(confidences, recipe))
    for number in range(1, recipe.iterations + 1):
        began = time.perf_counter()
        _half_pass(users, x, y, recipe.regularization, threads)
        _half_pass(movies, y, x, recipe.regularization, threads)
        loss = None
        if loss_every and (number in (1, recipe.iterations) or number % loss_every == 0):
            loss = _loss(users, x, y, recipe.regularization, threads)
        try:
            if report is not None:
                seconds = time.perf_counter() - began
                report(Iteration(number, recipe.iterations, seconds, loss, _unpadded(y, recipe)))
        except EnoughIterations:
            break
    return _unpadded(x, recipe), _unpadded(y, recipe)


def _random(confidences: csr_matrix, recipe: Recipe) -> tuple[FloatArray, FloatArray]:
    generator = np.random.default_rng(recipe.seed)
    users, movies = (
        generator.random((rows, recipe.factors), dtype=np.float32) * np.float32(0.01) for rows in confidences.shape
    )
    return users, movies


def _unpadded(factors: FloatArray, recipe: Recipe) -> FloatArray:
    """The factors without padding: a copy, unless there is none."""
    return np.ascontiguousarray(factors[:, : recipe.factors])


def _half_pass(rows: Rows, x: FloatArray, y: FloatArray, regularization: float, threads: int) -> None:
    gram = solver.gram(y, threads)
    gram += np.float32(regularization) * np.eye(len(gram), dtype=np.float32)
    solver.solve(rows, x, y, gram, _STEPS, threads)


def _loss(rows: Rows, x: FloatArray, y: FloatArray, regularization: float, threads: int) -> float:
    """Mean squared error over all pairs, weighted by confidence, and the norms of the factors: as in `implicit`."""
    of_entries, confidence = solver.loss_of_entries(rows, x, y, threads)
    users, movies = solver.gram(x, threads).astype(np.float64), solver.gram(y, threads).astype(np.float64)
    norms = regularization * (np.trace(users) + np.trace(movies))
    pairs = len(rows) * rows.columns - len(rows.indices)
    return float((of_entries + np.sum(users * movies) + norms) / (confidence + pairs))
