"""Scores at the moment of the request: ALS and the next-movie signal in one score, and the lists of the highest.

Belongs here: standardizing both parts, the fading of the signal with time, and ranking by their sum. Does not: the
vectors (`als`), the matrix of transitions (`next_movies`), ranking by vectors alone (`ranking`), and the part of a
score that each like adds (`explain`).

The score of a movie is `(als - mean) / spread + strength * (signal - mean) / spread`, with the means and spreads of the
user's values over all movies. For ALS these follow from the user's vector and the mean and covariance of the movie
factors, so nothing is scored twice.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix

from movierec_assets.progress import Progress
from movierec_assets.recsys import ranking
from movierec_assets.recsys.batches import BATCH_BYTES, batches, stage
from movierec_assets.recsys.interactions import FloatArray, IntArray, Interactions
from movierec_assets.recsys.next_movies import NextMovies, recency_weights
from movierec_assets.recsys.ranking import EMPTY, TopK
from movierec_assets.recsys.recipe import NextMovie
from movierec_assets.recsys.selection import NOTHING, highest
from movierec_assets.recsys.threads import ALL_CORES, one_blas_thread, thread_count

HOUR = 3600.0

ON_RETURN = 24 * HOUR
"""Seconds since the latest like at a request whose time is not known: what is made today is read the next day."""

MIN_FADE = 1e-3
"""A signal that has faded below this share does not count any more: after seven times `fade_hours`."""

Recent = Callable[[IntArray], csr_matrix]
"""Gives the recency weights of the latest likes of some users, shape (n_chosen, n_movies), by their rows."""

_MANY_USERS = 256
"""Number of users from which it is faster to score candidates than all movies."""

_CELLS = 2**20
"""Pairs of user and movie at a time: the fastest number."""

_CELL_BYTES = 64
"""Memory for a pair of user and movie."""

_ROUNDING = 1e-4
"""Scores in single precision differ from exact ones by less than this share of the product of lengths."""

_EQUAL = 1e-5
"""A spread that is a smaller share of the size of the values is a rounding error of equal values."""


def fade(signal: NextMovie, elapsed: FloatArray | IntArray | float) -> FloatArray:
    """Share of the signal that is left after each number of seconds since the latest like, shape of `elapsed`.

    In [0, 1]; a request before the latest like counts as one right after it.
    """
    seconds = np.maximum(np.asarray(elapsed, dtype=np.float64), 0.0)
    share = np.exp(-seconds / (signal.fade_hours * HOUR))
    left: FloatArray = np.where(share < MIN_FADE, 0.0, share)
    return left


def strength(signal: NextMovie, elapsed: FloatArray | IntArray | float) -> FloatArray:
    """Factor of the standardized signal for each number of seconds since the latest like, shape of `elapsed`."""
    factor: FloatArray = signal.weight * fade(signal, elapsed)
    return factor


@dataclass(frozen=True)
class Spread:
    """Mean and covariance of movie factors, from which the mean and the spread of a user's scores follow.

    Attributes
    ----------
    mean : float64 array, shape (factors,)
    covariance : float64 array, shape (factors, factors)
    """

    mean: FloatArray
    covariance: FloatArray

    @classmethod
    def of(cls, movie_factors: FloatArray) -> Self:
        """Of movie factors, shape (n_movies, factors)."""
        exact, n = movie_factors.astype(np.float64), max(1, len(movie_factors))
        mean = exact.sum(axis=0) / n
        exact -= mean
        return cls(mean, exact.T @ exact / n)

    def of_users(self, vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and spread (standard deviation) of each user's scores over all movies, both of shape (n_users,).

        The spread is 1 where all scores are equal.
        """
        vectors = vectors.astype(np.float64)
        variance = np.einsum("uf,uf->u", vectors @ self.covariance, vectors)
        size = np.einsum("uf,uf->u", vectors, vectors) * (np.trace(self.covariance) + self.mean @ self.mean)
        return vectors @ self.mean, _deviation(variance, size)


def spread_of_signal(signal: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and spread of each row of signals, shape (n_users,); see `Spread.of_users`."""
    mean = signal.mean(axis=1)
    return mean, _deviation(((signal - mean[:, None]) ** 2).mean(axis=1), (signal**2).mean(axis=1))


def _deviation(variance: FloatArray, size: FloatArray) -> FloatArray:
    """Square root of the variance; 1 where it is 0 beside the mean square of the values."""
    return np.where(variance > _EQUAL**2 * size, np.sqrt(np.maximum(variance, 0.0)), 1.0)


@dataclass(frozen=True)
class Scorer:
    """Ranks by ALS and the next-movie signal.

    Attributes
    ----------
    movie_factors : float32 array, shape (n_movies, factors)
    next_movies : NextMovies or None
    signal : NextMovie
        Where it is off, or without a matrix, lists and scores are those of ALS alone, not standardized.
    """

    movie_factors: FloatArray
    next_movies: NextMovies | None
    signal: NextMovie

    @property
    def on(self) -> bool:
        """Whether scores are standardized, with the signal added."""
        return self.next_movies is not None and self.signal.on

    @cached_property
    def spread(self) -> Spread:
        """Of the movie factors."""
        return Spread.of(self.movie_factors)

    @cached_property
    def _totals(self) -> FloatArray:
        """Sum of the followers of each movie, float64, shape (n_movies,)."""
        if self.next_movies is None:
            return np.zeros(len(self.movie_factors))
        total: FloatArray = np.asarray(self.next_movies.matrix.sum(axis=1, dtype=np.float64)).ravel()
        return total

    @cached_property
    def _lengths(self) -> FloatArray:
        lengths: FloatArray = np.linalg.norm(self.movie_factors, axis=1)
        return lengths

    def recent(self, histories: Interactions) -> Recent:
        """The recency weights of users with these likes."""
        return lambda rows: recency_weights(histories.rows(rows), self.signal.tau)

    def recommend(
        self,
        vectors: FloatArray,
        recent: Recent,
        seen: csr_matrix,
        k: int,
        *,
        elapsed: FloatArray | IntArray,
        batch_bytes: int = BATCH_BYTES,
        threads: int = ALL_CORES,
        progress: Progress | None = None,
    ) -> TopK:
        """Rank the k best movies that each user has not seen; equal scores keep the order of columns.

        Parameters
        ----------
        vectors : float32 array, shape (n_users, factors)
        recent : callable
            Gives the recency weights of the latest likes of some of these users, from which the signal follows.
        seen : csr_matrix, shape (n_users, n_movies)
            Left out of the lists.
        k : int
        elapsed : array, shape (n_users,)
            Seconds between a user's latest like and the request.
        batch_bytes, threads, progress
            As for `ranking.recommend`.

        Returns
        -------
        TopK, shape (n_users, k)
        """
        if self.next_movies is None or not self.signal.on:
            return ranking.recommend(
                vectors, self.movie_factors, seen, k, batch_bytes=batch_bytes, threads=threads, progress=progress
            )
        mean, deviation = self.spread.of_users(vectors)
        scaled = (vectors / deviation[:, None]).astype(np.float32)
        request = _Request(
            self.movie_factors,
            self.next_movies.matrix,
            self._totals,
            scaled,
            mean / deviation,
            recent,
            strength(self.signal, elapsed),
            seen,
            k,
        )
        if len(vectors) < _MANY_USERS:
            return request.among_all(batch_bytes, progress)
        return request.among_candidates(self._lengths, batch_bytes, thread_count(threads), progress)


@dataclass(frozen=True)
class _Request:
    """What `Scorer.recommend` ranks.

    Attributes
    ----------
    followers : csr_matrix, shape (n_movies, n_movies)
    totals : float64 array, shape (n_movies,)
        Sums of the rows of `followers`.
    scaled : float32 array, shape (n_users, factors)
        User vectors over the spreads of their scores.
    mean : float64 array, shape (n_users,)
        Of each user's scores with the scaled vector.
    factor : float64 array, shape (n_users,)
        Of the standardized signal.
    """

    movie_factors: FloatArray
    followers: csr_matrix
    totals: FloatArray
    scaled: FloatArray
    mean: FloatArray
    recent: Recent
    factor: FloatArray
    seen: csr_matrix
    k: int

    def among_all(self, batch_bytes: int, progress: Progress | None) -> TopK:
        """Score all movies."""
        (n, n_movies), k = self.seen.shape, self.k
        lists = TopK(np.full((n, k), EMPTY, dtype=np.int32), np.full((n, k), np.nan, dtype=np.float32))
        if k == 0 or n_movies == 0:
            return lists
        for batch in batches(np.arange(1, n + 1), self._rows_at_a_time(batch_bytes), progress):
            scores = self.scaled[batch] @ self.movie_factors.T
            scores -= self.mean[batch, None].astype(np.float32)
            moved = np.flatnonzero(self.factor[batch] > 0)
            if len(moved):
                scores[moved] += self._signal(moved + batch.start)[0]
            first, last = self.seen.indptr[batch.start], self.seen.indptr[batch.stop]
            users = np.repeat(np.arange(len(scores)), np.diff(self.seen.indptr[batch.start : batch.stop + 1]))
            scores[users, self.seen.indices[first:last]] = NOTHING
            lists.items[batch], lists.scores[batch] = highest(scores, k)
        return lists

    def among_candidates(self, lengths: FloatArray, batch_bytes: int, threads: int, progress: Progress | None) -> TopK:
        """Score the best k by ALS and the movies that the signal touches.

        The signal of a movie that it does not touch is 0, and no signal is lower. So a movie that is neither touched
        nor among the best k by ALS has k movies before it.
        """
        lists = ranking.recommend(
            self.scaled,
            self.movie_factors,
            self.seen,
            self.k,
            batch_bytes=batch_bytes,
            threads=threads,
            progress=stage(progress, 0, 2),
        )
        lists.scores[:] -= self.mean[:, None].astype(np.float32)
        if self.k == 0 or len(lengths) == 0:
            return lists
        at_a_time = self._rows_at_a_time(batch_bytes // threads)
        n = len(self.scaled)
        with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
            for batch in batches(np.arange(1, n + 1), max(1, n), stage(progress, 1, 2)):
                rows = batch.start + np.flatnonzero(self.factor[batch] > 0)
                parts = [rows[start : start + at_a_time] for start in range(0, len(rows), at_a_time)]
                for _ in pool.map(lambda part: self._insert(lists, part, lengths), parts):
                    pass
        return lists

    def _rows_at_a_time(self, batch_bytes: int) -> int:
        return max(1, min(batch_bytes // _CELL_BYTES, _CELLS) // len(self.movie_factors))

    def _signal(self, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """What the signal adds to the score of each movie for some users.

        Returns
        -------
        signal : float32 array, shape (n_rows, n_movies)
        lowest : float32 array, shape (n_rows,)
            What it adds to a movie that it does not touch.
        """
        recent, n_movies = self.recent(rows), len(self.movie_factors)
        users = np.repeat(np.arange(len(rows)), np.diff(recent.indptr))
        # The sum of all users is one product: each like is a column with the cells that it adds to.
        likes = self.followers[recent.indices]
        cells = likes.indices + np.repeat(users * n_movies, np.diff(likes.indptr)).astype(likes.indices.dtype)
        added = csc_matrix((likes.data, cells, likes.indptr), shape=(len(rows) * n_movies, len(recent.indices)))
        signal: FloatArray = (added @ recent.data).reshape(len(rows), n_movies)
        mean = np.bincount(users, recent.data * self.totals[recent.indices], len(rows)) / n_movies
        size = np.einsum("um,um->u", signal, signal) / n_movies
        lowest = -mean.astype(np.float32)
        signal += lowest[:, None]
        deviation = _deviation(np.einsum("um,um->u", signal, signal) / n_movies, size)
        share = (self.factor[rows] / deviation).astype(np.float32)
        signal *= share[:, None]
        return signal, lowest * share

    def _insert(self, lists: TopK, rows: IntArray, lengths: FloatArray) -> None:
        """Rank the lists of some users, which are by ALS, again with the movies that their signals touch."""
        n_movies, seen, items = len(lengths), self.seen[rows], lists.items[rows]
        signal, lowest = self._signal(rows)
        # What the signal adds must lift a movie over the k-th of the list; vectors give at most the product of lengths.
        longest = np.linalg.norm(self.scaled[rows], axis=1)
        enough = lists.scores[rows, -1] + self.mean[rows] + lowest - _ROUNDING * longest * lengths.max()
        possible = np.multiply.outer(longest, lengths)
        possible += signal
        chosen = possible >= np.where(np.isnan(enough), -np.inf, enough).astype(np.float32)[:, None]
        chosen &= signal > lowest[:, None]
        chosen[np.repeat(np.arange(len(rows)), np.diff(seen.indptr)), seen.indices] = False
        listed, place = np.nonzero(items != EMPTY)
        chosen[listed, items[listed, place]] = True
        cells = np.flatnonzero(chosen)
        user, movie = np.divmod(cells, n_movies)
        counts = np.bincount(user, minlength=len(rows))
        ends = np.cumsum(counts)
        table = np.full((len(rows), max(1, int(counts.max(initial=0)))), NOTHING)
        movies = np.full(table.shape, EMPTY, dtype=np.int32)
        column = np.arange(len(user)) - np.repeat(ends - counts, counts)
        movies[user, column] = movie
        for at, (row, count) in enumerate(zip(rows, counts, strict=True)):
            table[at, :count] = self.movie_factors[movies[at, :count]] @ self.scaled[row]
        table[user, column] += signal.ravel()[cells] - self.mean[rows].astype(np.float32)[user]
        best, lists.scores[rows] = highest(table, self.k)
        lists.items[rows] = np.where(best >= 0, np.take_along_axis(movies, np.maximum(best, 0), axis=1), EMPTY)
