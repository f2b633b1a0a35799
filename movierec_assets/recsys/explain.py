"""Why a movie is recommended: the part of its score that each like of the user's history adds.

Belongs here: splitting the score of a folded-in vector, and the next-movie signal. Does not: solving the vectors
(`als`), and ordering the sums of both (`moment`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.sparse import csr_matrix

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, IntArray


@dataclass(frozen=True)
class Explanation:
    """The scores of some movies for one user, split into summands.

    Attributes
    ----------
    because_of : float64 array, shape (n_wanted, n_liked)
        What each like adds through the user's vector.
    after : float64 array, shape (n_wanted, n_liked)
        What each like adds through the next-movie signal.
    """

    because_of: FloatArray
    after: FloatArray

    @property
    def scores(self) -> FloatArray:
        """Sums of both parts, shape (n_wanted,)."""
        total: FloatArray = self.because_of.sum(axis=1) + self.after.sum(axis=1)
        return total


def contributions(
    movie_factors: FloatArray,
    history: IntArray,
    confidences: FloatArray,
    regularization: float,
    wanted: IntArray,
    gram: FloatArray | None = None,
    *,
    less_the_mean: bool = False,
) -> FloatArray:
    """Split the scores of a folded-in user into one summand for each movie of the history.

    With the movie vectors y, the confidences c of the history and

        A = sum over all movies of y y^T + regularization I + sum over the history of (c_j - 1) y_j y_j^T,

    the user's vector is A^-1 sum_j c_j y_j, so the score of movie i is the sum of c_j y_j^T A^-1 y_i.

    Parameters
    ----------
    movie_factors : float array, shape (n_movies, factors)
    history : int array, shape (n_liked,)
        Rows of `movie_factors`.
    confidences : float array, shape (n_liked,)
        Of each like, not negative, see `confidence.interaction_weights`.
    regularization : float
        Of the fold-in.
    wanted : int array, shape (n_wanted,)
        Rows of the movies to explain.
    gram : float array, shape (factors, factors), optional
        Y^T Y of all movie factors, to save computing it for each of many users.
    less_the_mean : bool
        Split the differences between the scores and the user's mean score over all movies.

    Returns
    -------
    float64 array, shape (n_wanted, n_liked)
        Rows sum to the scores; a negative summand speaks against the movie.

    Raises
    ------
    RecsysError
        When confidences and likes differ in number, a confidence is negative, or the user's vector is not determined.

    References
    ----------
    Hu, Koren and Volinsky (2008), Collaborative filtering for implicit feedback datasets, section 5.
    """
    if len(history) != len(confidences):
        raise RecsysError(f"{len(confidences)} confidences for {len(history)} likes; give one for each.")
    if np.any(np.less(confidences, 0)):
        raise RecsysError("A like with a negative confidence cannot be explained; leave it out.")
    liked = movie_factors[history].astype(np.float64)
    weight = np.asarray(confidences, dtype=np.float64)[:, None]
    if gram is None:
        gram = movie_factors.T @ movie_factors
    a = gram + regularization * np.eye(len(gram)) + liked.T @ ((weight - 1) * liked)
    explained = movie_factors[wanted].astype(np.float64)
    if less_the_mean:
        explained -= movie_factors.mean(axis=0, dtype=np.float64)
    try:
        solved = cho_solve(cho_factor(a), explained.T)
    except LinAlgError as error:
        raise RecsysError(f"The user's vector is not determined ({error}); raise the regularization.") from error
    summands: FloatArray = (weight * liked @ solved).T
    return summands


def signal_contributions(
    followers: csr_matrix, history: IntArray, recency: FloatArray, wanted: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Split the next-movie signal of a user into one summand for each like, and the mean signal over all movies.

    Parameters
    ----------
    followers : csr_matrix, shape (n_movies, n_movies)
        See `next_movies.NextMovies`.
    history : int array, shape (n_liked,)
        Rows of `followers`.
    recency : float array, shape (n_liked,)
        Recency weight of each like; 0 for likes that add nothing.
    wanted : int array, shape (n_wanted,)
        Columns of the movies to explain.

    Returns
    -------
    summands : float64 array, shape (n_wanted, n_liked)
        Rows sum to the signals.
    means : float64 array, shape (n_liked,)
        Mean of each like's summand over all movies.
    """
    recency, counted = np.asarray(recency, dtype=np.float64), np.flatnonzero(recency)
    rows = followers[history[counted]].astype(np.float64)
    rows.data *= np.repeat(recency[counted], np.diff(rows.indptr))
    summands, means = np.zeros((len(wanted), len(history))), np.zeros(len(history))
    summands[:, counted] = rows[:, wanted].toarray().T
    means[counted] = np.asarray(rows.sum(axis=1)).ravel() / max(1, followers.shape[1])
    return summands, means
