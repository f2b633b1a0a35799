"""Claims about which movies follow which: counts, what is kept of them, and a user's signal, against plain loops."""

from __future__ import annotations

import io
import math
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from movierec_assets.recsys import next_movies
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.native import counting
from movierec_assets.recsys.next_movies import (
    MAX_FOLLOWERS,
    MIN_RECENCY,
    NextMovies,
    of_split,
    recency_weights,
    strongest,
)
from movierec_assets.recsys.recipe import NextMovie
from movierec_assets.recsys.split import Split, latest_of_each_user
from movierec_tests.recsys.strategies import Ratings, Row, interactions_of, ratings

pytestmark = pytest.mark.usefixtures("each_solver")

Dense = npt.NDArray[np.float64]

AGES = 2**62
"""Seconds; times that are so far apart do not fit in one number with the user."""


@st.composite
def signals(draw: st.DrawFn) -> NextMovie:
    """The numbers that decide a matrix; windows are often shorter than histories, and some longer than any."""
    return NextMovie(
        window=draw(st.sampled_from([1, 2, 3, 5, 30, 10**12])),
        decay=draw(st.sampled_from([0.0, 0.3, 0.95, 1.0])),
        out_exponent=draw(st.sampled_from([0.0, 0.5, 1.0])),
        in_exponent=draw(st.sampled_from([0.0, 0.3, 1.0])),
        smoothing=draw(st.sampled_from([1.0, 200.0])),
        tau=draw(st.sampled_from([0.5, 2.0, 4.0])),
    )


def plain_matrix(drawn: Ratings, signal: NextMovie) -> Dense:
    """How strongly each movie follows each other, by the definition."""
    sums = np.zeros((drawn.shape[1],) * 2)
    for user in range(drawn.shape[0]):
        likes = sorted((time, movie) for who, movie, _, time in drawn.rows if who == user)
        for place, (time, movie) in enumerate(likes):
            for other_place, (other_time, other_movie) in enumerate(likes):
                lag = other_place - place
                if 1 <= lag <= signal.window and other_time > time:
                    sums[movie, other_movie] += signal.decay ** (lag - 1)
    out, into = sums.sum(axis=1, keepdims=True) + 1, sums.sum(axis=0, keepdims=True) + signal.smoothing
    strengths: Dense = sums / (out**signal.out_exponent * into**signal.in_exponent)
    return strengths


def split_of(positives: Interactions) -> Split:
    earlier, test = latest_of_each_user(positives)
    return Split(*latest_of_each_user(earlier), test)


def assert_same(one: NextMovies, other: NextMovies) -> None:
    for name, array in one.to_arrays().items():
        same = other.to_arrays()[name]
        assert (array.dtype, array.tobytes()) == (same.dtype, same.tobytes()), name


@settings(deadline=None)
@given(ratings(), signals())
def test_the_matrix_is_the_normalized_sum_over_all_pairs_of_likes(drawn: Ratings, signal: NextMovie) -> None:
    found = NextMovies.of(drawn.interactions(), signal).matrix
    assert found.dtype == np.float32
    assert found.has_canonical_format
    np.testing.assert_allclose(found.toarray(), plain_matrix(drawn, signal), rtol=1e-5)


def test_likes_of_one_second_do_not_follow_each_other_and_stand_in_the_order_of_movies_before_the_next_like() -> None:
    rows: list[Row] = [(0, 2, 4.0, 1), (0, 0, 4.0, 1), (0, 1, 4.0, 7)]
    signal = NextMovie(window=30, decay=0.5, out_exponent=0.0, in_exponent=0.0)
    found = NextMovies.of(interactions_of(rows, (1, 3)), signal).matrix.toarray()
    assert found.tolist() == [[0, 0.5, 0], [0, 0, 0], [0, 1, 0]]


@settings(deadline=None)
@given(ratings(min_size=1, max_size=40, max_users=3, max_movies=20, times=30), signals())
def test_both_matrices_of_a_split_are_those_of_its_parts_counted_alone(drawn: Ratings, signal: NextMovie) -> None:
    split = split_of(drawn.interactions())
    for found, positives in zip(of_split(split, signal), (split.history, split.positives), strict=True):
        expected = NextMovies.of(positives, signal).matrix
        np.testing.assert_allclose(found.matrix.toarray(), expected.toarray(), rtol=1e-5)


def test_both_matrices_of_many_users_are_those_of_their_parts_counted_alone() -> None:
    """Nearly every pair of movies has transitions before the test part, and some into it."""
    rng = np.random.default_rng(0)
    users, movies = np.divmod(np.unique(rng.integers(0, 60 * 12, 400)), 12)
    times, ones = rng.integers(0, 1000, len(users)), np.ones(len(users))
    split = split_of(Interactions.from_triplets(users, movies, ones, times, (60, 12)))
    signal = NextMovie(decay=0.83, out_exponent=0.5, in_exponent=0.3)
    for found, positives in zip(of_split(split, signal), (split.history, split.positives), strict=True):
        expected = NextMovies.of(positives, signal).matrix.toarray()
        assert np.count_nonzero(expected) > 100
        np.testing.assert_allclose(found.matrix.toarray(), expected, rtol=1e-5)


@settings(deadline=None)
@given(ratings(max_size=40, max_movies=20, times=30), signals(), st.integers(1, 4), st.integers(1, 4000))
def test_neither_threads_nor_memory_change_a_bit(
    drawn: Ratings, signal: NextMovie, threads: int, batch_bytes: int
) -> None:
    positives = drawn.interactions()
    expected = NextMovies.of(positives, signal, threads=1)
    assert_same(NextMovies.of(positives, signal, threads=threads, batch_bytes=batch_bytes), expected)
    for found, whole in zip(
        of_split(split_of(positives), signal, threads=threads, batch_bytes=batch_bytes),
        of_split(split_of(positives), signal, threads=1),
        strict=True,
    ):
        assert_same(found, whole)


@settings(deadline=None)
@given(ratings(max_size=40, max_movies=20, times=30), signals(), st.integers(1, 9))
def test_the_number_of_likes_at_a_time_does_not_change_a_bit(drawn: Ratings, signal: NextMovie, likes: int) -> None:
    positives = drawn.interactions()
    expected = [NextMovies.of(positives, signal), *of_split(split_of(positives), signal)]
    with pytest.MonkeyPatch.context() as patched:
        for module in (next_movies, counting):
            patched.setattr(module, "_LIKES", likes)
        found = [NextMovies.of(positives, signal), *of_split(split_of(positives), signal)]
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)


def test_likes_in_the_same_second_take_places_but_do_not_follow_each_other() -> None:
    rows: list[Row] = [(0, 0, 4.0, 10), (0, 1, 4.0, 20), (0, 2, 4.0, 20), (0, 3, 4.0, 30)]
    signal = NextMovie(window=2, decay=0.5, out_exponent=0, in_exponent=0)
    found = NextMovies.of(interactions_of(rows, (1, 4)), signal).matrix.toarray()
    assert found.tolist() == [[0, 1, 0.5, 0], [0, 0, 0, 0.5], [0, 0, 0, 1], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("rows", "shape"),
    [
        ([], (0, 0)),
        ([], (3, 0)),
        ([], (3, 4)),
        ([(0, 0, 4.0, 1), (1, 0, 4.0, 2)], (2, 1)),
        ([(user, user, 4.0, user) for user in range(4)], (4, 4)),
        ([(0, movie, 4.0, 7) for movie in range(4)], (1, 4)),
    ],
    ids=["nothing", "no movies", "no likes", "one movie", "one like each", "all in one second"],
)
def test_nothing_follows_anything(rows: list[Row], shape: tuple[int, int]) -> None:
    positives = interactions_of(rows, shape)
    for found in (NextMovies.of(positives, NextMovie()), *of_split(split_of(positives), NextMovie())):
        assert len(found) == 0
        assert found.matrix.shape == (shape[1],) * 2
        assert found.signal(positives, tau=4.0).nnz == 0


@pytest.mark.parametrize("times", [(-AGES, 0, AGES), (-5, -4, -3), (AGES, AGES + 1, AGES + 2)])
def test_only_the_order_of_times_counts(times: tuple[int, ...]) -> None:
    found, expected = (
        NextMovies.of(interactions_of([(0, 2 - at, 4.0, time) for at, time in enumerate(each)], (1, 3)), NextMovie())
        for each in (times, (1, 2, 3))
    )
    assert len(expected) == 3
    assert_same(found, expected)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 5), min_size=7, max_size=7), max_size=4),
    st.permutations(range(7)),
    st.integers(1, 8),
)
def test_the_strongest_are_kept_and_of_equal_ones_the_first(
    values: list[list[int]], order: list[int], kept: int
) -> None:
    dense = np.array(values, dtype=np.float32).reshape(-1, 7)
    indptr = 7 * np.arange(len(dense) + 1)
    shuffled = csr_matrix((dense[:, order].ravel(), np.tile(order, len(dense)), indptr), shape=dense.shape)
    expected = np.zeros_like(dense)
    for row, columns in enumerate(dense):
        for column in sorted(range(7), key=lambda column: (-columns[column], column))[:kept]:
            expected[row, column] = columns[column]
    found = strongest(shuffled, kept)
    assert found.has_canonical_format
    assert np.all(found.data > 0)
    assert np.array_equal(found.toarray(), expected)


def test_a_movie_keeps_its_strongest_followers_after_normalization() -> None:
    n_movies = MAX_FOLLOWERS + 3
    # The first user's followers of movie 0 weigh the same, so what else they follow decides: the more, the weaker.
    rows: list[Row] = [(0, movie, 4.0, movie) for movie in range(n_movies)]
    rows += [(1, 1, 4.0, 1), (1, 7, 4.0, 2), (1, 9, 4.0, 3)]
    signal = NextMovie(window=n_movies, decay=1.0, out_exponent=0, in_exponent=1.0)
    matrix = NextMovies.of(interactions_of(rows, (2, n_movies)), signal).matrix
    assert np.diff(matrix.indptr).max() == MAX_FOLLOWERS
    # A movie follows all that come before it, so the last two are the weakest.
    assert matrix.indices[: matrix.indptr[1]].tolist() == list(range(1, n_movies - 2))
    assert matrix[1, 7] > matrix[0, 7]


@settings(deadline=None)
@given(ratings(max_size=40), ratings(max_size=40, times=30), signals())
def test_a_signal_sums_the_rows_of_the_latest_likes(drawn: Ratings, others: Ratings, signal: NextMovie) -> None:
    n_movies = max(drawn.shape[1], others.shape[1])
    next_movies = NextMovies.of(interactions_of(others.rows, (others.shape[0], n_movies)), signal)
    histories = interactions_of(drawn.rows, (drawn.shape[0], n_movies))
    expected = np.zeros((drawn.shape[0], n_movies))
    matrix = next_movies.matrix.toarray()
    for user, movie, _, time in drawn.rows:
        times = [row[3] for row in drawn.rows if row[0] == user]
        rank = sum(each > time for each in times) + (times.count(time) - 1) // 2
        weight = math.exp(-rank / signal.tau)
        expected[user] += weight * matrix[movie] if weight >= MIN_RECENCY else 0.0
    np.testing.assert_allclose(next_movies.signal(histories, signal.tau).toarray(), expected, rtol=1e-5)
    recent = recency_weights(histories, signal.tau)
    for user in np.flatnonzero(np.diff(recent.indptr)).tolist():
        own = slice(recent.indptr[user], recent.indptr[user + 1])
        columns, values = next_movies.added_by(recent.indices[own], recent.data[own])
        np.testing.assert_allclose(np.bincount(columns, values, n_movies), expected[user], rtol=1e-5)


def test_likes_that_are_long_ago_add_nothing_to_a_signal() -> None:
    rows: list[Row] = [(0, movie, 4.0, movie) for movie in range(20)]
    weights = recency_weights(interactions_of(rows, (1, 20)), tau=4.0)
    assert weights.indices.tolist() == list(range(5, 20))
    assert weights[0, 19] == 1.0


@settings(deadline=None)
@given(ratings(max_size=40, times=30), st.sets(st.integers(0, 9)), st.data())
def test_a_matched_matrix_drops_movies_that_left_and_knows_nothing_of_new_ones(
    drawn: Ratings, wanted: set[int], data: st.DataObject
) -> None:
    ids = sorted(data.draw(st.sets(st.integers(0, 9), min_size=drawn.shape[1], max_size=drawn.shape[1])))
    next_movies = NextMovies.of(drawn.interactions(), NextMovie())
    found = next_movies.matched(np.array(ids), np.array(sorted(wanted), dtype=np.int64)).matrix
    matrix = next_movies.matrix.toarray()
    expected = [
        [matrix[ids.index(one), ids.index(other)] if {one, other} <= set(ids) else 0.0 for other in sorted(wanted)]
        for one in sorted(wanted)
    ]
    assert found.dtype == np.float32
    assert found.has_canonical_format
    assert np.array_equal(found.toarray(), np.reshape(expected, (len(wanted), len(wanted))))


@settings(deadline=None)
@given(ratings(max_size=40, times=30))
def test_stored_arrays_read_back_as_the_same_matrix(drawn: Ratings) -> None:
    next_movies = NextMovies.of(drawn.interactions(), NextMovie())
    arrays: dict[str, Any] = next_movies.to_arrays()
    file = io.BytesIO()
    np.savez(file, **arrays)
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        back = NextMovies.from_arrays(stored)
    assert back is not None
    assert back.matrix.shape == next_movies.matrix.shape
    assert_same(back, next_movies)


def test_arrays_of_versions_without_a_signal_hold_no_matrix() -> None:
    assert NextMovies.from_arrays({"user_factors": np.ones((2, 3))}) is None


def test_progress_rises_to_all_movies() -> None:
    rows: list[Row] = [(0, movie, 4.0, movie) for movie in range(6)]
    calls: list[tuple[int, int]] = []
    NextMovies.of(interactions_of(rows, (1, 6)), NextMovie(), batch_bytes=1, progress=lambda *call: calls.append(call))
    assert len(calls) > 1
    assert calls[-1] == (6, 6)
    assert all(one[0] < other[0] for one, other in pairwise(calls))
