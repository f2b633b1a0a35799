"""Targets: what a run at the size of MovieLens 20M, and a day after it, may cost.

Belongs here: limits, and the comparison of every limit with what was measured. All limits are ratios within one run,
so they hold on every machine. Does not: measuring.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, isfinite

from movierec_tests.benchmarks.days import Days
from movierec_tests.benchmarks.next_movies import NextMoviesCount
from movierec_tests.benchmarks.solvers import IMPLICIT, OURS, WIDTHS, Solver, Solvers
from movierec_tests.benchmarks.stages import FITTING, OF_SIGNAL, SHARED_WITH_ORIGINAL, Stage

FULL_SIZE = 19_000_000
"""Ratings from which on the targets are judged."""

ITERATION_LIMITS = dict(zip(WIDTHS, (0.28, 0.35), strict=True))
"""Share of an iteration of `implicit` that one of ours may take, by the number of factors."""
MIN_THREADS_SPEEDUP = 1.8
"""How many times as fast two threads must be as one."""
WHOLE_LIMIT, DAY_LIMIT = 1.5, 0.7
"""Bare fits that a whole cold run, and a day with new ratings, may take."""
NEXT_MOVIES_LIMIT, SIGNAL_LIMIT = 0.4, 0.6
"""Bare fits that counting the next movies, and all stages of the next-movie signal, may take."""
MIN_SPEEDUP = 12.0
"""How many times faster than the original recipe all other stages must be."""
MEMORY_LIMIT_MB, MEMORY_SHARE = 2000.0, 1 / 3
"""Of the largest process, and as a share of the original recipe's."""
COUNTING_LIMIT_MB = 3000.0
"""Of a process that counts the next movies and fits by `implicit`."""
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
    """

    name: str
    limit: str
    measured: str
    met: bool | None
    off_by: float

    @property
    def verdict(self) -> str:
        """Whether it was met, and by which factor it was missed."""
        if self.met is None:
            return "not judged"
        if not self.met:
            return "not met" + (f": off by {self.off_by:.2f} times" if isfinite(self.off_by) else "")
        return "met"


@dataclass(frozen=True)
class Growth:
    """Ratings of a run, and its seconds without the fits."""

    ratings: int
    seconds: float


def targets(
    stages: Sequence[Stage],
    *,
    ratings: int,
    whole_seconds: float,
    bare_seconds: float,
    solvers: Solvers,
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
    solvers : Solvers
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

    def add(name: str, limit: str, measured: str, off_by: float) -> None:
        found.append(Target(name, limit, measured, off_by <= 1 if judged else None, off_by))

    for each in _of_solvers(solvers):
        add(*each)

    whole = whole_seconds / bare_seconds
    add(
        "whole refresh without search, cold, evaluation and serving included",
        f"≤ {WHOLE_LIMIT:g} x one bare fit",
        f"{_times(whole)} ({whole_seconds:.1f} s)",
        whole / WHOLE_LIMIT,
    )
    add(
        "next movies, counted for a split, beside a bare fit",
        f"≤ {NEXT_MOVIES_LIMIT:g} x bare fit and ≤ {COUNTING_LIMIT_MB / 1000:g} GB",
        f"{_times(next_movies.bare_fits)}, {next_movies_peak_mb / 1000:.2f} GB",
        max(next_movies.bare_fits / NEXT_MOVIES_LIMIT, next_movies_peak_mb / COUNTING_LIMIT_MB),
    )
    of_signal = sum(seconds.get(stage, 0.0) for stage in OF_SIGNAL) / bare_seconds
    add(
        "stages that the next-movie signal brings",
        f"≤ {SIGNAL_LIMIT:g} x bare fit",
        _times(of_signal),
        of_signal / SIGNAL_LIMIT,
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


def _of_solvers(solvers: Solvers) -> Iterator[tuple[str, str, str, float]]:
    """Name, limit, what was measured, and the factor by which the limit was missed."""
    threads = max(each.threads for each in solvers.solvers)
    none = "not measured: there is no native library"
    for factors, limit in ITERATION_LIMITS.items():
        share = solvers.share(Solver(OURS, factors, threads), Solver(IMPLICIT, factors, threads))
        yield (
            f"iteration, {factors} factors, beside one of `implicit`",
            f"≤ {limit:g} x",
            none if share is None else _times(share),
            inf if share is None else share / limit,
        )
    if threads == 2:
        speedup = solvers.share(Solver(OURS, WIDTHS[0], 1), Solver(OURS, WIDTHS[0], 2))
        yield (
            f"iteration, {WIDTHS[0]} factors, two threads over one",
            f"≥ {MIN_THREADS_SPEEDUP:g} x faster",
            none if speedup is None else _times(speedup),
            inf if speedup is None else MIN_THREADS_SPEEDUP / speedup,
        )


def day_targets(days: Days, bare_seconds: float, *, judged: bool) -> list[Target]:
    """Compare a day, on which ratings are appended and training continues, with its targets.

    Parameters
    ----------
    days : Days
    bare_seconds : float
        Of the bare fit.
    judged : bool
        Whether the dataset is of full size.
    """
    last, curves = days.days[-1], days.curves
    bare_fits = last.seconds / bare_seconds
    of_day = Target(
        f"a day with {last.new_ratings:,} new ratings, whole run",
        f"≤ {DAY_LIMIT:g} x one bare fit",
        f"{_times(bare_fits)} ({last.seconds:.1f} s)",
        bare_fits <= DAY_LIMIT if judged else None,
        bare_fits / DAY_LIMIT,
    )
    limit, measured, off_by = f"≤ {WARM_SHARE:.0%} of its iterations", f"no warm start: {last.start}", inf
    if curves is not None:
        allowed, needed = int(WARM_SHARE * curves.cold_iterations), curves.iterations_to_cold
        limit = f"≤ {allowed} of {curves.cold_iterations}"
        if needed is None:
            measured = f"never, {max(curves.warm):.4f} of {curves.cold:.4f}"
        else:
            measured, off_by = f"{needed}", needed / allowed
    name = "warm start: iterations to a cold start's validation NDCG@10"
    return [of_day, Target(name, limit, measured, off_by <= 1 if judged else None, off_by)]


def growth_target(first: Growth, last: Growth, *, judged: bool) -> Target:
    """Compare what a run costs beside fitting at two sizes: it may grow as the ratings do.

    Parameters
    ----------
    first, last : Growth
        Of the smallest and of the largest run.
    judged : bool
    """
    times, of_ratings = last.seconds / first.seconds, last.ratings / first.ratings
    off_by = times / of_ratings
    return Target(
        f"growth of all but fitting, for {of_ratings:.1f} times the ratings",
        "≤ that many times",
        _times(times),
        off_by <= 1 if judged else None,
        off_by,
    )


def _times(ratio: float) -> str:
    return f"{ratio:.2f} x"
