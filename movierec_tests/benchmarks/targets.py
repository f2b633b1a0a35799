"""What a run at the size of MovieLens 20M may cost, and the days after it, and whether they did.

Belongs here: the limits and the arithmetic. Measuring is in `measure`, the stages in `stages`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Self

from movierec_tests.benchmarks.bare_copy import Floor
from movierec_tests.benchmarks.bare_fit import ITERATIONS, BareFit
from movierec_tests.benchmarks.days import Days
from movierec_tests.benchmarks.stages import (
    BESIDE_THE_ORIGINAL,
    DESCRIPTIONS,
    EVALUATE,
    FITTING,
    LOAD,
    PREPARE,
    RECOMMEND,
    REFRESH,
    SCORED_FIT,
    Stage,
)

FULL_SIZE = 19_000_000
"""Ratings from which a run is of the size that the targets are for."""

SECONDS = {LOAD: 25.0, REFRESH: 4.0, PREPARE: 12.0, EVALUATE: 10.0, RECOMMEND: 12.0}
FIT_TIMES_BARE, WHOLE_TIMES_BARE, TIMES_FASTER = 1.1, 5.0, 5.0
MEMORY_MB, MEMORY_SHARE = 3000.0, 1 / 3
APPEND_SECONDS, WARM_SHARE = 5.0, 1 / 3

REFERENCE_FIT = 1.3 / 9.3e6
REFERENCE_COPY = 1 / 4.5e6
REFERENCE_KEY = 3.5 / 19e6
"""What the machine took that the seconds were seen on: an iteration of the bare fit for each positive, COPY of each
rating into Postgres, and a primary key for each rating."""


@dataclass(frozen=True)
class Pace:
    """How many times as long this machine takes as the one that the seconds were seen on.

    Attributes
    ----------
    fit, copy, key : float
        For the bare fit, for COPY into Postgres, and for a primary key there; measured in the same run.
    """

    fit: float
    copy: float
    key: float

    @classmethod
    def of(cls, bare: BareFit, floor: Floor, ratings: int) -> Self:
        """From what was measured beside the graph."""
        return cls(
            fit=bare.seconds / (ITERATIONS * bare.positives * REFERENCE_FIT),
            copy=floor.copy_in / (ratings * REFERENCE_COPY),
            key=floor.primary_key / (ratings * REFERENCE_KEY),
        )

    @property
    def allowed(self) -> float:
        """How many times the seconds a stage may take here: the least of the three, and never less than 1."""
        return max(1.0, min(self.fit, self.copy, self.key))


@dataclass(frozen=True)
class Target:
    """One target, and what was measured.

    Attributes
    ----------
    name, limit, measured : str
        As the report shows them.
    met : bool or None
        None where the data is too small for the target to mean anything.
    off_by : float
        How many times the limit was missed by; at most 1 when it was met.
    allowed : float
        How many times the limit is within this machine's pace.
    """

    name: str
    limit: str
    measured: str
    met: bool | None
    off_by: float
    allowed: float = 1.0

    @property
    def verdict(self) -> str:
        """Met or not, and by how much not."""
        if self.met is None:
            return "not judged"
        if not self.met:
            return "not met" + (f": off by {self.off_by:.2f} times" if isfinite(self.off_by) else "")
        return "met" if self.off_by <= 1 else f"over by {self.off_by:.2f} times, within this machine's pace"


def targets(
    stages: Sequence[Stage],
    *,
    ratings: int,
    whole_seconds: float,
    bare_seconds: float,
    pace: Pace,
    peak_mb: float,
    original: dict[str, float],
    original_peak_mb: float,
) -> list[Target]:
    """Every target beside what was measured.

    Parameters
    ----------
    stages : sequence of Stage
        Of the graph.
    ratings : int
        Of the dataset; fewer than `FULL_SIZE` are not judged.
    whole_seconds, bare_seconds : float
        Of the whole run and of the bare fit.
    pace : Pace
        Of the machine.
    peak_mb, original_peak_mb : float
        Of the largest process of the graph, and of the original recipe's process.
    original : dict of float
        Seconds of the original's stages, by the names of the graph's.
    """
    judged = ratings >= FULL_SIZE
    seconds = {stage.name: stage.seconds for stage in stages}
    found: list[Target] = []

    def add(name: str, limit: str, measured: str, off_by: float, allowed: float = 1.0) -> None:
        found.append(Target(name, limit, measured, off_by <= allowed if judged else None, off_by, allowed))

    def in_seconds(stage: str) -> None:
        limit, measured = SECONDS[stage], seconds[stage]
        told = f"{measured:.1f} s, {measured / bare_seconds:.2f} bare fits"
        add(DESCRIPTIONS[stage], f"≤ {limit:g} s", told, measured / limit, pace.allowed)

    for stage in (LOAD, REFRESH, PREPARE):
        in_seconds(stage)
    fit = seconds[SCORED_FIT] / bare_seconds
    add("fit, 64 factors, 15 iterations", f"≤ {FIT_TIMES_BARE:g} x bare fit", _times(fit), fit / FIT_TIMES_BARE)
    for stage in (EVALUATE, RECOMMEND):
        in_seconds(stage)
    whole = whole_seconds / bare_seconds
    add(
        "whole refresh without search, cold, both fits included",
        f"≤ {WHOLE_TIMES_BARE:g} x one bare fit",
        f"{_times(whole)} ({whole_seconds:.1f} s)",
        whole / WHOLE_TIMES_BARE,
    )
    shared = [stage for stage in BESIDE_THE_ORIGINAL if stage not in FITTING]
    theirs = sum(original[stage] for stage in shared)
    faster = theirs / sum(seconds[stage] for stage in shared)
    strictly = theirs / sum(stage.seconds for stage in stages if stage.name not in FITTING)
    add(
        "all stages other than fitting, together",
        f"≥ {TIMES_FASTER:g} x faster than the original's same stages",
        f"{_times(faster)} ({_times(strictly)} with what the original does not do)",
        TIMES_FASTER / faster,
    )
    share = peak_mb / original_peak_mb
    add(
        "peak RSS of any one process",
        f"≤ {MEMORY_MB / 1000:g} GB and ≤ 1/3 of the original's",
        f"{peak_mb / 1000:.2f} GB, {share:.2f} of the original's {original_peak_mb / 1000:.2f} GB",
        max(peak_mb / MEMORY_MB, share / MEMORY_SHARE),
    )
    return found


def day_targets(days: Days, pace: Pace, *, judged: bool) -> list[Target]:
    """Those for a day on which ratings are appended and training goes on.

    Parameters
    ----------
    days : Days
    pace : Pace
        Of the machine.
    judged : bool
        Whether the dataset is of the size that the targets are for.
    """
    last, courses = days.days[-1], days.courses
    slow = last.load_seconds / APPEND_SECONDS
    append = Target(
        f"{last.new_ratings:,} appended ratings into Postgres",
        f"≤ {APPEND_SECONDS:g} s",
        f"{last.load_seconds:.1f} s",
        slow <= pace.allowed if judged else None,
        slow,
        pace.allowed,
    )
    most, needed, measured = WARM_SHARE, None, f"did not go on: {last.start}"
    limit = f"≤ {WARM_SHARE:.0%} of its iterations"
    if courses is not None:
        most, needed = int(WARM_SHARE * courses.cold_iterations), courses.iterations_to_cold
        limit = f"≤ {most} of {courses.cold_iterations}"
        measured = f"never, {max(courses.warm):.4f} of {courses.cold:.4f}" if needed is None else f"{needed}"
    off_by = float("inf") if needed is None else needed / most
    name = "warm start: iterations to a cold start's validation NDCG@10"
    return [append, Target(name, limit, measured, off_by <= 1 if judged else None, off_by)]


def _times(ratio: float) -> str:
    return f"{ratio:.2f} x"
