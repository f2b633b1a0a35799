"""Targets: what a run at the size of MovieLens 20M, and a day after it, may cost.

Belongs here: limits as ratios, and the comparison of every limit with what was measured. Does not: limits in seconds,
which are in `reference_machine`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from movierec_tests.benchmarks.days import Days
from movierec_tests.benchmarks.next_movies import NextMoviesCount
from movierec_tests.benchmarks.reference_machine import APPEND_LIMIT, STAGE_LIMITS, SpeedFactors
from movierec_tests.benchmarks.stages import (
    DESCRIPTIONS,
    EVALUATE,
    FITTING,
    LOAD,
    OF_SIGNAL,
    PREPARE,
    RECOMMEND,
    REFRESH,
    SCORED_FIT,
    SHARED_WITH_ORIGINAL,
    Stage,
)

FULL_SIZE = 19_000_000
"""Ratings from which on the targets are judged."""

FIT_LIMIT, WHOLE_LIMIT = 1.1, 5.0
"""Bare fits that the scored fit, and a whole run, may take."""
NEXT_MOVIES_LIMIT, SIGNAL_LIMIT = 0.4, 0.6
"""Bare fits that counting the next movies, and all stages of the next-movie signal, may take."""
MIN_SPEEDUP = 5.0
"""How many times faster than the original recipe all other stages must be."""
MEMORY_LIMIT_MB, MEMORY_SHARE = 3000.0, 1 / 3
"""Of the largest process, and as a share of the original recipe's. Counting may take as much by itself."""
WARM_SHARE = 1 / 3
"""Share of a cold start's iterations that a warm start may need."""


@dataclass(frozen=True)
class Target:
    """One target, and what was measured.

    Attributes
    ----------
    name, limit, measured : str
        As the report shows them.
    met : bool or None
        None where the data is too small.
    off_by : float
        Factor by which the limit was missed; at most 1 when it was met.
    allowance : float
        Factor by which the limit may be missed on this machine, which is slower than the reference machine.
    """

    name: str
    limit: str
    measured: str
    met: bool | None
    off_by: float
    allowance: float = 1.0

    @property
    def verdict(self) -> str:
        """Whether it was met, and by which factor it was missed."""
        if self.met is None:
            return "not judged"
        if not self.met:
            return "not met" + (f": off by {self.off_by:.2f} times" if isfinite(self.off_by) else "")
        return "met" if self.off_by <= 1 else f"off by {self.off_by:.2f} times: slower machine"


def targets(
    stages: Sequence[Stage],
    *,
    ratings: int,
    whole_seconds: float,
    bare_seconds: float,
    speed: SpeedFactors,
    peak_mb: float,
    original: dict[str, float],
    original_peak_mb: float,
    next_movies: NextMoviesCount,
    next_movies_peak_mb: float,
) -> list[Target]:
    """Compare a run with every target.

    Parameters
    ----------
    stages : sequence of Stage
        Of the graph.
    ratings : int
        Of the dataset; fewer than `FULL_SIZE` are not judged.
    whole_seconds, bare_seconds : float
        Of the whole run and of the bare fit.
    speed : SpeedFactors
    peak_mb, original_peak_mb : float
        Of the largest process of the graph, and of the original recipe's process.
    original : dict of float
        Seconds of the original's stages, by the names of the graph's.
    next_movies : NextMoviesCount
    next_movies_peak_mb : float
        Of the process that counts them.
    """
    judged = ratings >= FULL_SIZE
    seconds = {stage.name: stage.seconds for stage in stages}
    found: list[Target] = []

    def add(name: str, limit: str, measured: str, off_by: float, allowance: float = 1.0) -> None:
        found.append(Target(name, limit, measured, off_by <= allowance if judged else None, off_by, allowance))

    def in_seconds(stage: str) -> None:
        limit, measured = STAGE_LIMITS[stage], seconds[stage]
        text = f"{measured:.1f} s, {measured / bare_seconds:.2f} bare fits"
        add(DESCRIPTIONS[stage], f"≤ {limit:g} s", text, measured / limit, speed.allowance)

    for stage in (LOAD, REFRESH, PREPARE):
        in_seconds(stage)
    fit = seconds[SCORED_FIT] / bare_seconds
    add("fit, 64 factors, 15 iterations", f"≤ {FIT_LIMIT:g} x bare fit", _times(fit), fit / FIT_LIMIT)
    add(
        "next movies, counted for a split, beside a bare fit",
        f"≤ {NEXT_MOVIES_LIMIT:g} x bare fit and ≤ {MEMORY_LIMIT_MB / 1000:g} GB",
        f"{_times(next_movies.bare_fits)}, {next_movies_peak_mb / 1000:.2f} GB",
        max(next_movies.bare_fits / NEXT_MOVIES_LIMIT, next_movies_peak_mb / MEMORY_LIMIT_MB),
    )
    of_signal = sum(seconds.get(stage, 0.0) for stage in OF_SIGNAL) / bare_seconds
    add(
        "stages that the next-movie signal brings",
        f"≤ {SIGNAL_LIMIT:g} x bare fit",
        _times(of_signal),
        of_signal / SIGNAL_LIMIT,
    )
    for stage in (EVALUATE, RECOMMEND):
        in_seconds(stage)
    whole = whole_seconds / bare_seconds
    add(
        "whole refresh without search, cold, both fits included",
        f"≤ {WHOLE_LIMIT:g} x one bare fit",
        f"{_times(whole)} ({whole_seconds:.1f} s)",
        whole / WHOLE_LIMIT,
    )
    shared = [stage for stage in SHARED_WITH_ORIGINAL if stage not in FITTING]
    theirs = sum(original[stage] for stage in shared)
    speedup = theirs / sum(seconds[stage] for stage in shared)
    of_all = theirs / sum(stage.seconds for stage in stages if stage.name not in FITTING)
    add(
        "all stages other than fitting, together",
        f"≥ {MIN_SPEEDUP:g} x faster than the original's same stages",
        f"{_times(speedup)} ({_times(of_all)} with stages that the original does not have)",
        MIN_SPEEDUP / speedup,
    )
    share = peak_mb / original_peak_mb
    add(
        "peak RSS of any one process",
        f"≤ {MEMORY_LIMIT_MB / 1000:g} GB and ≤ 1/3 of the original's",
        f"{peak_mb / 1000:.2f} GB, {share:.2f} of the original's {original_peak_mb / 1000:.2f} GB",
        max(peak_mb / MEMORY_LIMIT_MB, share / MEMORY_SHARE),
    )
    return found


def day_targets(days: Days, speed: SpeedFactors, *, judged: bool) -> list[Target]:
    """Compare a day, on which ratings are appended and training continues, with its targets.

    Parameters
    ----------
    days : Days
    speed : SpeedFactors
    judged : bool
        Whether the dataset is of full size.
    """
    last, curves = days.days[-1], days.curves
    off_by = last.load_seconds / APPEND_LIMIT
    append = Target(
        f"{last.new_ratings:,} appended ratings into Postgres",
        f"≤ {APPEND_LIMIT:g} s",
        f"{last.load_seconds:.1f} s",
        off_by <= speed.allowance if judged else None,
        off_by,
        speed.allowance,
    )
    limit, measured, off_by = f"≤ {WARM_SHARE:.0%} of its iterations", f"no warm start: {last.start}", float("inf")
    if curves is not None:
        allowed, needed = int(WARM_SHARE * curves.cold_iterations), curves.iterations_to_cold
        limit = f"≤ {allowed} of {curves.cold_iterations}"
        if needed is None:
            measured = f"never, {max(curves.warm):.4f} of {curves.cold:.4f}"
        else:
            measured, off_by = f"{needed}", needed / allowed
    name = "warm start: iterations to a cold start's validation NDCG@10"
    return [append, Target(name, limit, measured, off_by <= 1 if judged else None, off_by)]


def _times(ratio: float) -> str:
    return f"{ratio:.2f} x"
