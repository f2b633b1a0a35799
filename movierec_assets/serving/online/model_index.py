"""The champion, arranged for answering one user at a time.

Belongs here: what is computed once per champion: movies by the length of their vectors, the Gram matrix, means and
spreads. Does not: users (`person`), and selecting the best movies (`best`).
"""

from __future__ import annotations

import numpy as np

from movierec_assets.recsys import one_user
from movierec_assets.recsys.confidence import BM25_B, BM25_K1
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.recsys.moment import EQUAL
from movierec_assets.recsys.native import library
from movierec_assets.recsys.native.ranking import BestOfOne, Movies
from movierec_assets.recsys.next_movies import MIN_RECENCY
from movierec_assets.serving.online.movie_index import Catalogued, MovieIndex
from movierec_assets.serving.online.snapshot import Champion

LIKED_STARS = 4.5
"""Stars of a movie that is liked without a rating."""


class ModelIndex:
    """The movies of a champion, longest vectors first.

    Attributes
    ----------
    movies : MovieIndex
        Of the n movies of the champion; places are by falling length of the vectors.
    factors : float32 array, shape (n, factors)
    lengths : float32 array, shape (n,)
        Of the vectors; falling.
    reciprocals : float32 array, shape (n,)
        Of the lengths; 0 for a zero vector.
    rising : float32 array, shape (n,)
        The lengths in reverse.
    columns : int array, shape (n,)
        Of the champion's recommender, of each place.
    places : int32 array, shape (n,)
        Of each column.
    regularized : float64 array, shape (factors, factors)
        Sum of the outer products of all vectors, and the regularization of the recipe on the diagonal.
    mean, covariance : float64 array, shapes (factors,) and (factors, factors)
        Of the vectors.
    recency : float32 array, shape (n_recent,)
        Recency weights of the latest likes by their ranks, see `next_movies.recency_weights`; older ones have none.
    native_best : BestOfOne or None
        None without the native library.
    on : bool
        Whether scores are standardized, with the next-movie signal added.
    """

    def __init__(self, champion: Champion, catalogued: Catalogued) -> None:
        recommender = champion.recommender
        self.champion, self.recommender = champion, recommender
        by_length = Movies.of(recommender.movie_factors)
        self.columns, self.places = by_length.columns, by_length.places
        self.native_best = None if library.why_not() else BestOfOne(by_length)
        self.factors = np.ascontiguousarray(by_length.vectors[:, : recommender.movie_factors.shape[1]])
        self.lengths = by_length.lengths
        self.reciprocals = np.divide(1.0, self.lengths, out=np.zeros(len(self.lengths)), where=self.lengths > 0).astype(
            np.float32
        )
        self.rising = self.lengths[::-1].copy()
        rows = catalogued.rows_of(recommender.ids.movie_ids[self.columns])
        if len(rows) and rows.min() < 0:
            raise RecsysError("The champion has movies that the catalogue lacks; use `Recommender.within`.")
        self.movies = MovieIndex(catalogued, rows, champion.likes[self.columns])
        spread = recommender.scorer.spread
        self.mean, self.covariance, self.on = spread.mean, spread.covariance, recommender.scorer.on
        exact = self.factors.astype(np.float64)
        self.regularized = exact.T @ exact + recommender.recipe.regularization * np.eye(exact.shape[1])
        self._solve = one_user.solver(self.factors, recommender.recipe.regularization)
        self._trace = float(np.trace(self.covariance) + self.mean @ self.mean)
        # A user has no more likes than there are movies.
        ranks = np.arange(len(self) + 1)
        self._by_rank = np.float32(recommender.recipe.alpha) * recommender.recipe.fold_in.weights(ranks)
        recency = np.exp(-ranks / np.float32(recommender.recipe.next_movie.tau)).astype(np.float32)
        self.recency = recency[recency >= MIN_RECENCY]
        self._weights = recommender.confidence.movie_weight[self.columns]

    def __len__(self) -> int:
        return len(self.columns)

    def confidences(self, liked: IntArray, stars: FloatArray, ranks: IntArray) -> FloatArray:
        """Confidence of each like of one user: `confidence.interaction_weights`, without a matrix.

        Parameters
        ----------
        liked : int array, shape (n_liked,)
            Places.
        stars : float32 array, shape (n_liked,)
        ranks : int array, shape (n_liked,)
            How many likes are later, see `Interactions.recency_rank`.
        """
        confidence = self.recommender.confidence
        weights: FloatArray = self._by_rank.take(ranks)
        if confidence.kind == "rating":
            weights *= np.exp2(stars - np.float32(LIKED_STARS))
        elif confidence.kind == "bm25":
            length = 1.0 - BM25_B + BM25_B * len(liked) / confidence.mean_length
            weights *= np.float32((BM25_K1 + 1.0) / (BM25_K1 * length + 1.0)) * self._weights[liked]
        return weights

    def fold_in(self, liked: IntArray, confidences: FloatArray) -> FloatArray:
        """The vector of a user, float32, shape (factors,); see `one_user.SolveOne`.

        Raises
        ------
        RecsysError
            When the vector is not determined.
        """
        return self._solve(liked, confidences)

    def spread_of(self, vector: FloatArray) -> tuple[float, float]:
        """Mean and standard deviation of a user's products with all movies; see `moment.Spread.of_users`."""
        exact = vector.astype(np.float64)
        variance = float(exact @ self.covariance @ exact)
        size = float(exact @ exact) * self._trace
        return float(exact @ self.mean), variance**0.5 if variance > EQUAL**2 * size else 1.0

    def signal(self, recent: IntArray, recency: FloatArray) -> tuple[FloatArray, float, float]:
        """The next-movie signal of a user, not standardized.

        Parameters
        ----------
        recent : int array, shape (n_recent,)
            Columns of the latest likes.
        recency : float32 array, shape (n_recent,)
            Their recency weights.

        Returns
        -------
        signal : float64 array, shape (n,)
            By place.
        mean, spread : float
            Over all movies.
        """
        followers = self.recommender.next_movies
        if followers is None or len(recent) == 0:
            return np.zeros(len(self)), 0.0, 1.0
        columns, weights = followers.added_by(recent, recency)
        signal: FloatArray = np.bincount(self.places.take(columns), weights, len(self)).astype(np.float64, copy=False)
        mean, size = float(weights.sum(dtype=np.float64)) / len(self), float(signal @ signal) / len(self)
        variance = size - mean * mean
        return signal, mean, variance**0.5 if variance > EQUAL**2 * size else 1.0
