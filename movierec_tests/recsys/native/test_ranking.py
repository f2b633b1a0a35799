"""Claims about ranking and counting in C: the same as in Python, for every processor's code, and never outside."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix

from movierec_assets.recsys import one_user
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.recsys.moment import spread_of_signal
from movierec_assets.recsys.native import counting, library
from movierec_assets.recsys.native import ranking as native
from movierec_assets.recsys.native.solver import SolverOfOne
from movierec_assets.recsys.ranking import EMPTY, TopK
from movierec_tests.ranked_lists import assert_same_lists

pytestmark = pytest.mark.skipif(library.why_not() is not None, reason=f"no native library: {library.why_not()}")

TARGETS = list({} if library.why_not() else library.loaded().targets().items())


@pytest.fixture(params=TARGETS, ids=lambda target: str(target[1]), scope="module", autouse=True)
def target(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test runs by the code for each processor that this one can stand in for."""
    loaded = library.loaded()
    usual, loaded.target = loaded.target, request.param[0]
    yield
    loaded.target = usual


def plain(
    movies: FloatArray,
    users: FloatArray,
    means: FloatArray,
    seen: csr_matrix,
    k: int,
    followers: csr_matrix | None = None,
    recent: csr_matrix | None = None,
    strength: FloatArray | None = None,
) -> TopK:
    """The k highest scores of unseen movies, by the definition."""
    scores = users.astype(np.float64) @ movies.T.astype(np.float64) - means[:, None]
    if followers is not None and recent is not None and strength is not None:
        signal = (recent @ followers).toarray().astype(np.float64)
        mean, spread = spread_of_signal(signal)
        scores += strength[:, None] * (signal - mean[:, None]) / spread[:, None]
    scores[seen.toarray() > 0] = -np.inf
    scores = np.pad(scores, ((0, 0), (0, k)), constant_values=-np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, order, axis=1)
    return TopK(np.where(np.isinf(best), EMPTY, order), np.where(np.isinf(best), np.nan, best))


def few(rows: int, columns: int, *values: float) -> st.SearchStrategy[Any]:
    return arrays(np.float32, (rows, columns), elements=st.sampled_from(np.array(values, dtype=np.float32).tolist()))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_lists_are_those_of_scoring_every_movie(data: st.DataObject) -> None:
    """Few values, so that ties, zero vectors, users who have seen everything and empty signals are common."""
    n_users, n_movies, k, factors = (data.draw(st.integers(1, most)) for most in (5, 40, 45, 20))
    movies = data.draw(few(n_movies, factors, 0, 0, 0.125, 1, -2))
    users = data.draw(few(n_users, factors, 0, 0.5, 1, -1))
    means = data.draw(arrays(np.float64, n_users, elements=st.sampled_from([0.0, -1.0, 2.5])))
    seen, followers, recent = (
        csr_matrix(data.draw(few(rows, n_movies, 0, 0, 0, 0.5, 1))) for rows in (n_users, n_movies, n_users)
    )
    strength = data.draw(arrays(np.float64, n_users, elements=st.sampled_from([0.0, 0.0, 0.5, 2.0])))
    made = native.Movies.of(movies)
    threads = data.draw(st.integers(1, 3))
    found = native.rank(made, users, means, seen, k, threads=threads)
    assert_same_lists(TopK(*found), plain(movies, users, means, seen, k))
    signal = native.Signal(native.Followers.of(followers), recent, strength)
    found = native.rank(made, users, means, seen, k, signal, threads=threads)
    assert_same_lists(TopK(*found), plain(movies, users, means, seen, k, followers, recent, strength))


@pytest.mark.parametrize("kind", ["return", "sitting", "faded"])
def test_movies_beyond_the_longest_vectors_are_listed_where_they_belong(kind: str) -> None:
    """More movies than are looked at first, and vectors of very different lengths."""
    rng = np.random.default_rng(3)
    n_users, n_movies = 300, 3000
    movies = (rng.normal(size=(n_movies, 24)) / (1 + rng.permutation(n_movies)[:, None])).astype(np.float32)
    users = rng.normal(size=(n_users, 24)).astype(np.float32)
    means = rng.normal(size=n_users)
    seen = csr_matrix((rng.random((n_users, n_movies)) < 0.1).astype(np.float32))
    followers = csr_matrix((rng.random((n_movies, n_movies)) < 0.01) * rng.random((n_movies, n_movies)), dtype="f4")
    recent = csr_matrix((rng.random((n_users, n_movies)) < 0.002) * rng.random((n_users, n_movies)), dtype="f4")
    strength = np.full(n_users, {"return": 0.0, "sitting": 1.0, "faded": 0.01}[kind])
    signal = native.Signal(native.Followers.of(followers), recent, strength)
    expected = plain(movies, users, means, seen, 20, followers, recent, strength)
    done: list[tuple[int, int]] = []
    lists = [
        native.rank(
            native.Movies.of(movies),
            users,
            means,
            seen,
            20,
            signal,
            threads=threads,
            progress=lambda *at: done.append(at),
        )
        for threads in (1, 4)
    ]
    assert_same_lists(TopK(*lists[0]), expected, ties=1e-3)
    assert all(one.tobytes() == other.tobytes() for one, other in zip(*lists, strict=True))
    assert done[-1] == (n_users, n_users)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_list_of_one_user_is_that_of_scoring_every_movie(data: st.DataObject) -> None:
    n_movies, k, factors = (data.draw(st.integers(1, most)) for most in (200, 30, 20))
    movies = native.Movies.of(data.draw(few(n_movies, factors, 0, 0, 0.125, 1, -2)))
    best = native.BestOfOne(movies)
    for _ in range(2):  # nothing of an earlier call is left
        vector = data.draw(few(1, factors, 0, 0.5, 1, -1))[0]
        hidden = data.draw(arrays(np.bool_, n_movies))
        added = data.draw(st.none() | few(1, n_movies, 0, 0, 1, 3).map(lambda rows: rows[0]))
        passing = data.draw(st.none() | arrays(np.bool_, n_movies).map(np.flatnonzero))
        places, scores = best(vector, hidden, k, passing, added)
        expected = movies.vectors[:, :factors] @ vector + (0 if added is None else added)
        shown = ~hidden
        if passing is not None:
            shown &= np.isin(np.arange(n_movies), passing)
        wanted = np.flatnonzero(shown)
        wanted = wanted[np.lexsort((wanted, -expected[wanted]))][:k]
        assert places.tolist() == wanted.tolist()
        np.testing.assert_allclose(scores, expected[wanted], atol=1e-5)


@pytest.mark.parametrize(("likes", "factors"), [(0, 5), (1, 5), (7, 16), (60, 33)])
def test_the_vector_of_one_user_solves_the_equations(likes: int, factors: int) -> None:
    rng = np.random.default_rng(likes)
    movies = rng.normal(size=(60, factors)).astype(np.float32)
    liked, confidences = rng.permutation(60)[:likes], rng.uniform(0.5, 400, likes).astype(np.float32)
    exact = movies.astype(np.float64)
    normal = exact.T @ exact + 0.1 * np.eye(factors)
    normal += (exact[liked] * (confidences - 1.0)[:, None]).T @ exact[liked]
    expected = np.linalg.solve(normal, exact[liked].T @ confidences)
    solve = one_user.solver(movies, 0.1)
    assert isinstance(solve, SolverOfOne)
    for _ in range(2):
        np.testing.assert_allclose(solve(liked, confidences), expected, atol=2e-4)


def test_a_vector_that_is_not_determined_is_an_error_when_it_is_asked_for() -> None:
    solve = one_user.solver(np.ones((3, 2), dtype=np.float32), 0.0)
    with pytest.raises(RecsysError, match="regularization"):
        solve(np.array([0]), np.array([2.0], dtype=np.float32))


def matrix(indices: list[int], indptr: list[int], shape: tuple[int, int]) -> csr_matrix:
    """A matrix that scipy does not check."""
    made = csr_matrix(shape, dtype=np.float32)
    made.indices, made.indptr = np.array(indices, np.int32), np.array(indptr, np.int32)
    made.data = np.ones(len(indices), np.float32)
    return made


BROKEN = [([5], [0, 1]), ([-1], [0, 1]), ([0], [0, 2]), ([0], [1, 1]), ([0, 1], [0, -1])]


@pytest.mark.parametrize(("indices", "indptr"), BROKEN)
def test_a_matrix_that_points_outside_is_refused(indices: list[int], indptr: list[int]) -> None:
    movies = native.Movies.of(np.ones((3, 2), dtype=np.float32))
    users, means, broken = np.ones((1, 2), np.float32), np.zeros(1), matrix(indices, indptr, (1, 3))
    with pytest.raises(RecsysError, match="broken"):
        native.rank(movies, users, means, broken, 2, threads=1)
    with pytest.raises(RecsysError, match="broken"):
        native.Followers.of(matrix(indices, [*indptr, len(indices), len(indices)], (3, 3)))
    signal = native.Signal(native.Followers.of(csr_matrix((3, 3), dtype=np.float32)), broken, np.ones(1))
    with pytest.raises(RecsysError, match="broken"):
        native.rank(movies, users, means, csr_matrix((1, 3), dtype=np.float32), 2, signal, threads=1)


def test_what_does_not_fit_is_refused() -> None:
    movies = native.Movies.of(np.ones((3, 2), dtype=np.float32))
    nothing = csr_matrix((1, 3), dtype=np.float32)
    with pytest.raises(RecsysError, match="do not fit"):
        native.rank(movies, np.ones((1, 17), np.float32), np.zeros(1), nothing, 2, threads=1)
    with pytest.raises(RecsysError, match="do not fit"):
        native.rank(movies, np.ones((1, 2), np.float32), np.zeros(2), nothing, 2, threads=1)
    with pytest.raises(RecsysError, match="1 to 256"):
        native.BestOfOne(movies)(np.ones(2), np.zeros(3, np.bool_), 257)
    solve = one_user.solver(np.eye(3, dtype=np.float32), 1.0)
    with pytest.raises(RecsysError, match="outside"):
        solve(np.array([3]), np.ones(1, np.float32))


@pytest.mark.parametrize(
    ("likes", "start", "stop"),
    [([0, 1, 2], [1, 2, 3], [2, 3, 4]), ([3], [1, 2, 3], [2, 3, 3]), ([0], [0, 2, 3], [9, 3, 3])],
    ids=["past the end", "unknown like", "beyond the window"],
)
def test_places_outside_the_likes_are_refused(likes: list[int], start: list[int], stop: list[int]) -> None:
    def of(values: list[int]) -> IntArray:
        return np.array(values, np.int32)

    ones = np.ones(1, np.float32)
    reach = counting.Reach(of(likes), np.array([0, len(likes)]), of(start), of(stop), ones, ones)
    with pytest.raises(RecsysError, match="outside"):
        counting.Counter(of([0, 0, 0]), np.array([0, 1, 1], np.float32), [reach], 5)


def test_structures_are_laid_out_as_c_reads_them() -> None:
    """Pointers and numbers of 64 bits each, without gaps."""
    followers = native.Followers.of(csr_matrix(np.eye(3, dtype=np.float32)))
    assert ctypes.sizeof(followers.structure) == 24
