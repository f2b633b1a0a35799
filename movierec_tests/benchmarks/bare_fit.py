"""The bare fit: `implicit` alone, on the matrix that the graph fitted.

Belongs here: the lower bound of the stages that fit.

    python -m movierec_tests.benchmarks.bare_fit STORAGE_DIR RESULT_JSON
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.split import Split

FACTORS, ITERATIONS = 64, 15
_REPEAT_UNDER_SECONDS = 10.0
_MIN_FITS, _MAX_FITS = 2, 5


@dataclass(frozen=True)
class BareFit:
    """Seconds of the bare fit.

    Attributes
    ----------
    seconds : float
        Median of several fits. Short fits are repeated more often.
    fits : list of float
    positives : int
    """

    seconds: float
    fits: list[float]
    positives: int


def fit(positives: Interactions) -> BareFit:
    """Fit several times."""
    matrix = weighted(positives)
    fits: list[float] = []
    while len(fits) < _MIN_FITS or (sum(fits) < _REPEAT_UNDER_SECONDS and len(fits) < _MAX_FITS):
        fits.append(seconds_of_fit(matrix))
    return BareFit(statistics.median(fits), fits, len(positives))


def weighted(positives: Interactions) -> csr_matrix:
    """Likes that all weigh alpha of the built-in recipe."""
    return positives.weighted(np.full(len(positives), Recipe().alpha, dtype=np.float32))


def seconds_of_fit(matrix: csr_matrix) -> float:
    """Seconds of one fit, with regularization and seed of the built-in recipe."""
    recipe = Recipe()
    with threadpool_limits(1, user_api="blas"):
        model = AlternatingLeastSquares(
            factors=FACTORS, regularization=recipe.regularization, iterations=ITERATIONS, random_state=recipe.seed
        )
        started = time.perf_counter()
        model.fit(matrix, show_progress=False)
        return time.perf_counter() - started


def stored_split(storage: Path) -> Split:
    """The matrices of the last run."""
    parts = []
    for name in ("train_matrix", "validation_matrix", "test_matrix"):
        with np.load(storage / f"{name}.npz", allow_pickle=False) as arrays:
            parts.append(Interactions.from_arrays(arrays))
    return Split(*parts)


def main(storage: str, result: str) -> None:
    """Repeat the scored fit of `als_model`, on all likes before the test part, and write the seconds."""
    Path(result).write_text(json.dumps(asdict(fit(stored_split(Path(storage)).before("test")))), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
