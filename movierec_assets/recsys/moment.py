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
from scipy.sparse import csr_matrix

from movierec_assets.progress import Progress
from movierec_assets.recsys import ranking
from movierec_assets.recsys.batches import BATCH_BYTES, batches, stage
from movierec_assets.recsys.interactions import FloatArray, IntArray, Interactions
from movierec_assets.recsys.next_movies import NextMovies, recency_weights
from movierec_assets.recsys.ranking import EMPTY, TopK
from movierec_assets.recsys.recipe import NextMovie
from movierec_assets.recsys.selection import NOTHING, highest
from movierec_assets.recsys.threads import ALL_CORES, thread_count

HOUR = 3600.0

ON_RETURN = 24 * HOUR
"""Seconds since the latest like at a request whose time is not known: what is made today is read the next day."""

MIN_FADE = 1e-3
"""A signal that has faded below this share does not count any more: after seven times `fade_hours`."""

Recent = Callable[[IntArray], csr_matrix]
"""Gives the recency weights of the latest likes of some users, shape (n_chosen, n_movies), by their rows."""

_MANY_USERS = 256
"""Number of users from which it is faster to look at candidates than at all movies."""

_CELLS, _ENTRIES = 2**20, 2**18
"""Scores at a time, and movies that the signal touches at a time: the fastest numbers."""

_CELL_BYTES, _ENTRY_BYTES, _LIKE_BYTES = 32, 64, 64
"""Memory for a score, for a movie that a user's signal touches, and for an entry of the seen movies."""

_ROUNDING = 1e-4
"""Scores in single precision differ from exact ones by less than this share of the product of lengths."""

_EQUAL = 1e-6
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


def spread_of_sums(total: FloatArray, squares: FloatArray, n: int) -> tuple[FloatArray, FloatArray]:
    """Mean and spread of n values each, from their sums and the sums of their squares; see `Spread.of_users`."""
    mean, size = total / max(1, n), squares / max(1, n)
    return mean, _deviation(size - mean**2, size)


def _deviation(variance: FloatArray, size: FloatArray) -> FloatArray:
    """Square root of the variance; 1 where it is 0 beside the mean square of the values."""
    with np.errstate(invalid="ignore"):
        return np.where(variance > _EQUAL**2 * size, np.sqrt(variance), 1.0)


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
    scaled : float32 array, shape (n_users, factors)
        User vectors over the spreads of their scores.
    mean : float64 array, shape (n_users,)
        Of each user's scores with the scaled vector.
    factor : float64 array, shape (n_users,)
        Of the standardized signal.
    """

    movie_factors: FloatArray
    followers: csr_matrix
    scaled: FloatArray
    mean: FloatArray
    recent: Recent
    factor: FloatArray
    seen: csr_matrix
    k: int

    def among_all(self, batch_bytes: int, progress: Progress | None) -> TopK:
        """Compare all movies."""
        (n, n_movies), k = self.seen.shape, self.k
        lists = TopK(np.full((n, k), EMPTY, dtype=np.int32), np.full((n, k), np.nan, dtype=np.float32))
        if k == 0 or n_movies == 0:
            return lists
        at_a_time = max(1, min(batch_bytes // _CELL_BYTES, _CELLS) // n_movies)
        for batch in batches(np.arange(1, n + 1), at_a_time, progress):
            scores = self.scaled[batch] @ self.movie_factors.T
            scores -= self.mean[batch, None].astype(np.float32)
            moved = np.flatnonzero(self.factor[batch] > 0)
            if len(moved):
                signal = self._dense_signal(moved + batch.start)
                scores[moved] += signal
            first, last = self.seen.indptr[batch.start], self.seen.indptr[batch.stop]
            users = np.repeat(np.arange(len(scores)), np.diff(self.seen.indptr[batch.start : batch.stop + 1]))
            scores[users, self.seen.indices[first:last]] = NOTHING
            lists.items[batch], lists.scores[batch] = highest(scores, k)
        return lists

    def _dense_signal(self, rows: IntArray) -> FloatArray:
        """What the signal adds to the score of each movie for some users, float32, shape (n_rows, n_movies)."""
        recent, n_movies = self.recent(rows), self.seen.shape[1]
        starts, lengths = self.followers.indptr[recent.indices], np.diff(self.followers.indptr)[recent.indices]
        ends = np.cumsum(lengths)
        entries = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
        users = np.repeat(np.arange(len(rows)), np.diff(recent.indptr))
        cells = np.repeat(users * n_movies, lengths) + self.followers.indices[entries]
        weights = np.repeat(recent.data, lengths) * self.followers.data[entries]
        counted = np.bincount(cells, weights, minlength=len(rows) * n_movies)
        signal = counted.astype(np.float64, copy=False).reshape(len(rows), n_movies)  # counts where nothing is touched
        mean, deviation = spread_of_sums(signal.sum(axis=1), np.einsum("um,um->u", signal, signal), n_movies)
        signal -= mean[:, None]
        signal *= (self.factor[rows] / deviation)[:, None]
        return signal.astype(np.float32)

    def among_candidates(self, lengths: FloatArray, batch_bytes: int, threads: int, progress: Progress | None) -> TopK:
        """Compare the best k by ALS and the movies that the signal touches.

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
        if self.k == 0 or self.seen.shape[1] == 0:
            return lists
        of_movie = np.diff(self.followers.indptr)
        with ThreadPoolExecutor(threads) as pool:
            for batch in batches(
                _LIKE_BYTES * self.seen.indptr[1:].astype(np.int64), batch_bytes, stage(progress, 1, 2)
            ):
                rows = batch.start + np.flatnonzero(self.factor[batch] > 0)
                if len(rows) == 0:
                    continue
                recent = self.recent(rows)
                users = np.repeat(np.arange(len(rows)), np.diff(recent.indptr))
                touched = np.minimum(np.bincount(users, of_movie[recent.indices], len(rows)), len(lengths))
                needed = np.cumsum(_ENTRY_BYTES * touched + len(lengths)).astype(np.int64)
                parts = batches(needed, max(1, min(batch_bytes // threads, _ENTRIES * _ENTRY_BYTES)))

                def insert(part: slice, rows: IntArray = rows, recent: csr_matrix = recent) -> None:
                    self._insert(lists, rows[part], recent[part] @ self.followers, lengths)

                for _ in pool.map(insert, parts):
                    pass
        return lists

    def _insert(self, lists: TopK, rows: IntArray, touched: csr_matrix, lengths: FloatArray) -> None:
        """Rank the lists of some users, which are by ALS, again with the movies that their signals touch."""
        n_movies = self.seen.shape[1]
        mean, deviation = spread_of_rows(touched)
        share = self.factor[rows] / deviation
        users = np.repeat(np.arange(len(rows)), np.diff(touched.indptr))
        added = touched.data * share.astype(np.float32)[users]
        # What the signal adds must lift a movie over the k-th of the list; vectors give at most the product of lengths.
        longest = np.linalg.norm(self.scaled[rows], axis=1)
        enough = lists.scores[rows, -1] + self.mean[rows] - _ROUNDING * longest * lengths.max()
        enough = np.where(np.isnan(enough), -np.inf, enough).astype(np.float32)
        possible = np.flatnonzero(added + longest[users] * lengths[touched.indices] >= enough[users])
        seen = self.seen[rows]
        left_out = np.zeros(len(rows) * n_movies, dtype=np.bool_)
        left_out[np.repeat(np.arange(len(rows)) * n_movies, np.diff(seen.indptr)) + seen.indices] = True
        cells = users[possible] * n_movies + touched.indices[possible]
        unseen = ~left_out[cells]
        row, position = np.nonzero(lists.items[rows] != EMPTY)
        listed = row * n_movies + lists.items[rows][row, position]
        # A movie of the list that the signal touches occurs twice, and first with what the signal adds.
        cells = np.concatenate([cells[unseen], listed])
        added = np.concatenate([added[possible[unseen]], np.zeros(len(listed), dtype=np.float32)])
        order = np.argsort(cells, kind="stable")
        order = order[np.diff(cells[order], prepend=-1) != 0]
        user, movie = np.divmod(cells[order], n_movies)
        scores = np.einsum("cf,cf->c", self.scaled[rows[user]], self.movie_factors[movie]) + added[order]
        scores -= (self.mean[rows] + share * mean).astype(np.float32)[user]
        counts = np.bincount(user, minlength=len(rows))
        column = np.arange(len(user)) - np.repeat(np.cumsum(counts) - counts, counts)
        table = np.full((len(rows), max(1, int(counts.max(initial=0)))), NOTHING)
        movies = np.full(table.shape, EMPTY, dtype=np.int32)
        table[user, column], movies[user, column] = scores, movie
        best, lists.scores[rows] = highest(table, self.k)
        lists.items[rows] = np.where(best >= 0, np.take_along_axis(movies, np.maximum(best, 0), axis=1), EMPTY)


def spread_of_rows(matrix: csr_matrix) -> tuple[FloatArray, FloatArray]:
    """Mean and spread of each row over all columns, shape (n_rows,)."""
    total, squares = np.zeros(matrix.shape[0]), np.zeros(matrix.shape[0])
    filled = np.flatnonzero(np.diff(matrix.indptr))
    if len(filled):
        values = matrix.data.astype(np.float64)
        total[filled] = np.add.reduceat(values, matrix.indptr[filled])
        values *= values
        squares[filled] = np.add.reduceat(values, matrix.indptr[filled])
    return spread_of_sums(total, squares, matrix.shape[1])
