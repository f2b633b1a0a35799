"""The best movies of users by `ranking.c`.

Belongs here: what `ranking.c` reads, made and checked. Does not: what is ranked by (`recsys.ranking`, `recsys.moment`),
and the library (`library`).
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from movierec_assets.progress import Progress
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import BoolArray, FloatArray, IntArray
from movierec_assets.recsys.native import library
from movierec_assets.recsys.threads import in_threads

_FLOATS = 16
"""Vectors are read in parts of this many numbers."""
_USERS_PER_CALL = 256
"""A few milliseconds."""
_MOST_OF_ONE = 256
_CALLS_AT_ONCE = 32
"""After so many calls, progress is reported."""


@dataclass(frozen=True)
class Movies:
    """Movie vectors by falling length, as the library reads them.

    Attributes
    ----------
    vectors : float32 array, shape (n_movies, padded factors)
    lengths : float32 array, shape (n_movies,)
    columns : int32 array, shape (n_movies,)
        Rows of the factors that were given.
    places : int32 array, shape (n_movies,)
        Of each of these rows.
    """

    vectors: FloatArray
    lengths: FloatArray
    columns: IntArray
    places: IntArray

    @classmethod
    def of(cls, movie_factors: FloatArray) -> Self:
        """Sort movie factors, shape (n_movies, factors); of equal lengths, the first comes first."""
        lengths = np.linalg.norm(movie_factors, axis=1).astype(np.float32)
        columns = np.argsort(-lengths, kind="stable").astype(np.int32)
        places = np.empty_like(columns)
        places[columns] = np.arange(len(columns), dtype=np.int32)
        return cls(_padded(movie_factors[columns]), lengths[columns], columns, places)

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def by_column(self) -> ctypes.Structure:
        """For the library; lists name movies by their columns."""
        return _structure(self.vectors, self.lengths, self.columns, self.places, len(self), self.vectors.shape[1])


@dataclass(frozen=True)
class Followers:
    """A next-movie matrix as the library reads it; see `NextMovies.matrix`."""

    indptr: IntArray
    indices: IntArray
    values: FloatArray

    @classmethod
    def of(cls, matrix: csr_matrix) -> Self:
        """Check a matrix, shape (n_movies, n_movies)."""
        return cls(*_rows(matrix, matrix.shape[0], matrix.shape[1]), np.ascontiguousarray(matrix.data, np.float32))

    @cached_property
    def structure(self) -> ctypes.Structure:
        """For the library."""
        return _structure(self.indptr, self.indices, self.values)


@dataclass(frozen=True)
class Signal:
    """What is added to the products of each user.

    Attributes
    ----------
    followers : Followers
    recent : csr_matrix, shape (n_users, n_movies)
        Recency weights of the latest likes; only read where the strength is more than 0.
    strength : float64 array, shape (n_users,)
        Of the standardized signal.
    """

    followers: Followers
    recent: csr_matrix
    strength: FloatArray


def rank(
    movies: Movies,
    vectors: FloatArray,
    means: FloatArray,
    seen: csr_matrix,
    k: int,
    signal: Signal | None = None,
    *,
    threads: int,
    progress: Progress | None = None,
) -> tuple[IntArray, FloatArray]:
    """The k best movies of each user that they have not seen; equal ones in the order of columns.

    The score of a movie is the product of its vector and the user's, less the user's mean, and with a signal plus its
    strength times the standardized signal.

    Parameters
    ----------
    movies : Movies
    vectors : float32 array, shape (n_users, factors)
    means : float64 array, shape (n_users,)
    seen : csr_matrix, shape (n_users, n_movies)
    k : int
        At least 1.
    signal : Signal, optional
    threads : int
        The lists do not depend on it.
    progress : callable, optional
        Called with the number of users done, and of all users.

    Returns
    -------
    items : int32 array, shape (n_users, k)
        -1 at the end of short lists.
    scores : float32 array, same shape
        Not a number there.

    Raises
    ------
    MemoryError
    RecsysError
        When shapes do not fit.
    """
    n, n_movies = len(vectors), len(movies)
    loaded = library.loaded()
    users: list[Any] = [_padded(vectors), np.ascontiguousarray(means, np.float64)]
    if users[0].shape[1] != movies.vectors.shape[1] or users[1].shape != (n,):
        raise RecsysError(f"User vectors of shape {vectors.shape} do not fit {n_movies:,} movies and these means.")
    seen_rows = _rows(seen, n, n_movies)
    followers = None
    if signal is None:
        users += [0, *seen_rows, 0, 0, 0]
    else:
        strength = np.ascontiguousarray(signal.strength, np.float64)
        if strength.shape != (n,) or len(signal.followers.indptr) != n_movies + 1:
            raise RecsysError(f"The next-movie signal does not fit {n:,} users and {n_movies:,} movies.")
        recency = np.ascontiguousarray(signal.recent.data, np.float32)
        users += [strength, *seen_rows, *_rows(signal.recent, n, n_movies), recency]
        followers = ctypes.addressof(signal.followers.structure)
    items, scores = np.empty((n, k), np.int32), np.empty((n, k), np.float32)
    of_users = _structure(*users)

    def call(first: int) -> None:
        failed = loaded.functions.movierec_rank(
            loaded.target,
            ctypes.addressof(movies.by_column),
            ctypes.addressof(of_users),
            followers,
            first,
            min(first + _USERS_PER_CALL, n),
            k,
            items.ctypes.data,
            scores.ctypes.data,
        )
        if failed:
            raise MemoryError("There is no memory for ranking.")

    calls = range(0, n, _USERS_PER_CALL)
    for at in range(0, len(calls), _CALLS_AT_ONCE):
        some = calls[at : at + _CALLS_AT_ONCE]
        in_threads(call, some, threads)
        if progress is not None:
            progress(min(some[-1] + _USERS_PER_CALL, n), n)
    return items, scores


class BestOfOne:
    """The best movies of one user at a time, from one thread at a time: its arrays are kept from call to call.

    Parameters
    ----------
    movies : Movies
    """

    def __init__(self, movies: Movies) -> None:
        self._movies, self._loaded = movies, library.loaded()
        self._by_place = _structure(
            movies.vectors, movies.lengths, 0, movies.places, len(movies), movies.vectors.shape[1]
        )
        self._vector = np.zeros(movies.vectors.shape[1], np.float32)
        self._added, self._passing = np.empty(len(movies), np.float32), np.empty(len(movies), np.int32)
        self._hidden = np.empty(len(movies), np.bool_)
        self._places, self._scores = np.empty(_MOST_OF_ONE, np.int32), np.empty(_MOST_OF_ONE, np.float32)
        self._at = [
            each.ctypes.data
            for each in (self._vector, self._added, self._hidden, self._passing, self._places, self._scores)
        ]

    def __call__(
        self,
        vector: FloatArray,
        hidden: BoolArray,
        k: int,
        passing: IntArray | None = None,
        added: FloatArray | None = None,
    ) -> tuple[IntArray, FloatArray]:
        """The k places with the highest products of vectors and what is added; equal ones by place.

        Parameters
        ----------
        vector : float array, shape (factors,)
        hidden : bool array, shape (n_movies,)
            By place.
        k : int
            From 1 to 256.
        passing : int array, optional
            Places to choose from, ascending; all by default.
        added : float array, shape (n_movies,), optional

        Returns
        -------
        places : int32 array, shape (at most k,)
            Best first.
        scores : float32 array, same shape
        """
        if not 1 <= k <= _MOST_OF_ONE:
            raise RecsysError(f"A list of {k} movies cannot be made; ask for 1 to {_MOST_OF_ONE}.")
        self._vector[: len(vector)] = vector
        self._hidden[:] = hidden
        at_vector, at_added, at_hidden, at_passing, at_places, at_scores = self._at
        n = len(self._movies)
        if added is not None:
            self._added[:] = added
        if passing is not None:
            n = len(passing)
            self._passing[:n] = passing
        found = self._loaded.functions.movierec_best(
            self._loaded.target,
            ctypes.addressof(self._by_place),
            at_vector,
            None if added is None else at_added,
            at_hidden,
            None if passing is None else at_passing,
            n,
            k,
            at_places,
            at_scores,
        )
        if found < 0:
            raise MemoryError("There is no memory for ranking.")
        return self._places[:found].copy(), self._scores[:found].copy()


def _padded(vectors: FloatArray) -> FloatArray:
    """A copy in float32, rows padded with zeros to a multiple of 16."""
    rows, factors = vectors.shape
    found = np.zeros((rows, -(-factors // _FLOATS) * _FLOATS), dtype=np.float32)
    found[:, :factors] = vectors
    return found


def _rows(matrix: csr_matrix, rows: int, columns: int) -> tuple[IntArray, IntArray]:
    """Row pointers and columns of a matrix, checked: the library reads what they name."""
    indptr = np.ascontiguousarray(matrix.indptr, np.int64)
    indices = np.ascontiguousarray(matrix.indices, np.int32)
    sound = (
        matrix.shape == (rows, columns)
        and len(indptr) == rows + 1
        and indptr[0] == 0
        and indptr[-1] <= len(indices)
        and len(matrix.data) == len(indices)
        and not (np.diff(indptr) < 0).any()
    )
    if not sound or (len(indices) and (indices.min() < 0 or indices.max() >= columns)):
        raise RecsysError(f"A sparse matrix of shape {matrix.shape} is broken, or does not fit {rows:,} x {columns:,}.")
    return indptr, indices


def _structure(*fields: npt.NDArray[Any] | int) -> ctypes.Structure:
    """A C structure of pointers to arrays and of 64-bit numbers; the arrays have to be kept."""
    made = _of_length(len(fields))(*(each if isinstance(each, int) else each.ctypes.data for each in fields))
    made.kept = fields
    return made


@cache
def _of_length(number: int) -> type[ctypes.Structure]:
    return type("Fields", (ctypes.Structure,), {"_fields_": [(f"field_{i}", ctypes.c_int64) for i in range(number)]})
