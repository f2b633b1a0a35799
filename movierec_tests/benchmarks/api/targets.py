"""Targets of the API: rates as shares of the floor route's, memory, failures.

Belongs here: limits, and the comparison of each with what was measured. Does not: measuring.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from movierec_tests.benchmarks.api.rates import FLOOR, RouteRate
from movierec_tests.benchmarks.targets import Target

if TYPE_CHECKING:
    from movierec_tests.benchmarks.api.measurement import ApiBenchmark

FULL_SIZE = 27_000
"""Movies in the catalogue from which on the targets are judged."""
LIVE_SHARE, STORED_SHARE = 0.40, 0.60
P99_MS, P99_TIMES = 25.0, 2.0
SOAK_REQUESTS = 100_000
MEMORY_MB, MEMORY_GROWTH = 600.0, 0.10
READY_SECONDS = 8.0
CHANGES = 10
POSTED = 1000
SEARCH_MS, SEARCH_TITLES, SEARCH_FOUND = 5.0, 200, 190


def targets(found: ApiBenchmark) -> list[Target]:
    """Compare a measurement with every target; small data, or a shortened run, is not judged."""
    judged = found.movies >= FULL_SIZE and found.full
    return [
        Target(name, limit, measured, off_by <= 1 if judged else None, off_by)
        for name, limit, measured, off_by in _limits(found)
    ]


def _limits(found: ApiBenchmark) -> Iterator[tuple[str, str, str, float]]:
    from movierec_tests.benchmarks.api.measurement import LIVE, NOTHING_NEW

    floor, live = found.route(FLOOR), found.route(LIVE)
    for route, share in ((live, LIVE_SHARE), (found.route(NOTHING_NEW), STORED_SHARE)):
        yield (
            f"requests/s: {route.name}",
            f"≥ {share:.2f} of the {FLOOR}'s",
            f"{route.of_floor:.2f} ({route.rate:.0f} of {floor.rate:.0f}/s)",
            share / route.of_floor if route.of_floor else float("inf"),
        )
    p99, of_floor = live.steady.latencies["p99"], floor.steady.latencies["p99"]
    yield (
        f"p99 at half that rate: {live.name}",
        f"≤ {P99_MS:g} ms or ≤ {P99_TIMES:g} x the {FLOOR}'s",
        f"{p99:.1f} ms, {p99 / of_floor:.1f} x",
        min(p99 / P99_MS, p99 / of_floor / P99_TIMES),
    )
    soak = found.soak
    yield (
        f"failed requests of {SOAK_REQUESTS:,} at full load",
        "0",
        f"{soak.load.errors} of {soak.load.answered:,}",
        _none(soak.load.errors),
    )
    growth = soak.after.resident / soak.before.resident - 1
    yield (
        "memory of the worker after them",
        f"≤ {MEMORY_MB:g} MB and within {MEMORY_GROWTH:.0%} of before",
        f"{soak.after.resident:.0f} MB, {growth:+.1%}",
        max(soak.after.resident / MEMORY_MB, growth / MEMORY_GROWTH),
    )
    yield "start to ready", f"≤ {READY_SECONDS:g} s", f"{found.start.again:.1f} s", found.start.again / READY_SECONDS
    changes = found.changes
    bad = changes.load.errors + changes.stale + sum(each.answered is None for each in changes.changes)
    yield (
        f"{len(changes.changes)} changes of the champion under full load",
        "no failed request, no version older than 30 s",
        f"{changes.load.errors} failed, {changes.stale} older, of {changes.load.answered:,}",
        _none(bad),
    )
    reflected = found.reflected
    yield (
        "posted ratings reflected in the next recommendation",
        f"{reflected.posted:,} of {reflected.posted:,}",
        f"{reflected.reflected:,}",
        _none(reflected.posted - reflected.reflected),
    )
    search = found.search
    p50 = search.one_by_one.latencies["p50"] if search.one_by_one else float("inf")
    yield f"search among {search.movies:,} titles, p50", f"≤ {SEARCH_MS:g} ms", f"{p50:.1f} ms", p50 / SEARCH_MS
    needed = SEARCH_FOUND * search.titles / SEARCH_TITLES
    yield (
        "titles with typing errors that are first or second",
        f"≥ {needed:.0f} of {search.titles}",
        f"{search.found}",
        needed / search.found if search.found else float("inf"),
    )


def _none(count: int) -> float:
    """Factor by which a limit of none is missed."""
    return 0.0 if count == 0 else float("inf")


__all__ = ["RouteRate", "targets"]
