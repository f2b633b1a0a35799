"""Scores at the moment of the request: ALS and the next-movie signal in one score, and the lists of the highest.

Belongs here: standardizing both parts, the fading of the signal with time, and ranking by their sum. Does not: the
vectors (`als`), the matrix of transitions (`next_movies`), ranking by vectors alone (`ranking`), and the part of a
score that each like adds (`explain`).

The score of a movie is `(als - mean) / spread + strength * (signal - mean) / spread`, with the means and spreads of the
user's values over all movies. For ALS these follow from the user's vector and the mean and covariance of the movie
factors, so where the signal has faded, few movies have to be scored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix

from movierec_assets.progress import Progress
from movierec_assets.recsys import ranking
from movierec_assets.recsys.batches import BATCH_BYTES, batches
from movierec_assets.recsys.interactions import BoolArray, FloatArray, IntArray, Interactions
from movierec_assets.recsys.native import library
from movierec_assets.recsys.native import ranking as native
from movierec_assets.recsys.next_movies import NextMovies, recency_weights
from movierec_assets.recsys.ranking import EMPTY, TopK
from movierec_assets.recsys.reach import FIRST, Longest
from movierec_assets.recsys.recipe import NextMovie
from movierec_assets.recsys.selection import NOTHING
from movierec_assets.recsys.threads import ALL_CORES, one_blas_thread, thread_count

HOUR = 3600.0

ON_RETURN = 24 * HOUR
"""Seconds since the latest like at a request whose time is not known: what is made today is read the next day."""

MIN_FADE = 1e-3
"""A signal that has faded below this share does not count any more: after seven times `fade_hours`."""

Recent = Callable[[IntArray], csr_matrix]
"""Gives the recency weights of the latest likes of some users, shape (n_chosen, n_movies), by their rows."""

_CELLS = 2**20
"""Pairs of user and movie at a time: the fastest number."""

_CELL_BYTES = 64
"""Memory for a pair of user and movie."""

_NEAR = 1e-2
"""A variance that is a smaller share of the mean square is computed from the differences."""

_LIKE_BYTES = 64
"""Memory for a like of a user whose latest likes are looked for."""

EQUAL = 1e-5
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
        with one_blas_thread():  # more gain nothing, and wait for each other on a busy machine
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
    return np.where(variance > EQUAL**2 * size, np.sqrt(np.maximum(variance, 0.0)), 1.0)


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
    def _longest(self) -> Longest:
        return Longest.of(self.movie_factors, FIRST)

    @cached_property
    def _movies(self) -> native.Movies:
        return native.Movies.of(self.movie_factors)

    @cached_property
    def _followers(self) -> native.Followers:
        assert self.next_movies is not None
        return native.Followers.of(self.next_movies.matrix)

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
        left = strength(self.signal, elapsed)
        if k and len(self.movie_factors) and library.why_not() is None:  # for one user as well: it is faster
            lists, means = TopK.empty(len(vectors), k), mean / deviation
            for some in batches(_LIKE_BYTES * seen.indptr[1:].astype(np.int64), batch_bytes, progress):
                signal = None
                if left[some].any():
                    signal = native.Signal(self._followers, _recent_of(recent, left > 0, some), left[some])
                own = seen if some.stop - some.start == len(vectors) else seen[some]
                lists.items[some], lists.scores[some] = native.rank(
                    self._movies, scaled[some], means[some], own, k, signal, threads=threads
                )
            return lists
        request = _Request(
            self._longest,
            self.next_movies,
            self._totals,
            scaled,
            mean / deviation,
            recent,
            left,
            seen,
            k,
        )
        return request.lists(batch_bytes, thread_count(threads), progress)


def _recent_of(recent: Recent, moved: BoolArray, some: slice) -> csr_matrix:
    """The recency weights of a range of users; empty rows for those whom the signal does not move."""
    found = recent(np.flatnonzero(moved[some]) + some.start)
    if found.shape[0] == some.stop - some.start:
        return found
    counts = np.zeros(some.stop - some.start, dtype=np.int64)
    counts[moved[some]] = np.diff(found.indptr)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return csr_matrix((found.data, found.indices, indptr), shape=(len(counts), found.shape[1]))


@dataclass(frozen=True)
class _Request:
    """What `Scorer.recommend` ranks.

    Attributes
    ----------
    longest : Longest
        Of the movie factors.
    next_movies : NextMovies
    totals : float64 array, shape (n_movies,)
        Sums of the rows of its matrix.
    scaled : float32 array, shape (n_users, factors)
        User vectors over the spreads of their scores.
    mean : float64 array, shape (n_users,)
        Of each user's scores with the scaled vector.
    factor : float64 array, shape (n_users,)
        Of the standardized signal.
    """

    longest: Longest
    next_movies: NextMovies
    totals: FloatArray
    scaled: FloatArray
    mean: FloatArray
    recent: Recent
    factor: FloatArray
    seen: csr_matrix
    k: int

    def lists(self, batch_bytes: int, threads: int, progress: Progress | None) -> TopK:
        """Rank for all users: by ALS alone where the signal has faded, and else by both parts."""
        n, moved = len(self.scaled), self.factor > 0
        alone, together = np.flatnonzero(~moved), np.flatnonzero(moved)
        lists = TopK(np.full((n, self.k), EMPTY, dtype=np.int32), np.full((n, self.k), np.nan, dtype=np.float32))
        if self.k == 0 or len(self.longest.vectors) == 0:
            return lists
        if len(alone):
            found = ranking.recommend(
                self.scaled[alone],
                self.longest.vectors,
                self.seen if len(alone) == n else self.seen[alone],
                self.k,
                batch_bytes=batch_bytes,
                threads=threads,
                progress=None if progress is None else lambda done, _: progress(done, n),
            )
            lists.items[alone], lists.scores[alone] = found.items, found.scores - self._means(alone)
        # The number of threads does not decide how many users are scored at a time, and so no last bit of a score.
        at_a_time = max(1, min(batch_bytes // _CELL_BYTES, _CELLS) // len(self.longest.vectors))
        threads = max(1, min(threads, batch_bytes // (_CELL_BYTES * at_a_time * len(self.longest.vectors))))
        likes = np.diff(self.seen.indptr)[together].astype(np.int64)
        report = None if progress is None else lambda done, _: progress(len(alone) + done, n)

        def rank(some: IntArray, best: Callable[..., Iterable[tuple[IntArray, FloatArray]]]) -> None:
            # For many users at once: for each part of them, it would take as long as ranking.
            recent = self.recent(some)
            parts = [slice(start, start + at_a_time) for start in range(0, len(some), at_a_time)]
            found = best(self._best, [some[part] for part in parts], [recent[part] for part in parts])
            for part, (items, scores) in zip(parts, found, strict=True):
                lists.items[some[part]], lists.scores[some[part]] = items, scores

        if len(together) <= at_a_time:  # starting a thread takes longer than ranking for one user
            for group in batches(np.cumsum(_LIKE_BYTES * likes), batch_bytes, report):
                rank(together[group], map)
            return lists
        with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
            for group in batches(np.cumsum(_LIKE_BYTES * likes), batch_bytes, report):
                rank(together[group], pool.map)
        return lists

    def _best(self, rows: IntArray, recent: csr_matrix) -> tuple[IntArray, FloatArray]:
        """The best movies of some users and their scores, given the recency weights of their latest likes."""
        signal, mean, deviation = self._signal(recent)
        starts = self.seen.indptr[rows]
        counts = self.seen.indptr[rows + 1] - starts
        seen = np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        signal[np.repeat(np.arange(len(rows)), counts), self.seen.indices[seen]] = NOTHING
        # Dividing the vectors by the share of the signal, and not multiplying the signal, leaves the order as it is.
        share = self.factor[rows] / deviation
        items, values = self.longest.best(signal, (self.scaled[rows] / share[:, None]).astype(np.float32), self.k)
        return items, values * share[:, None] - (self.mean[rows] + share * mean)[:, None]

    def _means(self, rows: IntArray) -> FloatArray:
        means: FloatArray = self.mean[rows, None].astype(np.float32)
        return means

    def _signal(self, recent: csr_matrix) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The signal of some users, float32, shape (n_rows, n_movies), with the mean and the spread of each row."""
        n, n_movies = recent.shape
        users = np.repeat(np.arange(n), np.diff(recent.indptr))
        signal = self._sum_of_one(recent) if n == 1 and recent.nnz else self._sums(recent, users)
        mean = np.bincount(users, recent.data * self.totals[recent.indices], n) / n_movies
        size = np.einsum("um,um->u", signal, signal).astype(np.float64) / n_movies
        variance = size - mean**2
        # Nearly equal values: their difference would be one of rounding errors.
        near = np.flatnonzero(variance < _NEAR * size)
        variance[near] = np.square(signal[near] - mean[near, None]).mean(axis=1)
        return signal, mean, _deviation(variance, size)

    def _sum_of_one(self, recent: csr_matrix) -> FloatArray:
        """The signal of one user with likes, float32, shape (1, n_movies)."""
        columns, values = self.next_movies.added_by(recent.indices, recent.data)
        return np.bincount(columns, values, recent.shape[1]).astype(np.float32)[None]

    def _sums(self, recent: csr_matrix, users: IntArray) -> FloatArray:
        """The signal of some users, float32, shape (n_users, n_movies), given the user of each like."""
        n, n_movies = recent.shape
        # The sum of all users is one product: each like is a column with the cells that it adds to.
        likes = self.next_movies.matrix[recent.indices]
        cells = likes.indices + np.repeat(users * n_movies, np.diff(likes.indptr)).astype(likes.indices.dtype)
        added = csc_matrix((likes.data, cells, likes.indptr), shape=(n * n_movies, len(recent.indices)))
        signal: FloatArray = (added @ recent.data).reshape(n, n_movies)
        return signal
