"""Claims about lists: they are the brute-force order of the unseen movies, for any batch."""

from __future__ import annotations

from collections.abc import Callable

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
    """Items and scores of one list without its empty positions, which must all be at the end."""
    items, scores = lists.items[row].tolist(), lists.scores[row].tolist()
    length = items.index(EMPTY) if EMPTY in items else len(items)
    assert items[length:] == [EMPTY] * (len(items) - length)
    assert np.isnan(lists.scores[row]).tolist() == [item == EMPTY for item in items]
    return items[:length], scores[:length]


def check_against_brute_force(lists: TopK, values: FloatArray, allowed: list[set[int]], k: int) -> None:
    """Each list holds the k best allowed columns of its row of `values`."""
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
def test_the_memory_for_batches_does_not_change_a_list(
    users: FloatArray, movies: FloatArray, k: int, data: st.DataObject
) -> None:
    seen = data.draw(seen_by(len(users), len(movies)))
    rankers: list[Callable[[int], TopK]] = [
        lambda size: ranking.recommend(users, movies, seen, k, batch_bytes=size),
        lambda size: ranking.popular(np.arange(len(movies)), seen, k, batch_bytes=size),
    ]
    for rank in rankers:
        whole = rank(2**28)
        for size in (1, 300, 600):
            parts = rank(size)
            assert np.array_equal(parts.items, whole.items)
            assert np.array_equal(parts.scores, whole.scores, equal_nan=True)
    nearest, by_one = ranking.similar(movies, k), ranking.similar(movies, k, batch_bytes=1)
    assert by_one.scores == pytest.approx(nearest.scores, abs=1e-6, nan_ok=True)


def plain_lists(values: FloatArray, seen: csr_matrix, k: int) -> tuple[list[list[int]], list[list[float]]]:
    """The k best unseen columns of each row and their values, equal ones in the order of columns."""
    values = np.where(seen.toarray() != 0, -np.inf, values)
    order = np.argsort(-values, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(values, order, axis=1)
    return np.where(best > -np.inf, order, EMPTY).tolist(), np.where(best > -np.inf, best, np.nan).tolist()


@pytest.mark.parametrize("spread", [0.0, 1.0, 2.0], ids=["of one length", "of many lengths", "most out of reach"])
@pytest.mark.parametrize("k", [1, 20, 120])
def test_many_users_get_the_lists_of_looking_at_all_movies(spread: float, k: int) -> None:
    """Whole numbers, so that ties are common and exact; more users and movies than are looked at directly."""
    rng = np.random.default_rng(3)
    n_users, n_movies = 300, 2500
    users = rng.integers(-3, 4, (n_users, FACTORS)).astype(np.float32)
    users[7] = 0
    scale = np.rint(100 * (1 + np.arange(n_movies)) ** -spread)
    movies = (rng.integers(-3, 4, (n_movies, FACTORS)) * rng.permutation(scale)[:, None]).astype(np.float32)
    dense = rng.random((n_users, n_movies)) < 0.02
    longest = np.argsort(-np.linalg.norm(movies, axis=1), kind="stable")
    dense[11, longest[:1500]] = True  # nothing left where others find their best
    dense[12], dense[13, 5:] = True, True
    seen = csr_matrix(dense.astype(np.float32))
    lists = ranking.recommend(users, movies, seen, k)
    items, scores = plain_lists(users @ movies.T, seen, k)
    assert lists.items.tolist() == items
    assert np.array_equal(lists.scores, np.array(scores, dtype=np.float32), equal_nan=True)


def test_rounding_between_batches_leaves_no_position_of_a_list_empty() -> None:
    """A score that was just good enough among a few movies may come out lower when multiplied among more."""
    random = np.random.default_rng(3)
    users, movies = random.normal(size=(3000, 64)), random.normal(size=(4000, 64)) * random.gamma(2, size=(4000, 1))
    lists = ranking.recommend(users.astype(np.float32), movies.astype(np.float32), nothing_seen(3000, 4000), 20)
    assert (lists.items != EMPTY).all()


def test_progress_of_ranking_is_reported_up_to_the_last_user() -> None:
    movies = np.ones((4, FACTORS), dtype=np.float32)
    reported: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        reported.append((done, total))

    users, seen = np.ones((9, FACTORS), dtype=np.float32), csr_matrix(np.eye(9, 4, dtype=np.float32))
    ranking.recommend(users, movies, seen, 2, progress=progress, batch_bytes=1)
    ranking.similar(movies, 2, progress=progress)
    ranking.popular(np.ones(4, dtype=int), seen, 2, progress=progress)
    # Who has seen nothing needs no memory for it.
    assert reported == [(1, 9), (2, 9), (3, 9), (4, 9), (9, 9), (4, 4), (9, 9)]


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
@given(vectors(), st.integers(1, 9))
def test_similar_movies_are_the_brute_force_order_of_cosines(movies: FloatArray, k: int) -> None:
    assume((movies != 0).any(axis=1).all())
    exact = movies.astype(np.float64)
    norms = np.linalg.norm(exact, axis=1)
    cosines = exact @ exact.T / np.outer(norms, norms)
    others = [set(range(len(movies))) - {movie} for movie in range(len(movies))]
    check_against_brute_force(ranking.similar(movies, k), cosines, others, k)


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
    assert (scores.max(), scores.min()) == pytest.approx((1.0, -1.0), abs=1e-5)
    assert scores.max() <= 1.0
    assert scores.min() >= -1.0


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


def test_popular_lists_of_who_has_seen_nearly_everything_go_down_to_the_end() -> None:
    counts = np.random.default_rng(5).integers(0, 50, 3000)
    order = np.argsort(-counts, kind="stable")
    dense = np.zeros((4, 3000), dtype=np.float32)
    dense[1, order[:700]] = dense[2, order[:-3]] = dense[3] = 1
    lists = ranking.popular(counts, csr_matrix(dense), 5)
    assert lists.items.tolist() == [
        order[:5].tolist(),
        order[700:705].tolist(),
        [*order[-3:].tolist(), EMPTY, EMPTY],
        [EMPTY] * 5,
    ]
