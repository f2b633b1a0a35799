"""The movies with the highest sums of a product of vectors and a second part, without multiplying all vectors.

Belongs here: bounds, and selecting by them. Does not: the second part (`moment`), and products alone (`ranking`).

A product is at most the product of two lengths, and the vectors of fitted movies differ in length by a factor of 100.
So users are first ranked among the movies with the longest vectors. Of the others, only those can enter a list whose
second part and product of lengths together reach the k-th best sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.linalg.blas import sgemm

from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.recsys.selection import NOTHING, highest, number_in_row

FIRST = 2048
"""Movies to begin with: the fastest number for 23,000 movies."""

_MANY = 1 / 16
"""From this share of pairs within reach on, multiplying all vectors is faster."""

_ROUNDING = 1e-4
"""Products and lengths in single precision differ from exact ones by less than this share of the product of lengths."""


@dataclass(frozen=True)
class Longest:
    """Movie vectors, and those of them that are longest.

    Attributes
    ----------
    vectors : float32 array, shape (n_movies, factors)
    first : int array, shape (n_first,)
        The movies with the longest vectors, ascending.
    first_vectors : float32 array, shape (n_first, factors)
    lengths : float32 array, shape (n_movies,)
        -1 for the first ones.
    """

    vectors: FloatArray
    first: IntArray
    first_vectors: FloatArray
    lengths: FloatArray

    @classmethod
    def of(cls, vectors: FloatArray, first: int) -> Self:
        """Of movie vectors, and the number of those that come first: all, where there are not twice as many."""
        lengths = np.linalg.norm(vectors, axis=1).astype(np.float32)
        if len(vectors) < 2 * first:
            return cls(vectors, np.arange(len(vectors)), vectors, np.full_like(lengths, -1))
        chosen = np.sort(np.argsort(-lengths, kind="stable")[:first])
        lengths[chosen] = -1
        return cls(vectors, chosen, vectors[chosen], lengths)

    def best(self, second: FloatArray, vectors: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        """Movies and values of the k highest `second + vectors @ self.vectors.T` of each row, as `selection.highest`.

        Parameters
        ----------
        second : float32 array, shape (n, n_movies)
            Numbers, or `NOTHING` for movies to leave out; is overwritten.
        vectors : float32 array, shape (n, factors)
        k : int
            At least 1.
        """
        if len(self.first) == len(self.vectors):
            return _multiplied(second, vectors, self.vectors, k)
        columns, values = _multiplied(np.take(second, self.first, axis=1), vectors, self.first_vectors, k)
        floor, longest = values[:, -1], self.lengths.max()
        lengths = np.linalg.norm(vectors, axis=1) * np.float32(1 + _ROUNDING)
        # One threshold for each row, which few exceed, and then a bound for each pair.
        cells = np.flatnonzero(second >= (floor - longest * lengths)[:, None])
        rows, movies = np.divmod(cells, len(self.vectors))
        own = self.lengths[movies]
        bounds = second.ravel()[cells] + lengths[rows] * own
        within = (own >= 0) & (bounds >= floor[rows])
        if np.isnan(floor).any() or np.count_nonzero(within) > _MANY * second.size:
            return _multiplied(second, vectors, self.vectors, k)
        rows, movies = rows[within], movies[within]
        sums = np.einsum("pf,pf->p", vectors[rows], self.vectors[movies]) + second[rows, movies]
        enough = sums >= floor[rows]
        rows, movies, sums = rows[enough], movies[enough], sums[enough]
        number = k + number_in_row(rows, len(second))
        shape = (len(second), int(number.max(initial=k)) + 1)
        found, table = np.full(shape, len(self.vectors)), np.full(shape, NOTHING)
        found[:, :k], table[:, :k] = self.first[columns], values
        found[rows, number], table[rows, number] = movies, sums
        order = np.lexsort((found, -table), axis=1)[:, :k]
        return np.take_along_axis(found, order, axis=1), np.take_along_axis(table, order, axis=1)


def _multiplied(
    second: FloatArray, vectors: FloatArray, movie_vectors: FloatArray, k: int
) -> tuple[IntArray, FloatArray]:
    """The k highest of all columns; `second` is overwritten."""
    # BLAS adds the products to the second part where it is.
    sums = sgemm(1.0, movie_vectors.T, vectors.T, beta=1.0, c=second.T, trans_a=True, overwrite_c=True)
    return highest(sums.T, k)
