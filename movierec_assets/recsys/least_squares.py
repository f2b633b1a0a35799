"""User vectors for given confidences and fixed movie factors, for one user or for all.

Belongs here: solving the normal equations of users. Does not: where the confidences come from (`confidence`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.sparse import csr_matrix

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, writable
from movierec_assets.recsys.native import library
from movierec_assets.recsys.native import solver as native
from movierec_assets.recsys.threads import ALL_CORES, one_blas_thread


class Solve(Protocol):
    """Solves for users."""

    def __call__(self, confidences: csr_matrix, start: FloatArray | None = None) -> FloatArray:
        """Solve for some users.

        Parameters
        ----------
        confidences : csr_matrix, shape (n_users, n_movies)
        start : float32 array, shape (n_users, factors), optional
            Vectors near the solution, which save steps. The solution does not depend on them.

        Returns
        -------
        float32 array, shape (n_users, factors)
            0 for an empty row.
        """


_UNIT = 1e-4
"""`implicit` stops when the squared residual is below 1e-20; in this unit that is a residual of 1e-6."""
_ROWS_PER_THREAD = 8
"""`implicit` hands this many rows to a thread at a time."""


def solver(movie_factors: FloatArray, regularization: float, entries: int, *, threads: int = ALL_CORES) -> Solve:
    """The solver that is faster for a number of interactions; both solvers give the same vectors.

    With the movie vectors y and the confidences c of a user, a vector x solves

        (sum over all movies of y y^T + regularization I + sum over the history of (c - 1) y y^T) x = sum of c y.

    Parameters
    ----------
    movie_factors : float32 array, shape (n_movies, factors)
    regularization : float
    entries : int
        Interactions of all users to solve for.
    threads : int

    Raises
    ------
    RecsysError
        When the equations have no single solution. The direct solver raises when it is called.

    References
    ----------
    Hu, Koren and Volinsky (2008), Collaborative filtering for implicit feedback datasets.
    """
    make = iterative if iterative_is_faster(entries, movie_factors) else direct
    return make(movie_factors, regularization, threads=threads)


def iterative_is_faster(entries: int, movie_factors: FloatArray) -> bool:
    """Whether there are enough interactions: to prepare a movie costs about as much as to solve one interaction."""
    return entries > len(movie_factors)


def direct(movie_factors: FloatArray, regularization: float, *, threads: int = ALL_CORES) -> Solve:
    """Solve by elimination, one matrix for each user."""

    def solve(confidences: csr_matrix, start: FloatArray | None = None) -> FloatArray:
        with one_blas_thread():  # `implicit` has threads of its own
            used = 1 if confidences.shape[0] <= _ROWS_PER_THREAD else threads
            model = AlternatingLeastSquares(movie_factors.shape[1], regularization, num_threads=used)
            model.item_factors = np.require(movie_factors, requirements="W")
            try:
                vectors: FloatArray = model.recalculate_user(np.arange(confidences.shape[0]), writable(confidences))
            except ValueError as error:
                raise RecsysError(f"{error}; raise the regularization ({regularization:g}).") from error
        return vectors

    return solve


def iterative(movie_factors: FloatArray, regularization: float, *, threads: int = ALL_CORES) -> Solve:
    """Solve by conjugate gradients, in coordinates where only a user's history differs from the identity.

    With L L^T = sum of y y^T + regularization I, and z = L^-1 y, the matrix of the equations is I plus the sum over the
    history of (c - 1) z z^T. The sum of z z^T over a history is at most the identity, so the condition number is at
    most the highest confidence over the lowest (or 1), and a few steps reach single precision.

    Raises
    ------
    RecsysError
        When the equations have no single solution.
    """
    factors = movie_factors.shape[1]
    # The regularization is added as more movies, which nobody likes: the sum of z z^T over all is then the identity.
    known = np.vstack([movie_factors.astype(np.float64), np.sqrt(regularization) * np.eye(factors)])
    with one_blas_thread():  # more gain little, and wait for each other on a busy machine
        try:
            lower = cholesky(known.T @ known, lower=True)
        except LinAlgError as error:
            raise RecsysError(f"User vectors are not determined ({error}); raise the regularization.") from error
        white = np.ascontiguousarray(_UNIT * solve_triangular(lower, known.T, lower=True).T, dtype=np.float32)

    conjugate_gradients = (_native if library.solves(factors) else _by_implicit)(white, threads)

    def solve(confidences: csr_matrix, start: FloatArray | None = None) -> FloatArray:
        solution = np.zeros((confidences.shape[0], factors), dtype=np.float32)
        if start is not None:
            solution[:] = start @ lower / _UNIT
        solution = conjugate_gradients(confidences, solution)
        with one_blas_thread():
            vectors: FloatArray = solve_triangular(lower, _UNIT * solution.T, lower=True, trans="T").T
        return vectors.astype(np.float32)

    return solve


_Improve = Callable[[csr_matrix, FloatArray], FloatArray]
"""Solves from a start, without regularization; it may change the start."""


def _native(movies: FloatArray, threads: int) -> _Improve:
    """The native solver, for movies and, after them, as many more as there are factors."""
    padded = native.padded(movies)
    gram, liked = native.gram(padded, threads), padded[: len(movies) - movies.shape[1]]

    def improve(confidences: csr_matrix, start: FloatArray) -> FloatArray:
        solution = native.padded(start)
        native.solve(native.Rows.of(confidences), solution, liked, gram, _most_steps(movies), threads)
        return solution[:, : movies.shape[1]]

    return improve


def _by_implicit(movies: FloatArray, threads: int) -> _Improve:
    def improve(confidences: csr_matrix, start: FloatArray) -> FloatArray:
        with one_blas_thread():  # `implicit` has threads of its own
            model = AlternatingLeastSquares(factors=movies.shape[1], num_threads=threads)
            model.cg_steps = _most_steps(movies)
            model.solver(writable(confidences), start, movies, 0.0, num_threads=model.num_threads)
        return start

    return improve


def _most_steps(movies: FloatArray) -> int:
    return 2 * int(movies.shape[1]) + 20
