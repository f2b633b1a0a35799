"""Which movies are liked soon after which: transitions between the likes of all users.

Belongs here: counting the transitions, the matrix of them, and a user's signal from it. Does not: the numbers that
decide the matrix (`recipe.NextMovie`), and the scores that the signal is added to (`moment`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, vstack

from movierec_assets.progress import Progress
from movierec_assets.recsys.batches import BATCH_BYTES, batches
from movierec_assets.recsys.interactions import Arrays, BoolArray, FloatArray, IntArray, Interactions, positions
from movierec_assets.recsys.native import counting, library
from movierec_assets.recsys.recipe import NextMovie
from movierec_assets.recsys.split import Split
from movierec_assets.recsys.threads import ALL_CORES, in_order, thread_count

MAX_FOLLOWERS = 500
"""Strongest followers that are kept of each movie."""

MIN_RECENCY = 0.03
"""Likes whose recency weight is below this add nothing to a signal: those that are older than 3.5 times tau."""

_PREFIX = "next_"
_PAIR_BYTES = 64
"""Memory for a pair of likes while it is counted."""

_LIKES = 2**17
"""Likes at a time, small enough for a processor's cache."""


@dataclass(frozen=True)
class NextMovies:
    """How strongly each movie follows each other.

    Attributes
    ----------
    matrix : csr_matrix of float32, shape (n_movies, n_movies)
        Row a holds the followers of movie a: normalized, at most `MAX_FOLLOWERS`, indices sorted.
    """

    matrix: csr_matrix

    @classmethod
    def of(
        cls,
        positives: Interactions,
        signal: NextMovie,
        *,
        batch_bytes: int = BATCH_BYTES,
        threads: int = ALL_CORES,
        progress: Progress | None = None,
    ) -> Self:
        """Count the transitions in positives.

        Likes of one user in the same second do not follow each other. For the window and the lag, they stand one after
        the other in the order of their columns.

        Parameters
        ----------
        positives : Interactions, shape (n_users, n_movies)
        signal : NextMovie
        batch_bytes : int
            Memory for the temporary arrays of the movies that are counted at a time.
        threads : int
            Number of threads. Neither this nor `batch_bytes` changes the matrix.
        progress : callable, optional
            Called with the number of movies done, and of all movies.
        """
        sequence = _Sequence.of(positives, signal)
        reach = _Reach.of(sequence, sequence.user_ends, threads)

        def in_python(movies: slice) -> list[csr_matrix]:
            return [reach.strongest(sequence.transitions(movies, reach.start, reach.stop), movies)]

        count = in_python if library.why_not() else sequence.counter(sequence.reached(reach))
        (matrix,) = _stacked(_by_blocks(sequence, reach, count, batch_bytes, threads, progress))
        return cls(matrix)

    def __len__(self) -> int:
        return int(self.matrix.nnz)

    def signal(self, histories: Interactions, tau: float) -> csr_matrix:
        """Strength with which each movie follows a user's latest likes, shape (n_users, n_movies).

        Parameters
        ----------
        histories : Interactions, shape (n_users, n_movies)
        tau : float
            See `recipe.NextMovie`.
        """
        return recency_weights(histories, tau) @ self.matrix

    def added_by(self, likes: IntArray, weights: FloatArray) -> tuple[IntArray, FloatArray]:
        """What the likes of one user add to the user's signal: for one user, faster than `signal`.

        Parameters
        ----------
        likes : int array, shape (n_likes,)
            Columns; at least one.
        weights : float32 array, shape (n_likes,)
            Their recency weights.

        Returns
        -------
        columns : int array, shape (n_added,)
            The followers of each like in turn; a movie that follows several likes is there several times.
        values : float32 array, same shape
        """
        matrix = self.matrix
        starts, stops = matrix.indptr[likes].tolist(), matrix.indptr[likes + 1].tolist()
        rows = [slice(start, stop) for start, stop in zip(starts, stops, strict=True)]
        values = np.concatenate([matrix.data[row] for row in rows])
        values *= weights.repeat([row.stop - row.start for row in rows])
        return np.concatenate([matrix.indices[row] for row in rows]), values

    def matched(self, movie_ids: IntArray, wanted: IntArray) -> Self:
        """The matrix over other movies, given the ids of this one's and the wanted ones; both increasing."""
        if np.array_equal(movie_ids, wanted):
            return self
        at = positions(wanted, movie_ids)
        triplets = self.matrix.tocoo()
        rows, columns = at[triplets.row], at[triplets.col]
        kept = (rows >= 0) & (columns >= 0)
        shape = (len(wanted), len(wanted))
        return type(self)(csr_matrix((triplets.data[kept], (rows[kept], columns[kept])), shape=shape))

    def to_arrays(self) -> Arrays:
        """Named arrays."""
        return {f"{_PREFIX}{name}": getattr(self.matrix, name) for name in ("data", "indices", "indptr")}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self | None:
        """Read back the arrays of `to_arrays`; None where there are none."""
        if f"{_PREFIX}indptr" not in arrays:
            return None
        data, indices, indptr = (arrays[f"{_PREFIX}{name}"] for name in ("data", "indices", "indptr"))
        return cls(csr_matrix((data, indices, indptr), shape=(len(indptr) - 1,) * 2))


def of_split(
    split: Split,
    signal: NextMovie,
    *,
    batch_bytes: int = BATCH_BYTES,
    threads: int = ALL_CORES,
    progress: Progress | None = None,
) -> tuple[NextMovies, NextMovies]:
    """The matrices of everything before the test part, and of everything; parameters as for `NextMovies.of`.

    The test part is the end of each user's likes, so transitions are counted once: those to likes before the test part,
    and those into it.
    """
    history, everything = _stacked(_blocks_of_split(split, signal, batch_bytes, threads, progress))
    return NextMovies(history), NextMovies(everything)


def _blocks_of_split(
    split: Split, signal: NextMovie, batch_bytes: int, threads: int, progress: Progress | None
) -> list[list[csr_matrix]]:
    """The two matrices of `of_split` for some movies at a time; all that counting needs is given up at the end."""
    sequence = _Sequence.of(split.together(), signal)
    whole = _Reach.of(sequence, sequence.user_ends, threads)
    earlier = _Reach.of(sequence, sequence.user_ends - split.test.per_user, threads)
    tested_start = np.maximum(whole.start, earlier.stop)
    near_test = sequence.only_from(tested_start < whole.stop)

    def in_python(movies: slice) -> list[csr_matrix]:
        before = sequence.transitions(movies, earlier.start, earlier.stop)
        into = near_test.transitions(movies, tested_start, whole.stop)
        both = before + into  # first: `strongest` overwrites
        return [earlier.strongest(before, movies), whole.strongest(both, movies)]

    into_test = near_test.reached(replace(whole, start=tested_start))
    count = in_python if library.why_not() else sequence.counter(sequence.reached(earlier), into_test)
    return _by_blocks(sequence, whole, count, batch_bytes, threads, progress)


def recency_weights(histories: Interactions, tau: float) -> csr_matrix:
    """`exp(-rank / tau)` of each user's latest likes, those from `MIN_RECENCY` on, shape (n_users, n_movies)."""
    ranks = histories.recency_rank()
    of_rank = np.exp(-np.arange(ranks.max(initial=0) + 1, dtype=np.int32) / np.float32(tau)).astype(np.float32)
    recent = (of_rank >= MIN_RECENCY)[ranks]
    return histories.only(recent).weighted(of_rank[ranks[recent]])


@dataclass(frozen=True)
class _Sequence:
    """The likes of all users, user by user in the order of time.

    Attributes
    ----------
    movie : int array, shape (n_likes,)
    users : int array, shape (n_users + 1,)
        Where the likes of each user start, and where all end.
    moments : int array, shape (n_moments + 1,)
        Where the likes of one user in one second start, and where all end.
    by_movie : int array, shape (n_likes,)
        Places of the likes, movie by movie.
    starts : int array, shape (n_movies + 1,)
        Where the likes of each movie start in `by_movie`.
    decays : float32 array, shape (window + 1,)
        Weight of a transition by its lag; 0 at lag 0.
    signal : NextMovie
    """

    movie: IntArray
    users: IntArray
    moments: IntArray
    by_movie: IntArray
    starts: IntArray
    decays: FloatArray
    signal: NextMovie

    @classmethod
    def of(cls, positives: Interactions, signal: NextMovie) -> Self:
        order, moments = positives.time_order()
        indptr, n_likes = positives.stars.indptr, len(positives)
        window = min(signal.window, int(positives.per_user.max(initial=1)))
        moments = np.append(moments.astype(indptr.dtype, copy=False), indptr[-1:])
        movie = positives.stars.indices[order]
        del order
        places = csr_matrix((np.arange(n_likes, dtype=indptr.dtype), movie, indptr), shape=positives.shape).tocsc()
        return cls(
            movie,
            indptr,
            moments,
            places.data,
            places.indptr,
            np.append(0.0, signal.decay ** np.arange(window)).astype(np.float32),
            signal,
        )

    @property
    def user_ends(self) -> IntArray:
        """Where the likes of each user end, shape (n_users,)."""
        return self.users[1:]

    def only_from(self, chosen: BoolArray) -> Self:
        """The same likes, but transitions start from the chosen ones only, shape (n_likes,)."""
        kept = np.flatnonzero(chosen[self.by_movie])
        return replace(self, by_movie=self.by_movie[kept], starts=np.searchsorted(kept, self.starts))

    def transitions(self, movies: slice, start: IntArray, stop: IntArray) -> csr_matrix:
        """Sums of the transitions from some movies, shape (len(movies), n_movies), columns in no order.

        Parameters
        ----------
        movies : slice
        start, stop : int array, shape (n_likes,)
            The likes that follow each like are those at the places from `start` to before `stop`.
        """
        likes = self.by_movie[self.starts[movies.start] : self.starts[movies.stop]]
        counts = stop[likes] - start[likes]
        ends = np.cumsum(counts, dtype=np.int64)
        at = np.repeat((start[likes] - ends + counts).astype(start.dtype), counts)
        at += np.arange(len(at), dtype=at.dtype)
        lag = at - np.repeat(likes, counts)
        n_movies = len(self.starts) - 1
        followers = csr_matrix(
            (self.decays[lag], self.movie[at], np.concatenate([[0], ends])), shape=(len(likes), n_movies)
        )
        starts = self.starts[movies.start : movies.stop + 1] - self.starts[movies.start]
        ones = np.ones(len(likes), dtype=np.float32)
        return csr_matrix((ones, np.arange(len(likes)), starts), shape=(len(starts) - 1, len(likes))) @ followers

    def reached(self, reach: _Reach) -> counting.Reach:
        """These likes, with the likes that follow each, as they are counted in C."""
        return counting.Reach(self.by_movie, self.starts, reach.start, reach.stop, reach.of_source, reach.of_follower)

    def counter(self, *reaches: counting.Reach) -> Callable[[slice], list[csr_matrix]]:
        """Counts in C: `transitions` and `_Reach.strongest` for some movies, by each reach and those before it."""
        return counting.Counter(self.movie, self.decays, reaches, MAX_FOLLOWERS).strongest


@dataclass(frozen=True)
class _Reach:
    """The likes that follow each like, and what their sums are multiplied by.

    Attributes
    ----------
    start, stop : int array, shape (n_likes,)
        Places of the likes that follow each like, see `_Sequence.transitions`.
    of_source, of_follower : float32 array, shape (n_movies,)
        Factors of the rows and of the columns.
    """

    start: IntArray
    stop: IntArray
    of_source: FloatArray
    of_follower: FloatArray

    @classmethod
    def of(cls, sequence: _Sequence, user_ends: IntArray, threads: int) -> Self:
        """Where each user's likes end at `user_ends`, shape (n_users,)."""
        window, n_likes, n_movies = len(sequence.decays) - 1, len(sequence.movie), len(sequence.starts) - 1
        start, stop = np.empty_like(sequence.movie), np.empty_like(sequence.movie)
        out_sum, in_sum = np.zeros(n_movies), np.zeros(n_movies)
        # The weights of the lags from first to last add up to a difference of two sums, so no pair is needed.
        sums = np.cumsum(sequence.decays, dtype=np.float64)

        def of_lags(first: IntArray, last: IntArray) -> FloatArray:
            found: FloatArray = sums[np.clip(last, 0, window)] - sums[np.clip(first - 1, 0, window)]
            return found

        def fill(part: slice) -> tuple[slice, FloatArray, FloatArray]:
            places = np.arange(part.start, part.stop, dtype=start.dtype)
            users, per_user = _within(sequence.users, part)
            moments, per_moment = _within(sequence.moments, part)
            user_start, end = (np.repeat(each[users], per_user) for each in (sequence.users, user_ends))
            moment_start, moment_end = (
                np.repeat(each[moments], per_moment) for each in (sequence.moments, sequence.moments[1:])
            )
            np.minimum(places + window + 1, end, out=stop[part])
            np.minimum(moment_end, stop[part], out=start[part])
            known = places < end
            out = of_lags(start[part] - places, stop[part] - 1 - places) * known
            into = of_lags(places - moment_start + 1, places - user_start) * known
            return part, out, into

        for part, out, into in in_order(fill, _parts(n_likes), threads):  # the order decides the last bits
            np.add.at(out_sum, sequence.movie[part], out)
            np.add.at(in_sum, sequence.movie[part], into)
        return cls(
            start,
            stop,
            ((out_sum + 1.0) ** -sequence.signal.out_exponent).astype(np.float32),
            ((in_sum + sequence.signal.smoothing) ** -sequence.signal.in_exponent).astype(np.float32),
        )

    def strongest(self, sums: csr_matrix, movies: slice) -> csr_matrix:
        """The strongest followers of some movies, of sums that are overwritten."""
        sums.data *= np.repeat(self.of_source[movies], np.diff(sums.indptr))
        sums.data *= self.of_follower[sums.indices]
        return strongest(sums, MAX_FOLLOWERS)


def _parts(n_likes: int) -> list[slice]:
    """All likes, in parts that are worked on one at a time."""
    return [slice(first, min(first + _LIKES, n_likes)) for first in range(0, n_likes, _LIKES)]


def _within(bounds: IntArray, part: slice) -> tuple[slice, IntArray]:
    """The groups that a part of the likes, which is not empty, belongs to, and how many likes of the part each has.

    `bounds` has the starts of all groups, and the end of the last one.
    """
    first = int(np.searchsorted(bounds, part.start, "right")) - 1
    last = int(np.searchsorted(bounds, part.stop, "left"))
    within = np.clip(bounds[first : last + 1], part.start, part.stop)
    return slice(first, last), within[1:] - within[:-1]


def _by_blocks(
    sequence: _Sequence,
    reach: _Reach,
    count: Callable[[slice], list[csr_matrix]],
    batch_bytes: int,
    threads: int,
    progress: Progress | None,
) -> list[list[csr_matrix]]:
    """What `count` returns for all movies, given some movies at a time."""
    n_movies, threads = len(sequence.starts) - 1, thread_count(threads)
    pairs = np.zeros(n_movies)
    for part in _parts(len(sequence.movie)):
        pairs += np.bincount(sequence.movie[part], reach.stop[part] - reach.start[part], n_movies)
    needed = np.cumsum(_PAIR_BYTES * pairs).astype(np.int64)
    blocks = []
    with ThreadPoolExecutor(threads) as pool:
        movies = list(batches(needed, max(1, batch_bytes // threads))) or [slice(0, 0)]
        for done, block in zip(movies, pool.map(count, movies), strict=True):
            blocks.append(block)
            if progress is not None and done.stop:
                progress(done.stop, n_movies)
    return blocks


def _stacked(blocks: list[list[csr_matrix]]) -> list[csr_matrix]:
    """Each matrix as a whole, from all matrices for some movies at a time; the blocks are given up on the way."""
    return [vstack([block.pop(0) for block in blocks], format="csr", dtype=np.float32) for _ in range(len(blocks[0]))]


def strongest(matrix: csr_matrix, kept: int) -> csr_matrix:
    """The largest entries of each row that are more than 0, at most `kept`; of equal ones, the first columns."""
    chosen = matrix.data > 0
    for row in np.flatnonzero(np.diff(matrix.indptr) > kept):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        values, columns = matrix.data[part], matrix.indices[part]
        least = np.partition(values, -kept)[-kept]
        above, equal = values > least, values == least
        last = np.sort(columns[equal])[kept - np.count_nonzero(above) - 1]
        chosen[part] &= above | (equal & (columns <= last))
    indptr = np.concatenate([[0], np.cumsum(chosen)])[matrix.indptr]
    found = csr_matrix((matrix.data[chosen], matrix.indices[chosen], indptr), shape=matrix.shape)
    found.sort_indices()
    return found
