"""The strongest followers of movies by `counting.c`.

Belongs here: what `counting.c` reads, made and checked. Does not: which likes follow each other (`next_movies`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.recsys.native import library

_LIKES = 131_072
"""Likes that are checked at a time."""


@dataclass(frozen=True)
class Reach:
    """Likes that transitions start from, and the likes that follow each.

    Attributes
    ----------
    likes : int array, shape (n,)
        Places among all likes, movie by movie.
    indptr : int array, shape (n_movies + 1,)
        Where the likes of each movie start in `likes`.
    start, stop : int array, shape (n_likes,)
        Places of the likes that follow each like of all.
    of_source, of_follower : float32 array, shape (n_movies,)
        What sums are multiplied by.
    """

    likes: IntArray
    indptr: IntArray
    start: IntArray
    stop: IntArray
    of_source: FloatArray
    of_follower: FloatArray


class Counter:
    """Counts for some movies at a time, from any thread.

    Parameters
    ----------
    movie : int array, shape (n_likes,)
        Of each like, user by user in the order of time.
    decays : float32 array, shape (window + 1,)
        Weight of a transition by its lag.
    reaches : sequence of Reach
        The first matrix has the sums over the first reach, the second those over the first and the second one.
    kept : int
        Followers of a movie, at most.

    Raises
    ------
    RecsysError
        When a place lies outside the likes.
    """

    def __init__(self, movie: IntArray, decays: FloatArray, reaches: Sequence[Reach], kept: int) -> None:
        self._n_movies, self._kept = len(reaches[0].indptr) - 1, kept
        self._movie, self._decays = np.ascontiguousarray(movie, np.int32), np.ascontiguousarray(decays, np.float32)
        n_likes = len(movie)
        if n_likes and (movie.min() < 0 or movie.max() >= self._n_movies):
            raise RecsysError(f"Likes name movies outside the {self._n_movies:,} that there are.")
        fields = []
        for reach in reaches:
            if not _sound(reach, n_likes, len(decays)):
                raise RecsysError("The places of following likes lie outside the likes, or beyond the window.")
            fields.append(
                [
                    np.ascontiguousarray(each, dtype)
                    for each, dtype in zip(
                        (reach.likes, reach.indptr, reach.start, reach.stop, reach.of_source, reach.of_follower),
                        (np.int32, np.int64, np.int32, np.int32, np.float32, np.float32),
                        strict=True,
                    )
                ]
            )
        self._kept_arrays = fields
        self._reaches = np.array([[each.ctypes.data for each in some] for some in fields], np.int64)

    def strongest(self, movies: slice) -> list[csr_matrix]:
        """The strongest followers of some movies, by each reach, shape (len(movies), n_movies)."""
        loaded, n, kept = library.loaded(), movies.stop - movies.start, self._kept
        found = [
            (np.empty(n, np.int64), np.empty((n, kept), np.int32), np.empty((n, kept), np.float32))
            for _ in self._reaches
        ]
        places = np.array([[each.ctypes.data for each in some] for some in found], np.int64)
        failed = loaded.functions.movierec_followers(
            self._movie.ctypes.data,
            self._decays.ctypes.data,
            self._n_movies,
            movies.start,
            movies.stop,
            self._reaches.ctypes.data,
            len(self._reaches),
            kept,
            places.ctypes.data,
        )
        if failed:
            raise MemoryError("There is no memory for counting followers.")
        return [self._matrix(*some) for some in found]

    def _matrix(self, counts: IntArray, columns: IntArray, values: FloatArray) -> csr_matrix:
        filled = np.arange(self._kept) < counts[:, None]
        indptr = np.concatenate([[0], np.cumsum(counts)])
        return csr_matrix((values[filled], columns[filled], indptr), shape=(len(counts), self._n_movies))


def _sound(reach: Reach, n_likes: int, most: int) -> bool:
    """Whether all places of a reach are within the likes, and following likes at most so many places behind."""
    likes, indptr = reach.likes, reach.indptr
    if indptr[0] != 0 or indptr[-1] != len(likes) or (np.diff(indptr) < 0).any():
        return False
    if len(likes) and (likes.min() < 0 or likes.max() >= n_likes):
        return False
    if not len(reach.start) == len(reach.stop) == n_likes:
        return False
    for first in range(0, n_likes, _LIKES):
        start, stop = reach.start[first : first + _LIKES], reach.stop[first : first + _LIKES]
        places = np.arange(first, first + len(start), dtype=start.dtype)
        wrong = (start < places) | (stop - places > most) | (stop > n_likes)
        if (wrong & (start < stop)).any():
            return False
    return True
