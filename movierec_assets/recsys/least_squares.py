"""User vectors for given confidences against fixed movie factors, for one user or for all.

Belongs here: solving the users' normal equations. Where the confidences come from is in `als`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.sparse import csr_matrix

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray
from movierec_assets.recsys.threads import one_blas_thread


class Solve(Protocol):
    """A way to solve."""

    def __call__(self, confidences: csr_matrix, start: FloatArray | None = None) -> FloatArray:
        """Solve for some users.

        Parameters
        ----------
        confidences : csr_matrix, shape (n_users, n_movies)
        start : float32 array, shape (n_users, factors), optional
            Vectors that may be near the solution, which saves steps; it is the same from any start.

        Returns
        -------
        float32 array, shape (n_users, factors)
            0 for an empty row.
        """


_UNIT = 1e-4
"""`implicit` ends when the squared residual is below 1e-20; in this unit that is a residual of 1e-6."""


def solver(movie_factors: FloatArray, regularization: float, entries: int) -> Solve:
    """The way to solve that is faster for some number of interactions; the vectors are those of either.

    With the movie vectors y and the confidences c of a user, a vector x solves

        (sum over all movies of y y^T + regularization I + sum over the history of (c - 1) y y^T) x = sum of c y.

    Parameters
    ----------
    movie_factors : float32 array, shape (n_movies, factors)
    regularization : float
    entries : int
        Interactions of all users to solve for.

    Raises
    ------
    RecsysError
        When the equations have no single solution; or only when solving, if there are few interactions.

    References
    ----------
    Hu, Koren and Volinsky (2008), Collaborative filtering for implicit feedback datasets.
    """
    return (iterative if are_many(entries, movie_factors) else direct)(movie_factors, regularization)


def are_many(entries: int, movie_factors: FloatArray) -> bool:
    """Whether there are so many interactions that preparing the movies pays, which costs about as much as one each."""
    return entries > len(movie_factors)


def direct(movie_factors: FloatArray, regularization: float) -> Solve:
    """Solve by elimination, one matrix for each user."""

    def solve(confidences: csr_matrix, start: FloatArray | None = None) -> FloatArray:
        with one_blas_thread():  # `implicit` has threads of its own
            # It hands out eight users at a time: with fewer, a second thread would only be waited for.
            threads = 1 if confidences.shape[0] <= 8 else 0
            model = AlternatingLeastSquares(movie_factors.shape[1], regularization, num_threads=threads)
            model.item_factors = movie_factors
            try:
                vectors: FloatArray = model.recalculate_user(np.arange(confidences.shape[0]), confidences)
            except ValueError as error:
                raise RecsysError(f"{error}; raise the regularization ({regularization:g}).") from error
        return vectors

    return solve


def iterative(movie_factors: FloatArray, regularization: float) -> Solve:
    """Solve by conjugate gradients, in coordinates where only a user's history differs from the identity.

    With L L^T = sum of y y^T + regularization I, and z = L^-1 y, the equations become those of I plus the history's
    (c - 1) z z^T. What the history holds is at most the identity, so the condition number is at most the highest
    confidence over the lowest (or 1), and a few steps reach what single precision can hold.

    Raises
    ------
    RecsysError
        When the equations have no single solution.
    """
    factors = movie_factors.shape[1]
    # The regularization as so many more movies, which nobody likes: their sum with the others is the identity.
    known = np.vstack([movie_factors.astype(np.float64), np.sqrt(regularization) * np.eye(factors)])
    try:
        lower = cholesky(known.T @ known, lower=True)
    except LinAlgError as error:
        raise RecsysError(f"User vectors are not determined ({error}); raise the regularization.") from error
    white = np.ascontiguousarray(_UNIT * solve_triangular(lower, known.T, lower=True).T, dtype=np.float32)

    def solve(confidences: csr_matrix, start: FloatArray | None = None) -> FloatArray:
        found = np.zeros((confidences.shape[0], factors), dtype=np.float32)
        if start is not None:
            found[:] = start @ lower / _UNIT
        with one_blas_thread():
            model = AlternatingLeastSquares(factors=factors)
            model.cg_steps = 2 * factors + 20
            model.solver(confidences, found, white, 0.0, num_threads=model.num_threads)
        vectors: FloatArray = solve_triangular(lower, _UNIT * found.T, lower=True, trans="T").T
        return vectors.astype(np.float32)

    return solve
