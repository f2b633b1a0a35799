"""Scores at the moment of the request: ALS and the next-movie signal in one score, and the lists of the highest.

Belongs here: standardizing both parts, the fading of the signal with time, ranking by their sum, and the parts of one
score. Does not: the vectors (`als`), the matrix of transitions (`next_movies`), ranking by vectors alone (`ranking`).

The score of a movie is `(als - mean) / spread + strength * (signal - mean) / spread`, with the means and spreads of the
user's values over all movies. For ALS these follow from the user's vector and the mean and covariance of the movie
factors, so nothing is scored twice. A movie that the signal does not touch has the same signal as all others that it
does not touch, so the best k are among the best k by ALS and the movies that the signal touches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.sparse import csr_matrix

from movierec_assets.progress import Progress
from movierec_assets.recsys import ranking
from movierec_assets.recsys.batches import BATCH_BYTES, batches, stage
from movierec_assets.recsys.interactions import FloatArray, IntArray, Interactions
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.ranking import EMPTY, TopK
from movierec_assets.recsys.recipe import NextMovie
from movierec_assets.recsys.threads import ALL_CORES

HOUR = 3600.0

MIN_FADE = 1e-3
"""A signal that has faded below this share does not count any more: after seven times `fade_hours`."""

_ENTRY_BYTES = 48
"""Memory for a movie that a user's signal touches."""


def strength(signal: NextMovie, elapsed: FloatArray | IntArray) -> FloatArray:
    """Factor of the standardized signal for each number of seconds since the latest like, shape of `elapsed`."""
    fade = np.exp(-np.asarray(elapsed, dtype=np.float64) / (signal.fade_hours * HOUR))
    strengths: FloatArray = np.where(fade < MIN_FADE, 0.0, signal.weight * fade)
    return strengths


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
        mean = movie_factors.mean(axis=0, dtype=np.float64)
        centred = movie_factors - mean
        return cls(mean, centred.T @ centred / max(1, len(movie_factors)))

    def of_users(self, vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and spread (standard deviation) of each user's scores over all movies, both of shape (n_users,).

        The spread is 1 where all scores are equal.
        """
        vectors = vectors.astype(np.float64)
        variance = np.einsum("uf,fg,ug->u", vectors, self.covariance, vectors, optimize=True)
        return vectors @ self.mean, _positive(np.sqrt(np.maximum(variance, 0.0)))


def spread_of_rows(signal: csr_matrix) -> tuple[FloatArray, FloatArray]:
    """Mean and spread of each row over all columns, shape (n_rows,); the spread is 1 where all values are equal."""
    n = max(1, signal.shape[1])
    mean = np.asarray(signal.sum(axis=1, dtype=np.float64)).ravel() / n
    squares = np.asarray(signal.multiply(signal).sum(axis=1, dtype=np.float64)).ravel() / n
    return mean, _positive(np.sqrt(np.maximum(squares - mean**2, 0.0)))


def _positive(spread: FloatArray) -> FloatArray:
    return np.where(spread > 0, spread, 1.0)


def recommend(
    vectors: FloatArray,
    movie_factors: FloatArray,
    histories: Interactions,
    seen: csr_matrix,
    k: int,
    *,
    next_movies: NextMovies,
    signal: NextMovie,
    elapsed: FloatArray | IntArray,
    spread: Spread | None = None,
    batch_bytes: int = BATCH_BYTES,
    threads: int = ALL_CORES,
    progress: Progress | None = None,
) -> TopK:
    """Rank the k movies with the highest scores that each user has not seen; equal scores keep the order of columns.

    Parameters
    ----------
    vectors : float32 array, shape (n_users, factors)
    movie_factors : float32 array, shape (n_movies, factors)
    histories : Interactions, shape (n_users, n_movies)
        Likes, from which the signal follows.
    seen : csr_matrix, shape (n_users, n_movies)
        Left out of the lists.
    k : int
    next_movies : NextMovies
    signal : NextMovie
    elapsed : array, shape (n_users,)
        Seconds between a user's latest like and the request.
    spread : Spread, optional
        Of the movie factors, to save computing it.
    batch_bytes, threads, progress
        As for `ranking.recommend`.

    Returns
    -------
    TopK, shape (n_users, k)
    """
    mean, deviation = (spread or Spread.of(movie_factors)).of_users(vectors)
    scaled = (vectors / deviation[:, None]).astype(np.float32)
    lists = ranking.recommend(
        scaled,
        movie_factors,
        seen,
        k,
        batch_bytes=batch_bytes,
        threads=threads,
        progress=stage(progress, 0, 2),
    )
    factor = strength(signal, elapsed)
    lengths = np.linalg.norm(movie_factors, axis=1)
    needed = _ENTRY_BYTES * np.cumsum(_touched_at_most(histories, next_movies, signal.tau))
    for batch in batches(needed, batch_bytes, stage(progress, 1, 2)):
        rows = batch.start + np.flatnonzero(factor[batch] > 0)
        if len(rows):
            touched = next_movies.signal(histories.rows(rows), signal.tau)
            _insert(lists, rows, scaled, movie_factors, lengths, touched, factor[rows], seen[rows])
    lists.scores[:] -= (mean / deviation)[:, None]
    return lists


def _touched_at_most(histories: Interactions, next_movies: NextMovies, tau: float) -> IntArray:
    """A bound of the movies that each user's signal touches, shape (n_users,)."""
    recent = int(np.ceil(3.6 * tau)) + 1
    largest = int(np.diff(next_movies.matrix.indptr).max(initial=0))
    touched: IntArray = np.minimum(np.minimum(histories.per_user, recent) * largest, histories.shape[1]) + 1
    return touched


def _insert(
    lists: TopK,
    rows: IntArray,
    scaled: FloatArray,
    movie_factors: FloatArray,
    lengths: FloatArray,
    touched: csr_matrix,
    factor: FloatArray,
    seen: csr_matrix,
) -> None:
    """Rank lists by ALS again, with the signal added; scores are then without the mean of ALS."""
    n_movies, k = len(movie_factors), lists.items.shape[1]
    mean, deviation = spread_of_rows(touched)
    share = factor / deviation
    users = np.repeat(np.arange(len(rows)), np.diff(touched.indptr))
    added = touched.data * share[users]
    # What the signal adds must lift a movie over the k-th of the list; vectors give at most the product of lengths.
    enough = np.where(np.isnan(lists.scores[rows, -1]), -np.inf, lists.scores[rows, -1])
    longest = np.linalg.norm(scaled[rows], axis=1) * (1 + 1e-4)
    possible = added + longest[users] * lengths[touched.indices] >= enough[users]
    keys = users[possible].astype(np.int64) * n_movies + touched.indices[possible]
    listed_rows, listed_columns = np.nonzero(lists.items[rows] != EMPTY)
    listed = listed_rows.astype(np.int64) * n_movies + lists.items[rows][listed_rows, listed_columns]
    known = np.repeat(np.arange(len(rows), dtype=np.int64) * n_movies, np.diff(seen.indptr)) + seen.indices
    candidates = np.setdiff1d(np.union1d(keys, listed), known, assume_unique=True)
    user, movie = candidates // n_movies, candidates % n_movies
    all_keys = users.astype(np.int64) * n_movies + touched.indices
    order = np.argsort(all_keys, kind="stable")
    at = np.minimum(np.searchsorted(all_keys, candidates, sorter=order), max(0, len(all_keys) - 1))
    signal = np.zeros(len(candidates))
    if len(all_keys):
        found = all_keys[order[at]] == candidates
        signal[found] = added[order[at[found]]]
    score = np.einsum("cf,cf->c", scaled[rows][user], movie_factors[movie]) + signal - (share * mean)[user]
    best = np.lexsort((movie, -score, user))
    user, movie, score = user[best], movie[best], score[best]
    counts = np.bincount(user, minlength=len(rows))
    position = np.arange(len(user)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = position < k
    lists.items[rows], lists.scores[rows] = EMPTY, np.nan
    lists.items[rows[user[kept]], position[kept]] = movie[kept]
    lists.scores[rows[user[kept]], position[kept]] = score[kept]
