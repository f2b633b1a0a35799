"""Counting the next movies beside a bare fit, on the matrix that the graph fitted.

Belongs here: both in turn, so that a machine that is busy for a while slows both down.

    python -m movierec_tests.benchmarks.next_movies STORAGE_DIR RESULT_JSON
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from movierec_assets.recsys.next_movies import of_split
from movierec_assets.recsys.recipe import NextMovie
from movierec_assets.recsys.split import Split
from movierec_tests.benchmarks.bare_fit import seconds_of_fit, stored_split, weighted

_ROUNDS = 2


@dataclass(frozen=True)
class NextMoviesCount:
    """Seconds of counting both matrices of a split, and of a bare fit right after it.

    Attributes
    ----------
    counts, fits : list of float
        Of each round.
    """

    counts: list[float]
    fits: list[float]

    @property
    def bare_fits(self) -> float:
        """How many bare fits counting takes: the median of the rounds."""
        return statistics.median(count / fit for count, fit in zip(self.counts, self.fits, strict=True))


def measure(split: Split, rounds: int = _ROUNDS) -> NextMoviesCount:
    """Count with the built-in recipe's numbers, and fit, in turn."""
    fitted = weighted(split.history)
    counts, fits = [], []
    for _ in range(rounds):
        started = time.perf_counter()
        of_split(split, NextMovie())
        counts.append(time.perf_counter() - started)
        fits.append(seconds_of_fit(fitted))
    return NextMoviesCount(counts, fits)


def main(storage: str, result: str) -> None:
    """Measure, and write the seconds."""
    Path(result).write_text(json.dumps(asdict(measure(stored_split(Path(storage))))), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
