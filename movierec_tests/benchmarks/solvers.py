"""One iteration of several solvers on the matrix that the graph fitted, and what this machine could do at most.

Belongs here: alternating rounds, the arithmetic of an iteration, and the machine's floor for it. Does not: the bare fit
that runs are compared with (`bare_fit`), and limits (`targets`).

    python -m movierec_tests.benchmarks.solvers STORAGE_DIR RESULT_JSON

irspack, a solver of others, takes part where it is installed. It is no dependency of the project.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from movierec_assets.recsys.engine import Iteration
from movierec_assets.recsys.native import fit as native_fit
from movierec_assets.recsys.native import library
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.threads import thread_count
from movierec_tests.benchmarks.bare_fit import stored_split, weighted

IMPLICIT, OURS, IRSPACK = "implicit", "this project", "irspack"
WIDTHS = (64, 128)
_ROUNDS = 3
_STEPS = 3
"""Steps of conjugate gradients in half a pass, of all solvers."""
_GEMM, _BYTES = 2048, 2**28


@dataclass(frozen=True)
class Solver:
    """A solver in one configuration.

    Attributes
    ----------
    name : str
    factors, threads : int
    """

    name: str
    factors: int
    threads: int

    @property
    def text(self) -> str:
        """For people."""
        return f"{self.name}, {self.factors} factors, {self.threads} thread{'s' if self.threads > 1 else ''}"


@dataclass(frozen=True)
class Solvers:
    """Seconds of an iteration of each solver in each round, and the floor of the machine.

    Attributes
    ----------
    solvers : list of Solver
    seconds : list of list of float
        Of each solver, the second iteration of each round: the first finds nothing in the caches.
    positives, users, movies : int
    gemm : list of float
        Single precision operations per second of a matrix product, in each round, all threads together.
    read : list of float
        Bytes per second that are read from memory, likewise.
    """

    solvers: list[Solver]
    seconds: list[list[float]]
    positives: int
    users: int
    movies: int
    gemm: list[float]
    read: list[float]

    def share(self, of: Solver, beside: Solver) -> float | None:
        """Seconds of one solver as a share of another's: the median of the rounds; None where one did not run."""
        found = dict(zip(self.solvers, self.seconds, strict=True))
        if of not in found or beside not in found:
            return None
        return statistics.median(ours / theirs for ours, theirs in zip(found[of], found[beside], strict=True))

    def operations(self, factors: int) -> float:
        """Additions and multiplications of an iteration.

        Each half of a pass multiplies every like with the residual and with the direction of each step, twice two
        operations a factor. Each row multiplies as many vectors with the Gram matrix, which is computed once.
        """
        rows = self.users + self.movies
        of_likes = 2 * self.positives * (1 + _STEPS) * 4 * factors
        of_rows = rows * (1 + _STEPS) * 2 * factors**2
        return float(of_likes + of_rows + rows * 2 * factors**2)

    def bytes(self, factors: int) -> float:
        """Bytes that an iteration has to read at the least: for each like, the vector of the other side once."""
        return float(2 * self.positives * (4 * factors + 8))


def measure(matrix: csr_matrix, rounds: int = _ROUNDS) -> Solvers:
    """Run all solvers in turn.

    Parameters
    ----------
    matrix : csr_matrix, shape (n_users, n_movies)
        Confidences.
    rounds : int
    """
    threads = thread_count(0)
    found: dict[Solver, Callable[[], float]] = {}
    for factors in WIDTHS:
        found[Solver(IMPLICIT, factors, threads)] = partial(_implicit, matrix, factors, threads)
        if library.why_not() is None:
            found[Solver(OURS, factors, threads)] = partial(_ours, matrix, factors, threads)
    if library.why_not() is None and threads > 1:
        found[Solver(OURS, WIDTHS[0], 1)] = partial(_ours, matrix, WIDTHS[0], 1)
    if _has_irspack():
        found[Solver(IRSPACK, WIDTHS[0], threads)] = partial(_irspack, matrix, WIDTHS[0], threads)
    seconds: list[list[float]] = [[] for _ in found]
    gemm, read = [], []
    for _ in range(rounds):
        for of_solver, iteration in zip(seconds, found.values(), strict=True):
            of_solver.append(iteration())
        gemm.append(_gemm())
        read.append(_read())
    users, movies = matrix.shape
    return Solvers([*found], seconds, int(matrix.nnz), int(users), int(movies), gemm, read)


def _recipe(factors: int) -> Recipe:
    return replace(Recipe(), factors=factors, iterations=2)


def _implicit(matrix: csr_matrix, factors: int, threads: int) -> float:
    recipe, seconds = _recipe(factors), list[float]()
    with threadpool_limits(1, user_api="blas"):
        model = AlternatingLeastSquares(
            factors=factors,
            regularization=recipe.regularization,
            iterations=recipe.iterations,
            random_state=recipe.seed,
            num_threads=threads,
        )
        model.fit_callback = lambda _number, took, _loss: seconds.append(took)
        model.fit(matrix, show_progress=False)
    return seconds[-1]


def _ours(matrix: csr_matrix, factors: int, threads: int) -> float:
    seconds: list[float] = []

    def report(iteration: Iteration) -> None:
        seconds.append(iteration.seconds)

    native_fit.factorize(matrix, _recipe(factors), report, threads=threads)
    return seconds[-1]


def _has_irspack() -> bool:
    try:
        import irspack  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
    except ImportError:
        return False
    return True


def _irspack(matrix: csr_matrix, factors: int, threads: int) -> float:
    """One epoch more or less: irspack has no report of its iterations."""
    from irspack import IALSRecommender  # type: ignore[import-not-found, unused-ignore]

    recipe, took = _recipe(factors), []
    for epochs in (1, 2):
        started = time.perf_counter()
        IALSRecommender(
            matrix,
            n_components=factors,
            alpha0=1 / recipe.alpha,
            reg=recipe.regularization,
            train_epochs=epochs,
            n_threads=threads,
            max_cg_steps=_STEPS,
        ).learn()
        took.append(time.perf_counter() - started)
    return took[1] - took[0]


def _gemm() -> float:
    left = np.ones((_GEMM, _GEMM), dtype=np.float32)
    left @ left  # the threads of BLAS start
    started = time.perf_counter()
    left @ left
    return float(2 * _GEMM**3 / (time.perf_counter() - started))


def _read() -> float:
    """By one thread; sums of 32-bit integers are limited by memory."""
    numbers = np.ones(_BYTES // 4, dtype=np.int32)
    started = time.perf_counter()
    int(np.bitwise_or.reduce(numbers))
    return float(_BYTES / (time.perf_counter() - started))


def solvers_of(values: dict[str, object]) -> Solvers:
    """From JSON."""
    read = dict(values)
    read["solvers"] = [Solver(**each) for each in read["solvers"]]  # type: ignore[attr-defined]
    return Solvers(**read)  # type: ignore[arg-type]


def main(storage: str, result: str) -> None:
    """Measure on all likes before the test part, and write the figures."""
    matrix = weighted(stored_split(Path(storage)).before("test"))
    Path(result).write_text(json.dumps(asdict(measure(matrix))), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
