"""Who liked what, and when: the sparse matrix everything else works on.

Belongs here: the id maps between MovieLens ids and matrix positions, and the matrix with its timestamps.
How it is divided lives in `split`; what is learned from it in `als`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from movierec_assets.recsys.errors import RecsysError

IntArray = npt.NDArray[np.integer[Any]]
FloatArray = npt.NDArray[np.floating[Any]]
BoolArray = npt.NDArray[np.bool_]
Arrays = dict[str, npt.NDArray[Any]]
"""Named arrays: what an artefact is stored as."""


@dataclass(frozen=True)
class IdMaps:
    """Ids of the rows (users) and columns (movies) of a matrix.

    Attributes
    ----------
    user_ids, movie_ids : int32 array, shapes (n_users,) and (n_movies,)
        Strictly increasing; the place of an id is its row or column.
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
        return cls(np.unique(user_ids).astype(np.int32), np.unique(movie_ids).astype(np.int32))

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
        Place in `sorted_ids`, -1 where there is none.
    """
    if len(sorted_ids) == 0:
        return np.full(len(wanted), -1, dtype=np.int32)
    place = np.searchsorted(sorted_ids, wanted)
    place[place == len(sorted_ids)] = 0
    return np.where(sorted_ids[place] == wanted, place, -1).astype(np.int32)


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
        """Build the matrix from parallel arrays of positions, in any order.

        Raises
        ------
        RecsysError
            When a pair of user and movie occurs twice.
        """
        # A matrix of places instead of values: sorting it once orders values and times alike.
        place = np.arange(len(users), dtype=np.int32)
        layout = csr_matrix((place, (users, movies)), shape=shape)
        if layout.nnz != len(users):
            raise RecsysError(
                f"{len(users) - layout.nnz} interactions repeat a pair of user and movie; keep the latest of each."
            )
        layout.sort_indices()
        order = layout.data
        matrix = csr_matrix(
            (np.asarray(stars, dtype=np.float32)[order], layout.indices, layout.indptr), shape=shape, copy=False
        )
        matrix.has_sorted_indices = True
        return cls(matrix, np.asarray(rated_at, dtype=np.int64)[order])

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
        parts = [part.triplets() for part in (self, *others)]
        if {part.shape for part in others} - {self.shape}:
            raise RecsysError(
                f"Parts of one matrix must have one shape, not {[self.shape, *(o.shape for o in others)]}."
            )
        users, movies, stars, rated_at = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Interactions.from_triplets(users, movies, stars, rated_at, self.shape)

    def rows(self, chosen: IntArray) -> Interactions:
        """The matrix of some users, in the order given."""
        picked = csr_matrix(
            (np.arange(len(self), dtype=np.int64), self.stars.indices, self.stars.indptr), shape=self.shape
        )[chosen]
        stars = csr_matrix((self.stars.data[picked.data], picked.indices, picked.indptr), shape=picked.shape)
        stars.has_sorted_indices = True
        return Interactions(stars, self.rated_at[picked.data])

    def recency_rank(self) -> IntArray:
        """How many interactions of the same user are later than each one.

        Returns
        -------
        int32 array, shape (nnz,)
            0 for a user's latest; equal times share the mean of their places, rounded down, so that the order
            of rows in a file never matters.
        """
        users = np.repeat(np.arange(self.shape[0], dtype=np.int64), self.per_user)
        order = np.lexsort((-self.rated_at, users))
        sorted_users, sorted_times = users[order], self.rated_at[order]
        place = np.arange(len(self)) - self.stars.indptr[:-1][sorted_users]
        starts = np.flatnonzero(
            np.r_[True, (np.diff(sorted_users) != 0) | (np.diff(sorted_times) != 0)] if len(self) else []
        )
        sizes = np.diff(np.r_[starts, len(self)])
        rank = np.empty(len(self), dtype=np.int32)
        rank[order] = np.repeat(place[starts] + (sizes - 1) // 2, sizes)
        return rank

    def fingerprint(self) -> str:
        """SHA-256 of everything in the matrix: equal exactly when shape, places, stars and times are."""
        digest = hashlib.sha256(repr(self.shape).encode())
        for array in (self.stars.indptr, self.stars.indices, self.stars.data, self.rated_at):
            digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
        return digest.hexdigest()

    def to_arrays(self) -> Arrays:
        """Arrays under the names `scipy.sparse.load_npz` reads, and `rated_at`."""
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
        """Read back what `to_arrays` gave."""
        stars = csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=tuple(arrays["shape"]))
        stars.has_sorted_indices = True
        return cls(stars, arrays["rated_at"])
