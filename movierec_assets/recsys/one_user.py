"""The vector of one user for given confidences and fixed movie factors, for answers at once.

Belongs here: what is prepared once for fixed movie factors. Does not: many users (`least_squares`), and where the
confidences come from (`confidence`).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.linalg.lapack import dposv

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.recsys.native import library
from movierec_assets.recsys.native.solver import SolverOfOne

_UNIT = 1e-4
"""The library stops when the squared residual is below 1e-20; in this unit that is a residual of 1e-6."""


class SolveOne(Protocol):
    """Solves for one user."""

    def __call__(self, liked: IntArray, confidences: FloatArray, /) -> FloatArray:
        """The vector of a user, float32, shape (factors,); see `least_squares.solver` for the equations.

        Parameters
        ----------
        liked : int array, shape (n_liked,)
            Rows of the movie factors.
        confidences : float32 array, shape (n_liked,)

        Raises
        ------
        RecsysError
            When the vector is not determined.
        """


def solver(movie_factors: FloatArray, regularization: float) -> SolveOne:
    """The solver for movie factors, float32, shape (n_movies, factors): in C, or by LAPACK where that is missing."""
    if library.solves(movie_factors.shape[1]):
        try:
            return _native(movie_factors, regularization)
        except LinAlgError:  # whoever asks is told, not whoever prepares
            pass
    return _direct(movie_factors, regularization)


def _direct(movie_factors: FloatArray, regularization: float) -> SolveOne:
    exact = movie_factors.astype(np.float64)
    regularized = exact.T @ exact + regularization * np.eye(exact.shape[1])

    def solve(liked: IntArray, confidences: FloatArray) -> FloatArray:
        vectors = movie_factors.take(liked, axis=0)
        weighted = vectors * (confidences - np.float32(1.0))[:, None]
        normal = (vectors.T @ weighted).astype(np.float64)
        normal += regularized
        # The matrix is symmetric; transposed, it has the order of Fortran, and LAPACK needs no copy.
        _, solved, failed = dposv(normal.T, confidences @ vectors, overwrite_a=True)
        if failed:
            raise RecsysError("The user's vector is not determined; raise the regularization.")
        vector: FloatArray = solved.astype(np.float32)
        return vector

    return solve


def _native(movie_factors: FloatArray, regularization: float) -> SolveOne:
    """By conjugate gradients, in the coordinates of `least_squares.iterative`."""
    factors = movie_factors.shape[1]
    exact = movie_factors.astype(np.float64)
    lower = cholesky(exact.T @ exact + regularization * np.eye(factors), lower=True)
    white = _UNIT * solve_triangular(lower, exact.T, lower=True).T
    back = _UNIT * solve_triangular(lower, np.eye(factors), lower=True, trans="T")
    return SolverOfOne(white, np.eye(factors) * _UNIT**2, back, 2 * factors + 20)
