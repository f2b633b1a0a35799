"""Claims about user vectors: both ways to solve give the closed form, and say so where there is none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from movierec_assets.recsys import least_squares
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray
from movierec_assets.recsys.least_squares import Solve

pytestmark = pytest.mark.usefixtures("each_solver")

WAYS = pytest.mark.parametrize("way", [least_squares.direct, least_squares.iterative])
Way = Callable[[FloatArray, float], Solve]


def closed_form(movies: FloatArray, regularization: float, confidences: csr_matrix) -> FloatArray:
    """Hu, Koren and Volinsky (2008), equation 4."""
    y = movies.astype(np.float64)
    vectors = np.zeros((confidences.shape[0], y.shape[1]))
    for user, row in enumerate(confidences.toarray().astype(np.float64)):
        weight = np.where(row > 0, row - 1, 0)
        a = y.T @ y + regularization * np.eye(y.shape[1]) + (y.T * weight) @ y
        vectors[user] = np.linalg.solve(a, y.T @ row)
    return vectors


def drawn(seed: int, users: int, movies: int, factors: int, highest: float) -> tuple[FloatArray, csr_matrix]:
    """Movies from hardly to very influential; confidences from near 0 to the highest; the first user has none."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(movies, factors)) * 10.0 ** rng.uniform(-2, 0, (movies, 1))
    confidences = highest ** rng.uniform(-0.5, 1, (users, movies)) * (rng.random((users, movies)) < 0.4)
    confidences[0] = 0
    return vectors.astype(np.float32), csr_matrix(confidences.astype(np.float32))


@WAYS
@settings(deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 20),
    st.integers(1, 40),
    st.integers(1, 12),
    st.sampled_from([0.5, 10.0]),
    st.sampled_from([1.0, 20.0, 500.0]),
)
def test_vectors_are_the_closed_form(
    way: Way, seed: int, users: int, movies: int, factors: int, regularization: float, highest: float
) -> None:
    vectors, confidences = drawn(seed, users, movies, factors, highest)
    found = way(vectors, regularization)(confidences)
    expected = closed_form(vectors, regularization, confidences)
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    assert not found[0].any()
    # Scores are compared: in a direction without a movie, vectors may differ.
    assert found @ vectors.T == pytest.approx(expected @ vectors.T, rel=1e-2, abs=1e-2)


@WAYS
@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 1e-3, 1.0, 100.0]))
def test_the_solution_is_the_same_from_any_start(way: Way, seed: int, distance: float) -> None:
    vectors, confidences = drawn(seed, 12, 30, 6, 20.0)
    solve = way(vectors, 1.0)
    found = solve(confidences)
    elsewhere = np.random.default_rng(seed).normal(size=found.shape).astype(np.float32)
    again = solve(confidences, found + np.float32(distance) * elsewhere)
    assert not again[0].any()  # nothing in the history, whatever was known before
    # Of a start that is far away, more digits are lost in single precision.
    tolerance = 1e-3 * max(1.0, distance / 10)
    assert again @ vectors.T == pytest.approx(found @ vectors.T, rel=tolerance, abs=tolerance)


@WAYS
def test_what_is_given_is_left_alone(way: Way) -> None:
    vectors, confidences = drawn(1, 5, 9, 3, 20.0)
    before, weights = vectors.copy(), confidences.copy()
    start = np.ones((5, 3), dtype=np.float32)
    way(vectors, 1.0)(confidences, start)
    assert (start == 1).all()
    assert np.array_equal(vectors, before)
    assert np.array_equal(confidences.toarray(), weights.toarray())


@WAYS
def test_equations_without_a_single_solution_are_an_error(way: Way) -> None:
    vectors = np.zeros((4, 2), dtype=np.float32)
    with pytest.raises(RecsysError, match="raise the regularization"):
        way(vectors, 0.0)(csr_matrix(np.ones((3, 4), dtype=np.float32)))


def test_few_interactions_are_solved_one_by_one_and_many_together(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, _ = drawn(1, 40, 50, 6, 20.0)
    for way in ("direct", "iterative"):
        monkeypatch.setattr(least_squares, way, lambda *given, way=way, **threads: (way, *given))
    found: list[object] = [least_squares.solver(vectors, 1.0, entries) for entries in (1, 50, 51)]
    assert found == [(way, vectors, 1.0) for way in ("direct", "direct", "iterative")]


@WAYS
def test_arrays_that_are_read_only_are_solved_as_others(way: Way) -> None:
    movies, confidences = drawn(1, 20, 30, 8, 20.0)
    expected = way(movies, 1.0)(confidences)
    for array in (movies, confidences.data, confidences.indices, confidences.indptr):
        array.flags.writeable = False
    np.testing.assert_array_equal(way(movies, 1.0)(confidences), expected)
