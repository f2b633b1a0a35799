"""From vectors to lists: the best unseen movies of users, the nearest movies of a movie, the most popular movies.

Belongs here: selecting and ordering. Does not: solving the vectors (`als`) and scoring the lists (`metrics`).

`implicit.cpu.topk` gives the same lists but for ties, for which it keeps no order. With the size of MovieLens 20M
(26,744 movies, 128 seen movies a user, k = 20, 2 threads) it takes 8 times as long with fitted factors of 64, and 0.8
to 1.3 times as long with random factors: the vectors of fitted movies differ in length by a factor of 100, and
`recommend` makes use of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.sparse import csr_matrix

from movierec_assets.progress import Progress
from movierec_assets.recsys.batches import BATCH_BYTES, batches
from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.recsys.native import library
from movierec_assets.recsys.native import ranking as native
from movierec_assets.recsys.selection import NOTHING, highest
from movierec_assets.recsys.threads import ALL_CORES, one_blas_thread, thread_count

EMPTY = -1
"""Marks an empty position at the end of a list for which there were too few movies."""

_FIRST, _MANY_USERS = 512, 256
"""Number of movies with the longest vectors that users are ranked among first, and number of users from which that is
faster."""

_ROUNDING = 1e-4
"""Products in single precision differ from exact ones, and between batches, by less than this share of the product of
lengths."""

_CELLS = 2**20
"""Scores at a time: the fastest number, small enough for a processor's cache."""

_CELL_BYTES, _LIKE_BYTES = 16, 64
"""Memory for a score, and for an entry of the seen movies."""


@dataclass(frozen=True)
class TopK:
    """Ranked lists.

    Attributes
    ----------
    items : int32 array, shape (n, k)
        Columns, best first; `EMPTY` at the end of a list with fewer than k movies.
    scores : float32 array, shape (n, k)
        Not a number at empty positions.
    """

    items: IntArray
    scores: FloatArray

    @classmethod
    def stacked(cls, parts: Sequence[Self]) -> Self:
        """The lists of several groups of users, one group after the other; at least one group."""
        return cls(np.concatenate([part.items for part in parts]), np.concatenate([part.scores for part in parts]))

    @classmethod
    def empty(cls, n: int, k: int) -> Self:
        """Lists without movies."""
        return cls(np.full((n, k), EMPTY, dtype=np.int32), np.full((n, k), np.nan, dtype=np.float32))

    def entries(self) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
        """Row, rank from 1, item and score of each filled position, as parallel arrays, row by row."""
        rows, columns = np.nonzero(self.items != EMPTY)
        return rows, columns + 1, self.items[rows, columns], self.scores[rows, columns]


def recommend(
    user_vectors: FloatArray,
    movie_factors: FloatArray,
    seen: csr_matrix,
    k: int,
    *,
    batch_bytes: int = BATCH_BYTES,
    threads: int = ALL_CORES,
    progress: Progress | None = None,
) -> TopK:
    """Rank the k best movies that each user has not seen; equal scores keep the order of columns.

    A score is at most the product of the lengths of two vectors, so most movies are out of reach of most users. Many
    users are first ranked among the movies with the longest vectors only. The k-th best score there limits the movies
    that can still enter a user's list, and users are ranked again among those. The lists equal those of ranking among
    all movies.

    Parameters
    ----------
    user_vectors : float32 array, shape (n_users, factors)
    movie_factors : float32 array, shape (n_movies, factors)
    seen : csr_matrix, shape (n_users, n_movies)
        Entries are left out of the user's list.
    k : int
    batch_bytes : int
        Memory for the temporary arrays of one batch of users.
    threads : int
        Number of threads; the lists do not depend on it.
    progress : callable, optional
        Called with the number of users done, and of all users.

    Returns
    -------
    TopK, shape (n_users, k)
    """
    n_movies = len(movie_factors)
    lists = TopK.empty(len(user_vectors), k)
    if k == 0 or n_movies == 0:
        return lists
    if many(len(user_vectors)) and library.why_not() is None:
        movies = native.Movies.of(movie_factors)
        for some in batches(_LIKE_BYTES * seen.indptr[1:].astype(np.int64), batch_bytes, progress):
            means = np.zeros(some.stop - some.start)
            lists.items[some], lists.scores[some] = native.rank(
                movies, user_vectors[some], means, seen[some], k, threads=threads
            )
        return lists
    first, longest, lengths = n_movies, np.arange(n_movies), np.empty(0)
    if many(len(user_vectors)):
        first = min(max(_FIRST, 8 * k), n_movies)
        lengths = np.linalg.norm(movie_factors, axis=1)
        longest = np.argsort(-lengths, kind="stable")
    rank = _Ranking(lists, user_vectors, movie_factors, seen, batch_bytes, thread_count(threads))
    with _threads_of_our_own(len(user_vectors)):
        for batch in batches(_LIKE_BYTES * seen.indptr[1:].astype(np.int64), batch_bytes, progress):
            rows = np.arange(batch.start, batch.stop)
            rank.among(longest[:first], rows)
            if first < n_movies:
                sizes = _within_reach(user_vectors[batch], lists.scores[batch, -1], lengths[longest], first)
                for size in np.unique(sizes[sizes > first]):
                    rank.among(longest[:size], rows[sizes == size])
    return lists


def many(users: int) -> bool:
    """Whether there are enough users to prepare the movies first."""
    return users >= _MANY_USERS


@contextmanager
def _threads_of_our_own(rows: int) -> Iterator[None]:
    """Keep BLAS to one thread where several of our own select and multiply; limiting BLAS takes a while."""
    if not many(rows):
        yield
        return
    with one_blas_thread():
        yield


def _within_reach(user_vectors: FloatArray, enough: FloatArray, lengths: FloatArray, first: int) -> IntArray:
    """Number of the longest movie vectors that can reach a score with each user's vector, shape (n_users,).

    Numbers are rounded up to one of a few sizes from `first` on, so that users can be ranked together. `enough` is the
    score of each user, or not a number, which every movie reaches. `lengths` of movie vectors are falling.
    """
    longest = np.linalg.norm(user_vectors, axis=1).astype(np.float64) * (1 + _ROUNDING)
    with np.errstate(divide="ignore", invalid="ignore"):
        shortest = np.where(enough > 0, enough / longest, 0.0)
    count = np.searchsorted(-lengths.astype(np.float64), -shortest, side="right")
    doubled = first * 2 ** np.arange(np.ceil(np.log2(len(lengths) / first)))
    sizes = np.append(doubled, len(lengths)).astype(np.int64)
    rounded: IntArray = sizes[np.searchsorted(sizes, count)]
    return rounded


@dataclass(frozen=True)
class _Ranking:
    """The lists that are being filled, and the vectors to fill them with, see `recommend`."""

    lists: TopK
    user_vectors: FloatArray
    movie_factors: FloatArray
    seen: csr_matrix
    batch_bytes: int
    threads: int

    def among(self, movies: IntArray, rows: IntArray) -> None:
        """Fill the lists of some users with the best of some movies; scores that they hold already are lower bounds."""
        lists, everything = self.lists, len(movies) == len(self.movie_factors)
        movies = np.arange(len(movies)) if everything else np.sort(movies)
        factors = self.movie_factors if everything else self.movie_factors[movies]
        floor = lists.scores[rows, -1]
        if not np.isnan(floor).all():  # lengths take longer than ranking for one user
            # A score that was good enough when multiplied among fewer movies may come out a little lower now.
            lengths = np.linalg.norm(self.user_vectors[rows], axis=1)
            slack = _ROUNDING * lengths * np.linalg.norm(factors, axis=1).max(initial=0.0)
            floor -= slack.astype(np.float32)
        at_a_time = max(1, min(self.batch_bytes // self.threads // _CELL_BYTES, _CELLS) // len(movies))

        def rank_from(start: int) -> None:
            some = rows[start : start + at_a_time]
            scores = self.user_vectors[some] @ factors.T
            known = self.seen[some] if everything else self.seen[some][:, movies]
            scores[np.repeat(np.arange(len(some)), np.diff(known.indptr)), known.indices] = NOTHING
            columns, values = highest(scores, lists.items.shape[1], floor=floor[start : start + at_a_time])
            lists.items[some], lists.scores[some] = np.where(columns >= 0, movies[columns], EMPTY), values

        starts = range(0, len(rows), at_a_time)
        if len(starts) == 1:
            rank_from(0)
            return
        with ThreadPoolExecutor(self.threads) as pool:
            for _ in pool.map(rank_from, starts):
                pass


def similar(
    movie_factors: FloatArray,
    k: int,
    *,
    batch_bytes: int = BATCH_BYTES,
    threads: int = ALL_CORES,
    progress: Progress | None = None,
) -> TopK:
    """Rank the k nearest other movies of each movie by cosine of their factors.

    Parameters
    ----------
    movie_factors : float32 array, shape (n_movies, factors)
    k : int
    batch_bytes, threads, progress
        As for `recommend`.

    Returns
    -------
    TopK, shape (n_movies, k)
        Scores in [-1, 1]. A movie is never its own neighbour; a movie with a zero vector has no neighbours.
    """
    n_movies = len(movie_factors)
    norms = np.linalg.norm(movie_factors, axis=1, keepdims=True)
    unit = np.divide(movie_factors, norms, out=np.zeros_like(movie_factors), where=norms > 0)
    itself = csr_matrix((np.ones(n_movies, dtype=np.float32), (np.arange(n_movies),) * 2), shape=(n_movies, n_movies))
    lists = TopK.empty(n_movies, k)
    rank = _Ranking(lists, unit, unit, itself, batch_bytes, thread_count(threads))
    with _threads_of_our_own(n_movies):
        for batch in batches(_LIKE_BYTES * np.arange(1, n_movies + 1), batch_bytes, progress):
            rank.among(np.arange(n_movies), np.arange(batch.start, batch.stop))
    without_direction = (norms == 0).ravel()
    lists.items[without_direction], lists.scores[without_direction] = EMPTY, np.nan
    # Of unit vectors in single precision the product may be 1.0000004.
    np.clip(lists.scores, -1.0, 1.0, out=lists.scores)
    return lists


def popular(
    counts: IntArray, seen: csr_matrix, k: int, *, batch_bytes: int = BATCH_BYTES, progress: Progress | None = None
) -> TopK:
    """Rank the k movies with the most positives that each user has not seen.

    Parameters
    ----------
    counts : int array, shape (n_movies,)
        Positives of each movie; equal counts keep the order of columns.
    seen : csr_matrix, shape (n_users, n_movies)
    k : int
    batch_bytes, progress
        As for `recommend`.

    Returns
    -------
    TopK, shape (n_users, k)
        Scores are the counts.
    """
    lists = TopK.empty(seen.shape[0], k)
    order = np.argsort(-counts, kind="stable")
    position = np.empty_like(order)
    position[order] = np.arange(len(order))
    first = 4 * k + 64
    needed = 8 * first * np.arange(1, seen.shape[0] + 1) + 64 * seen.indptr[1:].astype(np.int64)
    for batch in batches(needed, batch_bytes, progress):
        # Look at the head of the order, and further down only for users who have seen nearly all of the head.
        rows, width = np.arange(batch.start, batch.stop), min(first, len(order))
        while len(rows) and width:
            own = seen[rows]
            users, positions = np.repeat(np.arange(len(rows)), np.diff(own.indptr)), position[own.indices]
            unseen = np.ones((len(rows), width), dtype=np.bool_)
            unseen[users[positions < width], positions[positions < width]] = False
            rank = np.cumsum(unseen, axis=1, dtype=np.int32)
            user, column = np.nonzero(unseen & (rank <= k))
            lists.items[rows[user], rank[user, column] - 1] = order[column]
            rows = rows[rank[:, -1] < k]
            width = min(4 * width, len(order)) if width < len(order) else 0
    listed = lists.items != EMPTY
    lists.scores[listed] = counts[lists.items[listed]]
    return lists
