"""Claims about lists at a moment: they are the order of the plain sum of both standardized parts over all movies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from movierec_assets.recsys import moment
from movierec_assets.recsys.batches import BATCH_BYTES
from movierec_assets.recsys.interactions import FloatArray, Interactions
from movierec_assets.recsys.moment import HOUR, ON_RETURN, Scorer
from movierec_assets.recsys.next_movies import NextMovies, recency_weights
from movierec_assets.recsys.ranking import EMPTY, TopK
from movierec_assets.recsys.recipe import NextMovie
from movierec_assets.recsys.threads import ALL_CORES
from movierec_tests.ranked_lists import assert_same_lists
from movierec_tests.recsys.strategies import Ratings, ratings

FACTORS = 3
SIGNAL = NextMovie(tau=2.0, weight=1.0, fade_hours=1.0)


def standardized(values: FloatArray) -> FloatArray:
    """One row over all columns; zeros where all are equal but for rounding."""
    spread = values.std()
    size = np.sqrt((values**2).mean())
    result: FloatArray = (values - values.mean()) / (spread if spread > 1e-6 * size else 1.0)
    return result


def plain_scores(
    vectors: FloatArray, movies: FloatArray, recent: csr_matrix, followers: csr_matrix, strength: FloatArray
) -> FloatArray:
    """Scores of all movies for each user, computed as the definition reads."""
    als = vectors.astype(np.float64) @ movies.T.astype(np.float64)
    signal = recent.toarray().astype(np.float64) @ followers.toarray().astype(np.float64)
    rows = zip(als, signal, strength, strict=True)
    return np.array([standardized(a) + (s * standardized(b) if s > 0 else 0.0) for a, b, s in rows])


def plain_lists(scores: FloatArray, seen: csr_matrix, k: int) -> TopK:
    """The k best unseen columns of each row, equal ones in the order of columns."""
    values = np.where(seen.toarray() != 0, -np.inf, scores)
    order = np.argsort(-values, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(values, order, axis=1)
    pad = ((0, 0), (0, max(0, k - best.shape[1])))
    order, best = np.pad(order, pad, constant_values=EMPTY), np.pad(best, pad, constant_values=-np.inf)
    listed = best > -np.inf
    return TopK(np.where(listed, order, EMPTY), np.where(listed, best, np.nan))


@dataclass(frozen=True)
class Case:
    """A request of some users, and the scorer that answers it."""

    scorer: Scorer
    vectors: FloatArray
    histories: Interactions
    seen: csr_matrix
    elapsed: FloatArray

    @property
    def followers(self) -> csr_matrix:
        assert self.scorer.next_movies is not None
        return self.scorer.next_movies.matrix

    def scores(self) -> FloatArray:
        recent = recency_weights(self.histories, self.scorer.signal.tau)
        strength = moment.strength(self.scorer.signal, self.elapsed)
        return plain_scores(self.vectors, self.scorer.movie_factors, recent, self.followers, strength)

    def lists(self, k: int, batch_bytes: int = BATCH_BYTES, threads: int = ALL_CORES) -> TopK:
        return self.scorer.recommend(
            self.vectors,
            self.scorer.recent(self.histories),
            self.seen,
            k,
            elapsed=self.elapsed,
            batch_bytes=batch_bytes,
            threads=threads,
        )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Small whole numbers, so that ties, zero vectors, equal scores, empty signals and histories are common."""
    drawn: Ratings = draw(ratings())
    histories = drawn.interactions()
    n_users, n_movies = drawn.shape

    def whole(rows: int, columns: int, values: st.SearchStrategy[int]) -> FloatArray:
        cells = draw(st.lists(values, min_size=rows * columns, max_size=rows * columns))
        return np.array(cells, dtype=np.float32).reshape(rows, columns)

    few = st.sampled_from([0, 0, 0, 1, 2, 5])
    followers = whole(n_movies, n_movies, few)
    rated_low = whole(n_users, n_movies, st.sampled_from([0, 0, 1]))
    elapsed = np.array(
        draw(st.lists(st.sampled_from([-5.0, 0.0, HOUR / 2, 3 * HOUR, ON_RETURN]), min_size=n_users, max_size=n_users))
    )
    return Case(
        Scorer(
            whole(n_movies, FACTORS, st.integers(-2, 2)),
            NextMovies(csr_matrix(followers)),
            NextMovie(tau=draw(st.sampled_from([0.5, 2.0, 8.0])), weight=draw(st.sampled_from([0.25, 1.0, 4.0]))),
        ),
        whole(n_users, FACTORS, st.integers(-2, 2)),
        histories,
        csr_matrix(histories.stars.toarray() + rated_low),
        elapsed,
    )


@given(cases(), st.integers(1, 10), st.sampled_from([0, 10**6]))
def test_lists_are_the_order_of_the_plain_sum_of_both_standardized_parts(case: Case, k: int, many_from: int) -> None:
    expected = plain_lists(case.scores(), case.seen, k)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(moment, "_MANY_USERS", many_from)
        assert_same_lists(case.lists(k), expected)
