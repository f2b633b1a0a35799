"""Interactions of users with movies and their times, as a sparse matrix.

Belongs here: the matrix with its times, and the maps between MovieLens ids and its rows and columns. Does not: dividing
the matrix (`split`) and learning from it (`als`).
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix, csr_matrix, vstack

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.native import library

IntArray = npt.NDArray[np.integer[Any]]
FloatArray = npt.NDArray[np.floating[Any]]
BoolArray = npt.NDArray[np.bool_]
Arrays = dict[str, npt.NDArray[Any]]
"""Named arrays, as artifacts are stored."""

NEVER = np.iinfo(np.int64).min
"""In place of the time of the latest interaction of users without any."""

_ENTRIES = 1 << 20
"""Entries that are gathered at a time: temporary arrays of 8 MB."""


@dataclass(frozen=True)
class IdMaps:
    """Ids of the rows (users) and columns (movies) of a matrix.

    Attributes
    ----------
    user_ids, movie_ids : int32 array, shapes (n_users,) and (n_movies,)
        Strictly increasing; the position of an id is its row or column.
    """

    user_ids: IntArray
    movie_ids: IntArray

    def __post_init__(self) -> None:
        for name, ids in (("user_ids", self.user_ids), ("movie_ids", self.movie_ids)):
            if np.any(np.diff(ids) <= 0):
                raise RecsysError(f"{name} must be strictly increasing; sort them and drop repeats.")

    @classmethod
    def of(cls, user_ids: IntArray, movie_ids: IntArray) -> IdMaps:
        """Map the distinct ids of two columns of interactions."""
        return cls(distinct(user_ids).astype(np.int32), distinct(movie_ids).astype(np.int32))

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of a matrix over these ids."""
        return len(self.user_ids), len(self.movie_ids)

    def users_at(self, user_ids: IntArray) -> IntArray:
        """Rows of users; -1 for a user that is not in the map."""
        return positions(self.user_ids, user_ids)

    def movies_at(self, movie_ids: IntArray) -> IntArray:
        """Columns of movies; -1 for a movie that is not in the map."""
        return positions(self.movie_ids, movie_ids)


def distinct(ids: IntArray) -> IntArray:
    """The distinct ids, increasing: `numpy.unique`, without a sort where ids are dense."""
    if not _dense(ids, len(ids)):
        return np.unique(ids)
    present = np.zeros(int(ids.max()) + 1, dtype=np.bool_)
    present[ids] = True
    return np.flatnonzero(present)


def positions(sorted_ids: IntArray, wanted: IntArray) -> IntArray:
    """Find ids in a sorted array.

    Parameters
    ----------
    sorted_ids : int array, shape (n,)
        Strictly increasing.
    wanted : int array, shape (m,)

    Returns
    -------
    int32 array, shape (m,)
        Position in `sorted_ids`; -1 for an id that is not in it.
    """
    if len(sorted_ids) == 0:
        return np.full(len(wanted), -1, dtype=np.int32)
    if _dense(wanted, len(wanted)) and _dense(sorted_ids, len(wanted)):
        table = np.full(max(int(sorted_ids[-1]), int(wanted.max())) + 1, -1, dtype=np.int32)
        table[sorted_ids] = np.arange(len(sorted_ids), dtype=np.int32)
        found: IntArray = table[wanted]
        return found
    at = np.searchsorted(sorted_ids, wanted)
    at[at == len(sorted_ids)] = 0
    return np.where(sorted_ids[at] == wanted, at, -1).astype(np.int32)


def _dense(ids: IntArray, entries: int) -> bool:
    """Whether a table with a cell for every id up to the highest is worth it for this many look-ups."""
    return len(ids) > 0 and int(ids.min()) >= 0 and int(ids.max()) < 4 * entries


@dataclass(frozen=True)
class Interactions:
    """Ratings of users for movies with their times, as one sparse matrix.

    Attributes
    ----------
    stars : csr_matrix of float32, shape (n_users, n_movies)
        The rating in stars where there is one; indices sorted within a row, no repeats.
    rated_at : int64 array, shape (stars.nnz,)
        Unix seconds, in the order of `stars.data`.
    """

    stars: csr_matrix
    rated_at: IntArray

    @classmethod
    def from_triplets(
        cls, users: IntArray, movies: IntArray, stars: FloatArray, rated_at: IntArray, shape: tuple[int, int]
    ) -> Interactions:
        """Build the matrix from parallel arrays of rows, columns, stars and times, in any order.

        Raises
        ------
        RecsysError
            When a pair of user and movie occurs twice.
        """
        stars, rated_at = np.asarray(stars, dtype=np.float32), np.asarray(rated_at, dtype=np.int64)
        if _in_order(users, movies, shape):  # as MovieLens' files are
            indptr = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=shape[0]))])
            return cls(_csr(stars, movies, indptr, shape), rated_at)
        # A matrix of positions orders stars and times alike; through the CSC format, rows come out sorted.
        layout = coo_matrix((np.arange(len(users)), (users, movies)), shape=shape)
        layout.has_canonical_format = True  # else scipy adds repeated entries up
        rows = layout.tocsc().tocsr()
        _refuse_repeats(int(np.sum(_repeats(rows))))
        return cls(_csr(stars[rows.data], rows.indices, rows.indptr, shape), rated_at[rows.data])

    @property
    def shape(self) -> tuple[int, int]:
        """Users and movies."""
        return int(self.stars.shape[0]), int(self.stars.shape[1])

    def __len__(self) -> int:
        return int(self.stars.nnz)

    @property
    def per_user(self) -> IntArray:
        """Interactions of each user, shape (n_users,)."""
        counts: IntArray = np.diff(self.stars.indptr)
        return counts

    @property
    def per_movie(self) -> IntArray:
        """Interactions with each movie, shape (n_movies,)."""
        return np.bincount(self.stars.indices, minlength=self.shape[1])

    @property
    def latest(self) -> IntArray:
        """Unix seconds of the latest interaction of each user, int64, shape (n_users,); `NEVER` where there is none."""
        latest, some = np.full(self.shape[0], NEVER), np.flatnonzero(self.per_user)
        if len(some):
            latest[some] = np.maximum.reduceat(self.rated_at, self.stars.indptr[some])
        return latest

    def weighted(self, weights: FloatArray | None = None) -> csr_matrix:
        """The matrix with weights in place of the stars, in the order of `stars.data`; with ones by default."""
        values = np.ones(len(self), dtype=np.float32) if weights is None else weights
        return csr_matrix((values, self.stars.indices, self.stars.indptr), shape=self.shape)

    def triplets(self) -> tuple[IntArray, IntArray, FloatArray, IntArray]:
        """Users, movies, stars and times as parallel arrays, ordered by user then movie."""
        users = np.repeat(np.arange(self.shape[0], dtype=np.int32), self.per_user)
        return users, self.stars.indices, self.stars.data, self.rated_at

    def union(self, *others: Interactions) -> Interactions:
        """All interactions of disjoint parts of the same matrix.

        Raises
        ------
        RecsysError
            When shapes differ or a pair occurs in two parts.
        """
        parts = (self, *others)
        if {part.shape for part in others} - {self.shape}:
            raise RecsysError(f"Parts of one matrix must have one shape, not {[part.shape for part in parts]}.")
        whole = Interactions(self.stars, self.rated_at)
        for part in others:
            whole = _merged(whole, part)
        return whole

    def only(self, chosen: BoolArray) -> Interactions:
        """The chosen interactions, in a matrix of the same shape.

        Parameters
        ----------
        chosen : bool array, shape (nnz,)
            In the order of `stars.data`.
        """
        kept = np.flatnonzero(chosen)
        indptr = np.searchsorted(kept, self.stars.indptr)
        return Interactions(
            _csr(self.stars.data[kept], self.stars.indices[kept], indptr, self.shape), self.rated_at[kept]
        )

    def rows(self, chosen: IntArray) -> Interactions:
        """The matrix of some users, in the order given."""
        starts, lengths = self.stars.indptr[:-1][chosen], self.per_user[chosen]
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        columns = self.stars.data, self.stars.indices, self.rated_at
        found = [np.empty(indptr[-1], column.dtype) for column in columns]
        bounds = np.unique(np.searchsorted(indptr, np.arange(0, indptr[-1], _ENTRIES)))
        for first, last in itertools.pairwise([*bounds.tolist(), len(lengths)]):
            part = slice(indptr[first], indptr[last])
            entries = np.arange(part.start, part.stop)
            entries += np.repeat(starts[first:last] - indptr[first:last], lengths[first:last])
            for column, into in zip(columns, found, strict=True):
                np.take(column, entries, out=into[part], mode="clip")  # "raise" would gather into a buffer
        data, indices, rated_at = found
        return Interactions(_csr(data, indices, indptr, (len(lengths), self.shape[1])), rated_at)

    def between(self, start: int, stop: int) -> Interactions:
        """The matrix of the users from `start` to before `stop`, as a view."""
        first, last = self.stars.indptr[start], self.stars.indptr[stop]
        indptr = self.stars.indptr[start : stop + 1] - first
        stars = _csr(
            self.stars.data[first:last], self.stars.indices[first:last], indptr, (len(indptr) - 1, self.shape[1])
        )
        return Interactions(stars, self.rated_at[first:last])

    @classmethod
    def stacked(cls, parts: Sequence[Self]) -> Self:
        """The rows of several matrices over the same movies, one matrix after the other; at least one matrix."""
        stars = vstack([part.stars for part in parts], format="csr")
        stars.has_canonical_format = True
        return cls(stars, np.concatenate([part.rated_at for part in parts]))

    def time_order(self) -> tuple[IntArray, IntArray]:
        """The interactions in order: by user, then time, then movie.

        Returns
        -------
        order : int array, shape (nnz,)
            Indices of interactions.
        starts : int array, shape (n_moments,)
            Places in `order` at which another user or another time begins.
        """
        if library.why_not() is None:
            from movierec_assets.recsys.native import ordering  # noqa: PLC0415 - it imports `implicit`

            ordered, is_new = ordering.time_order(self.stars.indptr, self.rated_at)
            return ordered, np.flatnonzero(is_new)
        row_starts = np.repeat(self.stars.indptr[:-1], self.per_user)
        users = np.arange(self.shape[0], dtype=np.int64)
        latest, earliest = (int(self.rated_at.max()), int(self.rated_at.min())) if len(self) else (0, 0)
        span, bits = latest - earliest + 1, int(self.per_user.max(initial=0)).bit_length()
        if (self.shape[0] * span) << bits < np.iinfo(np.int64).max:
            # User, time and place in the row in one number: sorts fastest, and leaves each user's part where it is.
            packed = np.repeat(users * span - earliest, self.per_user) + self.rated_at
            packed <<= bits
            packed += np.arange(len(self)) - row_starts
            packed.sort()
            new = np.diff(packed >> bits) != 0
            order = (packed & ((1 << bits) - 1)) + row_starts
        else:
            of_user = np.repeat(users, self.per_user)
            order = np.lexsort((self.rated_at, of_user))
            new = (np.diff(of_user[order]) != 0) | (np.diff(self.rated_at[order]) != 0)
        return order, np.flatnonzero(np.concatenate([[len(self) > 0], new]))

    def recency_rank(self) -> IntArray:
        """How many interactions of the same user are later than each one.

        Returns
        -------
        int32 array, shape (nnz,)
            0 for a user's latest. Equal times share the mean of their ranks, rounded down, so that the order of rows in
            a file never matters.
        """
        if library.why_not() is None:
            from movierec_assets.recsys.native import ordering  # noqa: PLC0415 - it imports `implicit`

            return ordering.recency_ranks(self.stars.indptr, self.rated_at)
        order, starts = self.time_order()
        sizes = np.diff(np.append(starts, len(self)))
        # Sorting keeps users together, so the likes after a moment are those up to the end of the user's row.
        user_end = np.repeat(self.stars.indptr[1:], self.per_user)[starts]
        rank = np.empty(len(self), dtype=np.int32)
        rank[order] = np.repeat((user_end - starts - sizes + (sizes - 1) // 2).astype(np.int32), sizes)
        return rank

    def fingerprint(self) -> str:
        """SHA-256 of the matrix: equal exactly when shape, rows, columns, stars and times are."""
        digest = hashlib.sha256(repr(self.shape).encode())
        for array in (self.stars.indptr, self.stars.indices, self.stars.data, self.rated_at):
            digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
        return digest.hexdigest()

    def to_arrays(self) -> Arrays:
        """Arrays under the names that `scipy.sparse.load_npz` reads, and `rated_at`."""
        return {
            "format": np.array(b"csr"),
            "shape": np.array(self.shape),
            "indptr": self.stars.indptr,
            "indices": self.stars.indices,
            "data": self.stars.data,
            "rated_at": self.rated_at,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Read back the arrays of `to_arrays`."""
        stars = csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=tuple(arrays["shape"]))
        stars.has_sorted_indices = True
        return cls(stars, arrays["rated_at"])


def writable(matrix: csr_matrix) -> csr_matrix:
    """The matrix with arrays that may be written: `implicit` accepts no read-only ones, which are copied."""
    parts = [np.require(each, requirements="W") for each in (matrix.data, matrix.indices, matrix.indptr)]
    return csr_matrix(tuple(parts), shape=matrix.shape, copy=False)


def _csr(values: npt.NDArray[Any], indices: IntArray, indptr: IntArray, shape: tuple[int, int]) -> csr_matrix:
    """A matrix of entries that are sorted and without repeats."""
    matrix = csr_matrix((values, indices, indptr), shape=shape, copy=False)
    matrix.has_canonical_format = True
    return matrix


def _merged(some: Interactions, others: Interactions) -> Interactions:
    """Two parts of one matrix as one: the pairs of the smaller part are inserted into the larger one."""
    larger, smaller = (some, others) if len(some) >= len(others) else (others, some)
    keys, new = _pair_keys(larger), _pair_keys(smaller)
    at = np.searchsorted(keys, new)
    within = at < len(keys)
    _refuse_repeats(int(np.sum(keys[at[within]] == new[within])))
    is_new = np.zeros(len(keys) + len(new), dtype=np.bool_)
    is_new[at + np.arange(len(new))] = True

    def both(known: npt.NDArray[Any], added: npt.NDArray[Any]) -> npt.NDArray[Any]:
        joined = np.empty(len(is_new), dtype=np.result_type(known, added))
        joined[~is_new], joined[is_new] = known, added
        return joined

    stars, indices = (both(getattr(larger.stars, name), getattr(smaller.stars, name)) for name in ("data", "indices"))
    indptr = np.add(larger.stars.indptr, smaller.stars.indptr, dtype=np.int64)
    return Interactions(_csr(stars, indices, indptr, some.shape), both(larger.rated_at, smaller.rated_at))


def _pair_keys(part: Interactions) -> IntArray:
    """A number for each pair of user and movie, increasing as rows are sorted."""
    users = np.arange(part.shape[0], dtype=np.int64) * part.shape[1]
    keys: IntArray = np.repeat(users, part.per_user)
    keys += part.stars.indices
    return keys


def _in_order(users: IntArray, movies: IntArray, shape: tuple[int, int]) -> bool:
    """Whether pairs increase, by user, then movie, and are all within the shape."""
    if len(users) == 0:
        return True
    within = users[0] >= 0 and users[-1] < shape[0] and movies.min() >= 0 and movies.max() < shape[1]
    same, step = users[1:] == users[:-1], users[1:] > users[:-1]
    return bool(within and np.all(step | (same & (movies[1:] > movies[:-1]))))


def _repeats(matrix: csr_matrix) -> BoolArray:
    """Mark entries that have the row and column of the entry before them; rows must be sorted."""
    again: BoolArray = matrix.indices[1:] == matrix.indices[:-1]
    starts = matrix.indptr[1:-1]
    again[starts[(starts > 0) & (starts < matrix.nnz)] - 1] = False
    return again


def _refuse_repeats(count: int) -> None:
    if count:
        raise RecsysError(f"{count} interactions repeat a pair of user and movie; keep the latest of each.")
