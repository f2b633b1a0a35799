"""Which movies are liked soon after which: transitions between the likes of all users.

Belongs here: counting the transitions, the matrix of them, and a user's signal from it. Does not: the numbers that
decide the matrix (`recipe.NextMovie`), and the scores that the signal is added to (`moment`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, vstack

from movierec_assets.progress import Progress
from movierec_assets.recsys.batches import BATCH_BYTES, batches
from movierec_assets.recsys.interactions import Arrays, IntArray, Interactions, positions
from movierec_assets.recsys.recipe import NextMovie
from movierec_assets.recsys.split import Split

MAX_FOLLOWERS = 500
"""Strongest followers that are kept of each movie."""

MIN_RECENCY = 0.03
"""Likes whose recency weight is below this add nothing to a signal: those that are older than 3.5 times tau."""

_PREFIX = "next_"


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
        progress: Progress | None = None,
    ) -> Self:
        """Count the transitions in positives. Likes of one user in the same second have no order and do not count.

        Parameters
        ----------
        positives : Interactions, shape (n_users, n_movies)
        signal : NextMovie
        batch_bytes : int
            Memory for the temporary arrays of one block.
        progress : callable, optional
            Called with the number of movies done, and of all movies.
        """
        sequence = _Sequence.of(positives, signal)
        return cls(_pruned(sequence, batch_bytes, progress))

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
    split: Split, signal: NextMovie, *, batch_bytes: int = BATCH_BYTES, progress: Progress | None = None
) -> tuple[NextMovies, NextMovies]:
    """The matrices of everything before the test part, and of everything."""
    history = NextMovies.of(split.history, signal, batch_bytes=batch_bytes, progress=progress)
    return history, NextMovies.of(split.positives, signal, batch_bytes=batch_bytes, progress=progress)


def recency_weights(histories: Interactions, tau: float) -> csr_matrix:
    """`exp(-rank / tau)` of each user's latest likes, those from `MIN_RECENCY` on, shape (n_users, n_movies)."""
    weights = np.exp(-histories.recency_rank() / np.float32(tau)).astype(np.float32)
    recent = histories.only(weights >= MIN_RECENCY)
    return recent.weighted(weights[weights >= MIN_RECENCY])


@dataclass(frozen=True)
class _Sequence:
    """The likes of all users in the order of time, user by user.

    Attributes
    ----------
    movie, rated_at : int array, shape (n_likes,)
    end : int array, shape (n_likes,)
        Where the likes of the same user end.
    by_movie : int array, shape (n_likes,)
        Positions of the likes, in the order of movies.
    starts : int array, shape (n_movies + 1,)
        Where the likes of each movie start in `by_movie`.
    """

    movie: IntArray
    rated_at: IntArray
    end: IntArray
    by_movie: IntArray
    starts: IntArray
    signal: NextMovie

    @classmethod
    def of(cls, positives: Interactions, signal: NextMovie) -> Self:
        users, movies, _, rated_at = positives.triplets()
        order = np.lexsort((rated_at, users))
        movie = movies[order]
        return cls(
            movie,
            rated_at[order],
            np.repeat(positives.stars.indptr[1:].astype(np.int64), positives.per_user),
            np.argsort(movie, kind="stable"),
            np.concatenate([[0], np.cumsum(positives.per_movie)]),
            signal,
        )

    def transitions(self, first: int, last: int) -> csr_matrix:
        """Sums of transitions from some movies, shape (last - first, n_movies)."""
        likes = self.by_movie[self.starts[first] : self.starts[last]]
        window, n_movies = self.signal.window, len(self.starts) - 1
        after = likes[:, None] + np.arange(1, window + 1)
        within = after < self.end[likes][:, None]
        after[~within] = 0
        within &= self.rated_at[after] > self.rated_at[likes][:, None]
        decay = (self.signal.decay ** np.arange(window)).astype(np.float32)
        followers = csr_matrix(
            (
                np.where(within, decay, np.float32(0)).ravel(),
                self.movie[after].ravel(),
                np.arange(0, len(likes) * window + 1, window),
            ),
            shape=(len(likes), n_movies),
        )
        starts = self.starts[first : last + 1] - self.starts[first]
        of_movie = csr_matrix((np.ones(len(likes), np.float32), np.arange(len(likes)), starts))
        of_movie.resize(last - first, len(likes))
        found = of_movie @ followers
        found.eliminate_zeros()
        return found


def _pruned(sequence: _Sequence, batch_bytes: int, progress: Progress | None) -> csr_matrix:
    """The strongest followers of each movie."""
    n_movies = len(sequence.starts) - 1
    needed = sequence.starts[1:] * (32 * sequence.signal.window)
    blocks = [
        sequence.transitions(batch.start, batch.stop)
        for batch in batches(needed, batch_bytes, progress, max_rows=max(1, n_movies))
    ]
    if not blocks:
        return csr_matrix((n_movies, n_movies), dtype=np.float32)
    counts = vstack(blocks).tocsr()
    out_sum, in_sum = np.asarray(counts.sum(axis=1)).ravel(), np.asarray(counts.sum(axis=0)).ravel()
    by_row = (out_sum + 1.0) ** -sequence.signal.out_exponent
    by_column = (in_sum + 1.0) ** -sequence.signal.in_exponent
    counts.data = (counts.data * np.repeat(by_row, np.diff(counts.indptr)) * by_column[counts.indices]).astype(
        np.float32
    )
    return strongest(counts, MAX_FOLLOWERS)


def strongest(matrix: csr_matrix, kept: int) -> csr_matrix:
    """The largest entries of each row, at most `kept`, indices sorted; of equal ones, the first columns."""
    matrix.sort_indices()
    chosen = np.ones(matrix.nnz, dtype=np.bool_)
    for row in np.flatnonzero(np.diff(matrix.indptr) > kept):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        order = np.argsort(-matrix.data[part], kind="stable")
        chosen[part][order[kept:]] = False
    indptr = np.concatenate([[0], np.cumsum(chosen)])[matrix.indptr]
    return csr_matrix((matrix.data[chosen], matrix.indices[chosen], indptr), shape=matrix.shape)
