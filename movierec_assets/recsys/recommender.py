"""A model that can be served: movie factors, their ids, and the users of the fit.

Belongs here: lists for known users, for liked movies, for given histories, and for nobody in particular. Does not: the
registry and the files of models, and the source of histories.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from movierec_assets.progress import Progress
from movierec_assets.recsys import als, least_squares, ranking
from movierec_assets.recsys.batches import BATCH_BYTES, stage
from movierec_assets.recsys.confidence import Confidence, interaction_weights
from movierec_assets.recsys.engine import Factors
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.explain import Explanation, contributions, signal_contributions
from movierec_assets.recsys.interactions import Arrays, FloatArray, IdMaps, IntArray, Interactions
from movierec_assets.recsys.least_squares import Solve
from movierec_assets.recsys.moment import ON_RETURN, Scorer, spread_of_signal, strength
from movierec_assets.recsys.next_movies import NextMovies, recency_weights
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.threads import ALL_CORES

_RECENT, _CSR = "recent_", ("data", "indices", "indptr")


@dataclass(frozen=True)
class Recommender:
    """Everything that recommending needs, without a database.

    Attributes
    ----------
    ids : IdMaps
        Users and movies of the positives it was fitted on.
    user_vectors : float32 array, shape (n_users, factors)
        Folded in from each user's positives.
    movie_factors : float32 array, shape (n_movies, factors)
    seen : csr_matrix, shape (n_users, n_movies)
        Positives of each user, never recommended.
    recipe : Recipe
    confidence : Confidence
        Learned by the fit.
    titles : tuple of str
        Of the movies, in the order of `ids.movie_ids`; empty where they were not recorded.
    next_movies : NextMovies or None
        Without it, and for a recipe without a next-movie signal, scores are those of ALS alone, not standardized.
    recent : csr_matrix of float32, shape (n_users, n_movies), or None
        Recency weights of each user's latest likes, see `next_movies.recency_weights`; None without `next_movies`.
    latest_at : int64 array, shape (n_users,), or None
        Unix seconds of each user's latest like, `interactions.NEVER` for users without one; None without `next_movies`.
    """

    ids: IdMaps
    user_vectors: FloatArray
    movie_factors: FloatArray
    seen: csr_matrix
    recipe: Recipe
    confidence: Confidence
    titles: tuple[str, ...] = ()
    next_movies: NextMovies | None = None
    recent: csr_matrix | None = None
    latest_at: IntArray | None = None

    @classmethod
    def of(
        cls,
        factors: Factors,
        positives: Interactions,
        ids: IdMaps,
        recipe: Recipe,
        *,
        batch_bytes: int = BATCH_BYTES,
        progress: Progress | None = None,
    ) -> Self:
        """Assemble a model from a fit and the positives of its users, which are folded in.

        The next-movie matrix of the fit is taken unless the recipe's signal is off.
        """
        vectors = als.fold_in(
            factors.movies, positives, recipe, factors.confidence, batch_bytes=batch_bytes, progress=progress
        )
        made = cls(ids, vectors, factors.movies, positives.stars, recipe, factors.confidence)
        if factors.next_movies is None or not recipe.next_movie.on:
            return made
        return replace(
            made,
            next_movies=factors.next_movies,
            recent=recency_weights(positives, recipe.next_movie.tau),
            latest_at=positives.latest,
        )

    def with_titles(self, titles: Sequence[str]) -> Self:
        """The same model with the titles of its movies, in the order of `ids.movie_ids`."""
        return replace(self, titles=tuple(titles))

    @cached_property
    def _solvers(self) -> dict[int, Solve]:
        """Solvers for many users that were made, by number of threads."""
        return {}

    def _solve_many(self, threads: int) -> Solve:
        if threads not in self._solvers:
            made = least_squares.iterative(self.movie_factors, self.recipe.regularization, threads=threads)
            self._solvers[threads] = made
        return self._solvers[threads]

    @cached_property
    def scorer(self) -> Scorer:
        """Ranks by the user vectors and the next-movie signal."""
        return Scorer(self.movie_factors, self.next_movies, self.recipe.next_movie)

    @cached_property
    def likes(self) -> IntArray:
        """Users who liked each movie, shape (n_movies,)."""
        return np.bincount(self.seen.indices, minlength=len(self.ids.movie_ids))

    def within(self, catalogue: IntArray) -> Self:
        """The same model without the movies whose ids are not in the catalogue."""
        kept = np.flatnonzero(np.isin(self.ids.movie_ids, catalogue))
        if len(kept) == len(self.ids.movie_ids):
            return self
        ids, next_movies = IdMaps(self.ids.user_ids, self.ids.movie_ids[kept]), self.next_movies
        return replace(
            self,
            ids=ids,
            movie_factors=self.movie_factors[kept],
            seen=self.seen[:, kept].tocsr(),
            confidence=replace(self.confidence, movie_weight=self.confidence.movie_weight[kept]),
            titles=tuple(self.titles[column] for column in kept) if self.titles else (),
            next_movies=None if next_movies is None else next_movies.matched(self.ids.movie_ids, ids.movie_ids),
            recent=None if self.recent is None else self.recent[:, kept].tocsr(),
        )

    def movie_ids_of(self, lists: TopK) -> IntArray:
        """Movie ids of ranked columns, -1 at empty positions."""
        listed = lists.items >= 0
        ids = np.full(lists.items.shape, ranking.EMPTY, dtype=self.ids.movie_ids.dtype)
        ids[listed] = self.ids.movie_ids[lists.items[listed]]
        return ids

    def for_histories(
        self,
        histories: Interactions,
        seen: csr_matrix,
        k: int,
        *,
        user_ids: IntArray | None = None,
        elapsed: FloatArray | IntArray | None = None,
        batch_bytes: int = BATCH_BYTES,
        threads: int = ALL_CORES,
        progress: Progress | None = None,
    ) -> TopK:
        """Rank for users with these positives, known to the fit or not.

        Parameters
        ----------
        histories : Interactions, shape (n, n_movies)
            Positives with their times. Users without any get the most popular unseen movies, with score 0.
        seen : csr_matrix, shape (n, n_movies)
            Movies to leave out: in the histories, or rated low.
        k : int
        user_ids : int array, shape (n,), optional
            Of the users. Vectors of users of the fit are then solved faster, with the same result.
        elapsed : array, shape (n,), optional
            Seconds from the latest like of each user to the request; `moment.ON_RETURN` by default.
        batch_bytes, threads, progress
            As for `scoring.rank`.

        Returns
        -------
        TopK, shape (n, k)
        """
        vectors = als.fold_in(
            self.movie_factors,
            histories,
            self.recipe,
            self.confidence,
            start=None if user_ids is None else self._vectors_of(user_ids),
            solve=self._solve_many(threads)
            if least_squares.iterative_is_faster(len(histories), self.movie_factors)
            else None,
            batch_bytes=batch_bytes,
            threads=threads,
            progress=stage(progress, 0, 2),
        )
        lists = self.scorer.recommend(
            vectors,
            self.scorer.recent(histories),
            seen,
            k,
            elapsed=np.full(len(vectors), ON_RETURN) if elapsed is None else elapsed,
            batch_bytes=batch_bytes,
            threads=threads,
            progress=stage(progress, 1, 2),
        )
        strangers = np.flatnonzero(histories.per_user == 0)
        if len(strangers):
            popular = ranking.popular(self.likes, seen[strangers], k)
            lists.items[strangers] = popular.items
            lists.scores[strangers] = np.where(popular.items >= 0, 0.0, np.nan)
        return lists

    def _vectors_of(self, user_ids: IntArray) -> FloatArray:
        """Stored vectors of users, 0 for unknown users."""
        rows = self.ids.users_at(user_ids)
        vectors = np.zeros((len(rows), self.movie_factors.shape[1]), dtype=np.float32)
        vectors[rows >= 0] = self.user_vectors[rows[rows >= 0]]
        return vectors

    def explain(self, history: Interactions, movie_ids: IntArray, elapsed: float | None = None) -> Explanation:
        """Split the scores of movies for one user into what each like of the history adds.

        Parameters
        ----------
        history : Interactions, shape (1, n_movies)
        movie_ids : int array, shape (n,)
            Of movies of the model.
        elapsed : float, optional
            As for `for_histories`.

        Returns
        -------
        Explanation
            Columns are in the order of `history.stars.indices`; the sums are the scores.
        """
        liked, wanted = history.stars.indices, self.ids.movies_at(movie_ids)
        because_of = contributions(
            self.movie_factors,
            liked,
            interaction_weights(history, self.recipe, self.confidence),
            self.recipe.regularization,
            wanted,
            less_the_mean=self.scorer.on,
        )
        after = np.zeros_like(because_of)
        if self.next_movies is None or not self.scorer.on:
            return Explanation(because_of, after)
        vector = als.fold_in(self.movie_factors, history, self.recipe, self.confidence)
        because_of /= self.scorer.spread.of_users(vector)[1]
        recency = recency_weights(history, self.recipe.next_movie.tau)
        share = strength(self.recipe.next_movie, ON_RETURN if elapsed is None else elapsed)
        if share > 0:
            _, (spread,) = spread_of_signal((recency @ self.next_movies.matrix).toarray().astype(np.float64))
            weights = recency[0, liked].toarray().ravel()
            signal, mean = signal_contributions(self.next_movies.matrix, liked, weights, wanted)
            after = share * (signal - mean) / spread
        return Explanation(because_of, after)

    def for_known(self, user_ids: IntArray, k: int, at: IntArray | float | None = None) -> TopK:
        """Rank for users of the fit.

        Parameters
        ----------
        user_ids : int array, shape (n,)
        k : int
        at : int array, shape (n,), or number, optional
            Unix seconds of the requests; one before a user's latest like counts as one right after it. Without it,
            `moment.ON_RETURN` has passed since each user's latest like.

        Raises
        ------
        RecsysError
            When a user is not known; the message names the first few.
        """
        rows = self.ids.users_at(user_ids)
        unknown = np.asarray(user_ids)[rows < 0]
        if len(unknown):
            raise RecsysError(f"The model does not know user {', '.join(map(str, unknown[:5]))}; give liked movies.")
        elapsed, known = np.full(len(rows), ON_RETURN), self.recent
        if at is not None and self.latest_at is not None:
            elapsed = np.asarray(at, dtype=np.float64) - self.latest_at[rows]
        return self.scorer.recommend(
            self.user_vectors[rows],
            lambda some: self._no_likes(len(some)) if known is None else known[rows[some]],
            self.seen[rows],
            k,
            elapsed=elapsed,
        )

    def _no_likes(self, users: int = 1) -> csr_matrix:
        return csr_matrix((users, len(self.ids.movie_ids)), dtype=np.float32)

    def for_liked(self, movie_ids: IntArray, k: int) -> TopK:
        """Rank for a user who likes these movies, all equally recent, in the sitting.

        Raises
        ------
        RecsysError
            When none of the movies is in the model.
        """
        liked = self.history_of(movie_ids)
        return self.for_histories(liked, liked.stars, k, elapsed=np.zeros(1))

    def history_of(self, movie_ids: IntArray) -> Interactions:
        """A history of liked movies, all equally recent, shape (1, n_movies).

        Raises
        ------
        RecsysError
            When none of the movies is in the model.
        """
        columns = np.unique(self.ids.movies_at(np.asarray(movie_ids)))
        columns = columns[columns >= 0]
        if len(columns) == 0:
            raise RecsysError("None of the liked movies is in the model; name one that somebody rated highly.")
        ones = np.ones(len(columns))
        return Interactions.from_triplets(
            np.zeros_like(columns), columns, ones, np.zeros_like(columns), (1, len(self.ids.movie_ids))
        )

    def for_nobody(self, k: int) -> TopK:
        """Rank the most liked movies; scores are the numbers of users who liked each."""
        return ranking.popular(self.likes, self._no_likes(), k)

    def to_arrays(self) -> Arrays:
        """Named arrays; the recipe is JSON. Those of the next-movie signal are there when it has a matrix."""
        arrays = {
            "user_ids": self.ids.user_ids,
            "movie_ids": self.ids.movie_ids,
            "user_vectors": self.user_vectors,
            "movie_factors": self.movie_factors,
            "seen_indptr": self.seen.indptr,
            "seen_indices": self.seen.indices,
            "movie_weight": self.confidence.movie_weight,
            "mean_length": np.array(self.confidence.mean_length),
            "recipe": np.array(json.dumps(self.recipe.as_dict())),
            "titles": np.frombuffer(json.dumps(self.titles).encode(), dtype=np.uint8),
        }
        if self.next_movies is None or self.recent is None or self.latest_at is None:
            return arrays
        recent = {f"{_RECENT}{name}": getattr(self.recent, name) for name in _CSR}
        return arrays | self.next_movies.to_arrays() | recent | {"latest_at": self.latest_at}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Read back the arrays of `to_arrays`, of this release or an earlier one."""
        ids = IdMaps(arrays["user_ids"], arrays["movie_ids"])
        indices = arrays["seen_indices"]
        seen = csr_matrix((np.ones(len(indices), dtype=np.float32), indices, arrays["seen_indptr"]), shape=ids.shape)
        recipe = Recipe.from_dict(json.loads(str(arrays["recipe"])))
        confidence = Confidence(recipe.confidence, arrays["movie_weight"], float(arrays["mean_length"]))
        titles = tuple(json.loads(arrays["titles"].tobytes())) if "titles" in arrays else ()
        made = cls(ids, arrays["user_vectors"], arrays["movie_factors"], seen, recipe, confidence, titles)
        if (next_movies := NextMovies.from_arrays(arrays)) is None:
            return made
        recent = csr_matrix(tuple(arrays[f"{_RECENT}{name}"] for name in _CSR), shape=ids.shape)
        return replace(made, next_movies=next_movies, recent=recent, latest_at=arrays["latest_at"])
