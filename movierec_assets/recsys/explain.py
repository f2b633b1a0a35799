"""Why a movie is recommended: the part of its score that each like of the user's history adds.

Belongs here: splitting a folded-in score. Does not: solving the vectors (`als`) and ordering the scores (`ranking`).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, IntArray


def contributions(
    movie_factors: FloatArray,
    history: IntArray,
    confidences: FloatArray,
    regularization: float,
    wanted: IntArray,
    gram: FloatArray | None = None,
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
    try:
        solved = cho_solve(cho_factor(a), movie_factors[wanted].T.astype(np.float64))
    except LinAlgError as error:
        raise RecsysError(f"The user's vector is not determined ({error}); raise the regularization.") from error
    summands: FloatArray = (weight * liked @ solved).T
    return summands
