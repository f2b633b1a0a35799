"""Claims about the native solver: it computes what `implicit` does, for any matrix, and reads nothing outside of it."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from movierec_assets.recsys import implicit_fit, least_squares
from movierec_assets.recsys.engine import EnoughIterations, Iteration
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray
from movierec_assets.recsys.native import fit, library, solver
from movierec_assets.recsys.native.library import Library
from movierec_assets.recsys.native.solver import Rows
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.threads import one_blas_thread

LOADED = library.load()
pytestmark = pytest.mark.skipif(isinstance(LOADED, str), reason=f"without the native solver: {LOADED}")
TARGETS = list(LOADED.targets()) if isinstance(LOADED, Library) else []
WIDTHS = (1, 15, 16, 17, 33, 64, 96, 128, 160, 256)
RECIPE = Recipe(factors=16, iterations=4, regularization=1.0)


@pytest.fixture(params=TARGETS, ids=str)
def target(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Each target that this processor runs, used in place of the fastest."""
    monkeypatch.setattr(LOADED, "target", request.param)
    number: int = request.param
    return number


def matrix(seed: int, users: int, movies: int, share: float = 0.3, highest: float = 20.0) -> csr_matrix:
    """Confidences from small to high, some negative and some 0; the first user and the first movie have none."""
    rng = np.random.default_rng(seed)
    values = highest ** rng.uniform(-0.5, 1, (users, movies)) * (rng.random((users, movies)) < share)
    values[0] = values[:, 0] = 0
    found = csr_matrix(values.astype(np.float32))
    found.data[::7] *= -1
    found.data[::11] = 0
    return found


def factors_of(seed: int, rows: int, width: int) -> FloatArray:
    return np.random.default_rng(seed).normal(scale=0.5, size=(rows, width)).astype(np.float32)


def half_pass(
    confidences: csr_matrix, x: FloatArray, y: FloatArray, regularization: float, threads: int = 2
) -> FloatArray:
    found, columns = solver.padded(x), solver.padded(y)
    gram = solver.gram(columns, threads) + np.float32(regularization) * np.eye(columns.shape[1], dtype=np.float32)
    solver.solve(Rows.of(confidences), found, columns, gram, 3, threads)
    return found[:, : x.shape[1]]


def by_implicit(confidences: csr_matrix, x: FloatArray, y: FloatArray, regularization: float) -> FloatArray:
    found = x.copy()
    with one_blas_thread():
        model = AlternatingLeastSquares(factors=x.shape[1], num_threads=1)
        model.solver(confidences, found, y, regularization, num_threads=1)
    return found


@pytest.mark.parametrize("width", WIDTHS)
def test_half_a_pass_gives_the_vectors_of_implicit(target: int, width: int) -> None:
    confidences = matrix(width, 70, 90)
    x, y = factors_of(1, 70, width), factors_of(2, 90, width)
    found, expected = (each(confidences, x, y, 5.0) for each in (half_pass, by_implicit))
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3 * np.abs(expected).max())
    assert not found[0].any()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 30), st.integers(1, 40), st.floats(0, 1))
def test_half_a_pass_gives_the_vectors_of_implicit_for_any_shape(
    seed: int, users: int, movies: int, width: int, share: float
) -> None:
    confidences = abs(matrix(seed, users, movies, share))
    x, y = factors_of(seed, users, width), factors_of(seed + 1, movies, width)
    found, expected = (each(confidences, x, y, 5.0) for each in (half_pass, by_implicit))
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-3 * max(1.0, np.abs(expected).max()))


def test_many_steps_give_the_exact_solution(target: int) -> None:
    confidences, y = abs(matrix(3, 40, 60)), factors_of(4, 60, 24)
    columns, found = solver.padded(y), solver.zeros(40, 24)
    gram = solver.gram(columns) + 2 * np.eye(columns.shape[1], dtype=np.float32)
    solver.solve(Rows.of(confidences), found, columns, gram, 100)
    wide = y.astype(np.float64)
    for user, row in enumerate(confidences.toarray().astype(np.float64)):
        known = confidences[[user]].indices
        a = wide.T @ wide + 2 * np.eye(24) + (wide[known].T * (row[known] - 1)) @ wide[known]
        assert found[user, :24] == pytest.approx(np.linalg.solve(a, wide.T @ row), rel=1e-3, abs=1e-3)
    assert not found[:, 24:].any()  # padding stays 0


def test_a_fit_and_its_losses_are_those_of_implicit() -> None:
    confidences = matrix(5, 120, 80)
    start = factors_of(6, 120, RECIPE.factors), factors_of(7, 80, RECIPE.factors)
    losses: list[list[float | None]] = []
    results = []
    for factorize in (fit.factorize, implicit_fit.factorize):
        reported: list[Iteration] = []
        results.append(factorize(confidences, RECIPE, reported.append, loss_every=1, start=start, threads=2))
        losses.append([each.loss for each in reported])
        assert [(each.number, each.of) for each in reported] == [(number, 4) for number in (1, 2, 3, 4)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-2 * np.abs(expected).max())


def test_a_cold_fit_starts_from_the_factors_of_implicit() -> None:
    # With a regularization this high, one pass hardly turns the random vectors.
    confidences, recipe = abs(matrix(8, 50, 40)), replace(RECIPE, iterations=1, regularization=1e4)
    (_, found), (_, expected) = (each.factorize(confidences, recipe, None) for each in (fit, implicit_fit))
    # Sums of small numbers differ by a per cent between processors, those of another start by a fifth.
    _, other = fit.factorize(confidences, replace(recipe, seed=recipe.seed + 1), None)
    far = np.linalg.norm(other - expected)
    assert np.linalg.norm(found - expected) < 0.05 * far
    assert far > 0.1 * np.linalg.norm(expected)


def test_a_fit_ends_when_its_listener_has_enough() -> None:
    seen: list[int] = []

    def report(iteration: Iteration) -> None:
        seen.append(iteration.number)
        if iteration.number == 2:
            raise EnoughIterations

    fit.factorize(matrix(5, 20, 20), RECIPE, report)
    assert seen == [1, 2]


def test_any_number_of_threads_gives_the_same_bits() -> None:
    rng = np.random.default_rng(1)
    confidences = csr_matrix(
        (rng.random((30_000, 40)) < 0.1) * np.float32(5)
    )  # several calls, and parts of the Gram matrix
    recipe = replace(RECIPE, iterations=2)
    expected = fit.factorize(confidences, recipe, None, threads=1)
    for threads in range(2, 9):
        found = fit.factorize(confidences, recipe, None, threads=threads)
        assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("width", [16, 64, 256])
def test_a_user_with_20000_likes_is_solved_as_by_implicit(target: int, width: int) -> None:
    """More likes than the buffer holds; beside the user, one with a single like."""
    rng = np.random.default_rng(2)
    dense = np.zeros((3, 25_000), dtype=np.float32)
    dense[0, rng.choice(25_000, 20_000, replace=False)] = 3.0
    dense[2, 24_999] = 8.0
    x, y = factors_of(3, 3, width), factors_of(4, 25_000, width)
    found, expected = (each(csr_matrix(dense), x, y, 5.0) for each in (half_pass, by_implicit))
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("confidence", [0.0, 1.0, 1e-30, 1e6])
def test_zero_and_huge_confidences_are_solved_as_by_implicit(target: int, confidence: float) -> None:
    confidences = abs(matrix(9, 30, 40))
    confidences.data[::2] = confidence
    y = factors_of(4, 40, 8)
    found, expected = (each(confidences, factors_of(3, 30, 8), y, 5.0) for each in (half_pass, by_implicit))
    np.testing.assert_allclose(found @ y.T, expected @ y.T, rtol=0, atol=5e-3 * np.abs(expected @ y.T).max())


def test_what_is_not_a_number_stays_in_its_row(target: int) -> None:
    confidences = abs(matrix(9, 30, 40))
    whole = half_pass(confidences, factors_of(3, 30, 8), factors_of(4, 40, 8), 5.0)
    confidences.data[confidences.indptr[5]] = np.nan
    found = half_pass(confidences, factors_of(3, 30, 8), factors_of(4, 40, 8), 5.0)
    assert np.isnan(found[5]).all()
    others = np.arange(30) != 5
    assert np.array_equal(found[others], whole[others])


def broken(indptr: list[int], indices: list[int], values: int) -> csr_matrix:
    """A matrix of 2 rows and 3 columns whose arrays scipy has not seen."""
    made = csr_matrix((2, 3), dtype=np.float32)
    made.indptr, made.indices = np.array(indptr), np.array(indices)
    made.data = np.ones(values, dtype=np.float32)
    return made


@pytest.mark.parametrize(
    ("indptr", "indices", "values", "cause"),
    [
        ([0, 1, 2], [0, 3], 2, "columns from 0 to 3, of 3"),
        ([0, 1, 2], [-1, 2], 2, "columns from -1 to 2, of 3"),
        ([0, 1, 3], [0, 1], 2, "row pointers"),
        ([0, 2, 1], [0, 1], 2, "row pointers"),
        ([1, 1, 2], [0, 1], 2, "row pointers"),
        ([0, 2], [0, 1], 2, "row pointers"),
        ([0, 1, 2], [0, 1], 1, "2 columns, but 1 values"),
    ],
)
def test_a_broken_matrix_is_refused(indptr: list[int], indices: list[int], values: int, cause: str) -> None:
    with pytest.raises(RecsysError, match=cause):
        Rows.of(broken(indptr, indices, values))


def test_factors_that_the_library_cannot_read_are_refused() -> None:
    rows = Rows.of(matrix(1, 4, 5))
    x, y = solver.zeros(4, 16), solver.zeros(5, 16)
    gram = np.eye(16, dtype=np.float32)
    for wrong_x, wrong_y in (
        (x[:3], y),
        (x, y[:4]),
        (x[:, :8], y[:, :8]),
        (x, solver.zeros(5, 32)),
        (x.astype(np.float64), y),
        (x, y.T.copy().T),
        (x, np.zeros(81, dtype=np.float32)[1:].reshape(5, 16)),
    ):
        with pytest.raises(RecsysError, match="do not fit"):
            solver.solve(rows, wrong_x, wrong_y, gram, 3)
    with pytest.raises(RecsysError, match="Gram matrix"):
        solver.solve(rows, x, y, gram[:8, :8], 3)


def test_movies_of_another_matrix_are_refused_when_solving() -> None:
    solve = least_squares.iterative(factors_of(1, 30, 4), 1.0)
    with pytest.raises(RecsysError, match="do not fit"):
        solve(matrix(1, 5, 40))


def test_an_interruption_ends_a_fit_between_calls() -> None:
    """As Ctrl-C does: an exception in the thread that waits."""
    rng = np.random.default_rng(1)
    confidences = csr_matrix((rng.random((20_000, 60)) < 0.3) * np.float32(5))
    columns = solver.padded(factors_of(1, 60, 256))
    rows, x = Rows.of(confidences), solver.zeros(20_000, 256)
    before = threading.active_count()
    main = threading.main_thread().ident
    assert main is not None
    interrupt = threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT))

    def work() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            solver.solve(rows, x, columns, np.eye(256, dtype=np.float32), 200, 2)

    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        work()
    interrupt.join()
    assert threading.active_count() == before
