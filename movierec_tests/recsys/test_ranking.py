"""Claims about lists: they are the brute-force order of what was not seen, whatever the batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from movierec_assets.recsys import ranking
from movierec_assets.recsys.interactions import FloatArray
from movierec_assets.recsys.ranking import EMPTY, TopK

FACTORS = 3


def nothing_seen(users: int, movies: int) -> csr_matrix:
    return csr_matrix((users, movies), dtype=np.float32)


@st.composite
def vectors(draw: st.DrawFn, min_rows: int = 1, max_rows: int = 7) -> FloatArray:
    """Small whole numbers: their products are exact in float32, and ties are common."""
    row = st.lists(st.integers(-4, 4), min_size=FACTORS, max_size=FACTORS)
    return np.array(draw(st.lists(row, min_size=min_rows, max_size=max_rows)), dtype=np.float32)


@st.composite
def seen_by(draw: st.DrawFn, users: int, movies: int) -> csr_matrix:
    cells = draw(st.lists(st.booleans(), min_size=users * movies, max_size=users * movies))
    return csr_matrix(np.array(cells, dtype=np.float32).reshape(users, movies))


def filled(lists: TopK, row: int) -> tuple[list[int], list[float]]:
    """Items and scores of one list without its empty places, which must all be at the end."""
    items, scores = lists.items[row].tolist(), lists.scores[row].tolist()
    length = items.index(EMPTY) if EMPTY in items else len(items)
    assert items[length:] == [EMPTY] * (len(items) - length)
    assert np.isnan(lists.scores[row]).tolist() == [item == EMPTY for item in items]
    return items[:length], scores[:length]


def check_against_brute_force(lists: TopK, values: FloatArray, allowed: list[set[int]], k: int) -> None:
    """Each list holds the k best allowed columns of its row of `values`; equal values may come in any order."""
    assert lists.items.shape == lists.scores.shape == (len(values), k)
    for row, columns in enumerate(allowed):
        items, scores = filled(lists, row)
        order = np.argsort(-values[row], kind="stable")
        best = [values[row, column] for column in order if column in columns][:k]
        assert scores == pytest.approx(best, abs=1e-6)
        assert [values[row, item] for item in items] == pytest.approx(best, abs=1e-6)
        assert set(items) <= columns
        assert len(set(items)) == len(items)


@settings(deadline=None)
@given(vectors(), vectors(), st.integers(1, 10), st.data())
def test_lists_are_the_brute_force_order_of_unseen_movies(
    users: FloatArray, movies: FloatArray, k: int, data: st.DataObject
) -> None:
    seen = data.draw(seen_by(len(users), len(movies)))
    lists = ranking.recommend(users, movies, seen, k)
    allowed = [set(np.flatnonzero(row == 0).tolist()) for row in seen.toarray()]
    check_against_brute_force(lists, users @ movies.T, allowed, k)


@settings(deadline=None)
@given(vectors(min_rows=2), vectors(), st.integers(1, 10), st.data())
def test_the_size_of_batches_does_not_change_a_list(
    users: FloatArray, movies: FloatArray, k: int, data: st.DataObject
) -> None:
    seen = data.draw(seen_by(len(users), len(movies)))
    whole = ranking.recommend(users, movies, seen, k)
    for batch in (1, 2, 3):
        parts = ranking.recommend(users, movies, seen, k, batch=batch)
        assert np.array_equal(parts.items, whole.items)
        assert np.array_equal(parts.scores, whole.scores, equal_nan=True)


def test_distinct_scores_come_best_first_without_the_seen_ones() -> None:
    movies = np.array([[1.0], [4.0], [3.0], [-2.0], [2.0]], dtype=np.float32)
    seen = csr_matrix(np.array([[0, 1, 0, 0, 0], [0, 0, 0, 1, 0]], dtype=np.float32))
    lists = ranking.recommend(np.array([[1.0], [-1.0]], dtype=np.float32), movies, seen, 3)
    assert lists.items.tolist() == [[2, 4, 0], [0, 4, 2]]
    assert lists.scores.tolist() == [[3, 2, 1], [-1, -2, -3]]
    assert lists.items.dtype == np.int32
    assert lists.scores.dtype == np.float32


def test_a_list_ends_empty_when_fewer_movies_are_left_than_asked_for() -> None:
    movies = np.array([[1.0], [2.0], [3.0]], dtype=np.float32)
    seen = csr_matrix(np.array([[0, 0, 1], [1, 1, 1]], dtype=np.float32))
    lists = ranking.recommend(np.ones((2, 1), dtype=np.float32), movies, seen, 5)
    assert lists.items.tolist() == [[1, 0, -1, -1, -1], [-1] * 5]
    assert np.isnan(lists.scores).tolist() == [[False, False, True, True, True], [True] * 5]


def test_no_movies_or_no_users_give_empty_lists() -> None:
    one, none = np.ones((1, FACTORS), dtype=np.float32), np.ones((0, FACTORS), dtype=np.float32)
    assert ranking.recommend(one, none, nothing_seen(1, 0), 2).items.tolist() == [[-1, -1]]
    assert ranking.recommend(none, one, nothing_seen(0, 1), 2).items.shape == (0, 2)
    assert ranking.popular(np.array([], dtype=np.int64), nothing_seen(1, 0), 2).items.tolist() == [[-1, -1]]


@settings(deadline=None)
@given(vectors(), st.integers(1, 9), st.sampled_from([2, 4096]))
def test_similar_movies_are_the_brute_force_order_of_cosines(movies: FloatArray, k: int, batch: int) -> None:
    assume((movies != 0).any(axis=1).all())
    exact = movies.astype(np.float64)
    norms = np.linalg.norm(exact, axis=1)
    cosines = exact @ exact.T / np.outer(norms, norms)
    others = [set(range(len(movies))) - {movie} for movie in range(len(movies))]
    check_against_brute_force(ranking.similar(movies, k, batch), cosines, others, k)


def test_a_movie_is_not_its_own_neighbour_even_beside_its_twin() -> None:
    movies = np.array([[1.0, 1.0], [2.0, 2.0], [1.0, 0.0]], dtype=np.float32)
    lists = ranking.similar(movies, 2)
    assert lists.items.tolist() == [[1, 2], [0, 2], lists.items[2].tolist()]
    assert 2 not in lists.items[2]
    assert lists.scores[:2].tolist() == pytest.approx(np.array([[1, 0.5**0.5]] * 2), abs=1e-6)


def test_a_movie_with_a_zero_vector_has_no_neighbours() -> None:
    movies = np.array([[1.0, 1.0], [0.0, 0.0], [1.0, 0.5]], dtype=np.float32)
    lists = ranking.similar(movies, 1)
    assert lists.items.tolist() == [[2], [-1], [0]]
    assert np.isnan(lists.scores).ravel().tolist() == [False, True, False]


def test_similarity_is_never_above_one_or_below_minus_one() -> None:
    rng = np.random.default_rng(1)
    directions = rng.normal(size=(200, 40)).astype(np.float32)
    movies = np.concatenate([directions, directions * 3, -directions])
    scores = ranking.similar(movies, len(movies) - 1).scores
    assert (scores.max(), scores.min()) == (1.0, -1.0)


def test_similar_leaves_the_factors_alone() -> None:
    movies = np.array([[3.0, 4.0], [1.0, 1.0]], dtype=np.float32)
    ranking.similar(movies, 1)
    assert movies.tolist() == [[3, 4], [1, 1]]


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.integers(1, 10), st.data())
def test_popular_lists_unseen_movies_by_count_then_column(counts: list[int], k: int, data: st.DataObject) -> None:
    seen = data.draw(seen_by(3, len(counts)))
    lists = ranking.popular(np.array(counts), seen, k)
    assert lists.items.shape == lists.scores.shape == (3, k)
    for user, row in enumerate(seen.toarray()):
        unseen = [movie for movie in range(len(counts)) if not row[movie]]
        best = sorted(unseen, key=lambda movie: (-counts[movie], movie))[:k]
        assert filled(lists, user) == (best, [counts[movie] for movie in best])
