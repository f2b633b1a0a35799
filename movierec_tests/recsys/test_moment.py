"""Claims about lists at a moment: they are the order of the plain sum of both standardized parts over all movies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from movierec_assets.recsys import moment, ranking
from movierec_assets.recsys.batches import BATCH_BYTES
from movierec_assets.recsys.interactions import FloatArray, IntArray, Interactions
from movierec_assets.recsys.moment import HOUR, ON_RETURN, Scorer, Spread
from movierec_assets.recsys.native import library
from movierec_assets.recsys.native import ranking as native
from movierec_assets.recsys.next_movies import NextMovies, recency_weights
from movierec_assets.recsys.ranking import EMPTY, TopK
from movierec_assets.recsys.recipe import NO_NEXT_MOVIE, NextMovie
from movierec_assets.recsys.threads import ALL_CORES
from movierec_tests.ranked_lists import assert_same_lists
from movierec_tests.recsys.strategies import Ratings, Row, interactions_of, ratings

FACTORS = 3

pytestmark = pytest.mark.usefixtures("each_solver")


def single(rows: list[list[float]]) -> FloatArray:
    return np.array(rows, dtype=np.float32)


SIGNAL = NextMovie(tau=2.0, weight=1.0, fade_hours=1.0)


def standardized(values: FloatArray) -> FloatArray:
    """One row over all columns; zeros where all are equal but for rounding."""
    spread = values.std()
    size = np.sqrt((values**2).mean())
    result: FloatArray = (values - values.mean()) / (spread if spread > 1e-5 * size else 1.0)
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


@given(cases(), st.integers(1, 10))
def test_lists_are_the_order_of_the_plain_sum_of_both_standardized_parts(case: Case, k: int) -> None:
    assert_same_lists(case.lists(k), plain_lists(case.scores(), case.seen, k))


def long_case(n_users: int = 300, n_movies: int = 600) -> Case:
    """Many users, some of whom return, and vectors of many lengths, so that bounds leave movies out."""
    rng = np.random.default_rng(5)
    lengths = 1.0 / (1 + rng.permutation(n_movies) % 50)
    movies = (rng.normal(size=(n_movies, FACTORS)) * lengths[:, None]).astype(np.float32)
    users, liked = np.nonzero(rng.random((n_users, n_movies)) < 0.03)
    times = rng.integers(0, 500, len(users))
    kept = users != 3  # without likes
    histories = Interactions.from_triplets(
        users[kept], liked[kept], np.full(kept.sum(), 4.0), times[kept], (n_users, n_movies)
    )
    seen = histories.stars.toarray()
    seen[11], seen[12, 5:] = 1, 1  # nothing left, and little
    vectors = rng.normal(size=(n_users, FACTORS)).astype(np.float32)
    vectors[[3, 7]] = 0
    followers = NextMovies.of(histories, NextMovie(window=5))
    elapsed = np.where(np.arange(n_users) % 3 == 0, ON_RETURN, rng.integers(0, 7200, n_users)).astype(np.float64)
    return Case(Scorer(movies, followers, NextMovie(weight=1.5)), vectors, histories, csr_matrix(seen), elapsed)


LONG = long_case()


@pytest.mark.parametrize("k", [1, 20, 700])
def test_many_users_get_the_lists_of_scoring_all_movies(k: int) -> None:
    assert_same_lists(LONG.lists(k), plain_lists(LONG.scores(), LONG.seen, k))


def test_movies_out_of_reach_are_on_no_list_of_scoring_all_movies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moment, "FIRST", 100)
    some = np.arange(20, 200)  # of others there are few unseen movies among the first
    case = replace(
        LONG,
        scorer=replace(LONG.scorer),
        vectors=LONG.vectors[some],
        histories=LONG.histories.rows(some),
        seen=LONG.seen[some],
        elapsed=LONG.elapsed[some],
    )
    assert_same_lists(case.lists(20), plain_lists(case.scores(), case.seen, 20))


@pytest.mark.parametrize(("batch_bytes", "threads"), [(1, 1), (10**5, 3), (10**6, 2)])
def test_neither_memory_nor_threads_change_a_list(batch_bytes: int, threads: int) -> None:
    assert_same_lists(LONG.lists(9, batch_bytes, threads), LONG.lists(9), 1e-5)


@pytest.mark.parametrize("users", [1, 2, 300])
def test_the_library_ranks_one_user_as_it_ranks_many(users: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    rank = native.rank

    def counted(*arguments: Any, **options: Any) -> tuple[IntArray, FloatArray]:
        asked.append(len(arguments[1]))
        return rank(*arguments, **options)

    monkeypatch.setattr(native, "rank", counted)
    some = np.arange(20, 20 + users) % 300
    found = LONG.scorer.recommend(
        LONG.vectors[some],
        LONG.scorer.recent(LONG.histories.rows(some)),
        LONG.seen[some],
        9,
        elapsed=LONG.elapsed[some],
    )
    everybody = LONG.lists(9)
    assert_same_lists(found, TopK(everybody.items[some], everybody.scores[some]), 1e-5)
    assert asked[:1] == ([users] if library.why_not() is None else [])


def test_an_empty_catalogue_gives_empty_lists() -> None:
    scorer = Scorer(np.empty((0, FACTORS), np.float32), NextMovies(csr_matrix((0, 0), dtype=np.float32)), SIGNAL)
    nothing = csr_matrix((1, 0), dtype=np.float32)
    lists = scorer.recommend(single([[1, 2, 3]]), lambda _: nothing, nothing, 2, elapsed=np.zeros(1))
    assert lists.items.tolist() == [[EMPTY, EMPTY]]


def test_only_users_whose_signal_has_not_faded_are_asked_for_their_latest_likes() -> None:
    asked: list[int] = []

    def recent(rows: IntArray) -> csr_matrix:
        asked.extend(rows.tolist())
        return LONG.scorer.recent(LONG.histories)(rows)

    LONG.scorer.recommend(LONG.vectors, recent, LONG.seen, 5, elapsed=LONG.elapsed)
    assert sorted(asked) == np.flatnonzero(LONG.elapsed < ON_RETURN).tolist()


@pytest.mark.parametrize("users", [3, 300])
def test_progress_ends_with_all_users(users: int) -> None:
    reported: list[tuple[int, int]] = []
    LONG.scorer.recommend(
        LONG.vectors[:users],
        LONG.scorer.recent(LONG.histories),
        LONG.seen[:users],
        5,
        elapsed=np.zeros(users),
        progress=lambda done, total: reported.append((done, total)),
    )
    assert reported == sorted(reported)
    assert reported[-1][0] == reported[-1][1]


@pytest.mark.parametrize(
    "off",
    [replace(LONG.scorer, next_movies=None), replace(LONG.scorer, signal=NO_NEXT_MOVIE)],
    ids=["no matrix", "no weight"],
)
def test_without_a_signal_scores_are_the_products_of_vectors(off: Scorer) -> None:
    lists = off.recommend(LONG.vectors, off.recent(LONG.histories), LONG.seen, 5, elapsed=LONG.elapsed)
    assert_same_lists(lists, ranking.recommend(LONG.vectors, off.movie_factors, LONG.seen, 5))


def test_the_signal_fades_with_time_and_a_request_before_the_latest_like_is_one_right_after_it() -> None:
    signal = NextMovie(weight=2.0, fade_hours=3.0)
    assert moment.strength(signal, np.array([-HOUR, 0.0, 3 * HOUR])) == pytest.approx([2.0, 2.0, 2.0 * np.exp(-1)])
    assert moment.strength(signal, np.array([22 * HOUR, 1e18])).tolist() == [0.0, 0.0]


@given(st.integers(1, 6), st.integers(0, 1000), st.floats(0.001, 1000))
def test_equal_scores_have_the_spread_1_however_they_are_rounded(n_movies: int, seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    same = np.repeat((rng.normal(size=(1, FACTORS)) * size).astype(np.float32), n_movies, axis=0)
    users = rng.normal(size=(2, FACTORS)).astype(np.float32)
    mean, spread = Spread.of(same).of_users(users)
    assert spread.tolist() == [1.0, 1.0]
    assert mean == pytest.approx(users.astype(np.float64) @ same[0], rel=1e-6, abs=1e-6 * size)


def test_a_signal_that_is_the_same_for_all_movies_changes_no_list() -> None:
    """Each of two movies follows the other, and both are liked."""
    rows: list[Row] = [(0, 0, 4.0, 1), (0, 1, 4.0, 1)]
    histories = interactions_of(rows, (1, 2))
    scorer = Scorer(
        np.array([[1.0], [3.0]], dtype=np.float32), NextMovies(csr_matrix(single([[0, 0.1], [0.1, 0]]))), SIGNAL
    )
    nothing = csr_matrix((1, 2), dtype=np.float32)
    lists = scorer.recommend(single([[1.0]]), scorer.recent(histories), nothing, 2, elapsed=np.zeros(1))
    assert lists.items.tolist() == [[1, 0]]
    assert lists.scores[0] == pytest.approx([1.0, -1.0], abs=1e-5)


def test_a_catalogue_of_one_movie_is_listed_with_the_mean_score() -> None:
    scorer = Scorer(single([[0.3, 7.1]]), NextMovies(csr_matrix((1, 1), dtype=np.float32)), SIGNAL)
    histories = interactions_of([(0, 0, 4.0, 1)], (2, 1))
    nothing = csr_matrix((2, 1), dtype=np.float32)
    vectors = single([[0.7, 0.1], [0, 0]])
    lists = scorer.recommend(vectors, scorer.recent(histories), nothing, 2, elapsed=np.zeros(2))
    assert lists.items.tolist() == [[0, EMPTY]] * 2
    assert lists.scores[:, 0] == pytest.approx([0.0, 0.0], abs=1e-5)
