"""The report of the API: Markdown for people.

Belongs here: layout. Does not: measuring, limits (`targets`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from movierec_assets.recsys.report import markdown_table
from movierec_tests.benchmarks.api.kills import RATE, described
from movierec_tests.benchmarks.api.measurement import ApiBenchmark
from movierec_tests.benchmarks.api.rates import CONNECTIONS, FLOOR
from movierec_tests.benchmarks.targets import Target

MARKDOWN, JSON = "api.md", "api.json"


def write(found: ApiBenchmark, directory: Path) -> None:
    """Write `api.md` and `api.json`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / JSON).write_text(as_json(found) + "\n", encoding="utf-8")
    (directory / MARKDOWN).write_text(as_markdown(found), encoding="utf-8")


def as_json(found: ApiBenchmark) -> str:
    """All results."""
    return json.dumps(asdict(found), indent=2, ensure_ascii=False)


def as_markdown(found: ApiBenchmark) -> str:
    """The report by itself."""
    machine = ", ".join(f"{name} {value}" for name, value in found.machine.items())
    title = f"# Benchmark of the API: {found.users:,} users, {found.movies:,} movies"
    return "\n\n".join([title, f"{machine}.", *sections(found)]) + "\n"


def sections(found: ApiBenchmark) -> Iterator[str]:
    """The sections about the API."""
    yield "## The API"
    yield (
        "A load generator on the same machine sends requests over kept connections. The floor route has the body model "
        "of `/recommend`, passes through the same layers of the same application, and answers 1.5 KB of ready bytes. "
        f"Routes are loaded in turn, {len(found.routes[0].rounds)} rounds, {CONNECTIONS} connections, one worker."
    )
    yield table(["target", "limit", "measured", ""], targets_rows(found.targets))
    yield from _routes(found)
    yield from _soak(found)
    yield from _changes(found)
    yield from _answers(found)
    if found.kills:
        yield from _kills(found)


def targets_rows(targets: Sequence[Target]) -> list[list[str]]:
    """Rows of a table of targets."""
    return [[each.name, each.limit, each.measured, each.verdict] for each in targets]


def _routes(found: ApiBenchmark) -> Iterator[str]:
    yield "### Rates"
    steady = next(each.steady for each in found.routes if each.name == FLOOR)
    header = [
        "route",
        "requests/s",
        "of the floor's",
        "processor, us",
        "of the floor's",
        "p50, ms",
        "p99, ms",
        "p99 at the steady rate, ms",
        "failed",
    ]
    rows = [
        [
            route.name,
            f"{route.rate:,.0f}",
            f"{route.of_floor:.2f}",
            f"{route.processor_us:.0f}",
            f"{route.of_floor_processor:.2f}",
            f"{_median(route.rounds, 'p50'):.1f}",
            f"{_median(route.rounds, 'p99'):.1f}",
            f"{route.steady.latencies['p99']:.1f}",
            f"{route.errors}",
        ]
        for route in found.routes
    ]
    yield table(header, rows)
    own = sorted(1e6 * each.own_processor / each.answered for route in found.routes for each in route.rounds)
    yield (
        "Processor time is the worker's for one request. Shares are medians over the rounds: of the route's requests "
        "per second in the floor's, and of the floor's processor time in the route's. The generator itself took "
        f"{own[len(own) // 2]:.0f} us a request. The steady rate is half of the rate of {found.routes[0].half_of}, "
        f"{steady.answered / steady.seconds:.0f} requests/s, for all routes; requests arrive at random times."
    )


def _soak(found: ApiBenchmark) -> Iterator[str]:
    soak = found.soak
    yield "### Memory and start"
    yield table(
        ["", "before", f"after {soak.load.answered:,} requests"],
        [
            ["resident memory of the worker, MB", f"{soak.before.resident:.0f}", f"{soak.after.resident:.0f}"],
            ["of it not shared, MB", f"{soak.before.own:.0f}", f"{soak.after.own:.0f}"],
        ],
    )
    yield (
        f"At full load, {soak.load.rate:,.0f} requests/s, {soak.load.errors} failed. From the start of `movierec api` "
        f"until it is ready: {found.start.first:.1f} s with nothing prepared, {found.start.again:.1f} s at a later "
        "start."
    )


def _changes(found: ApiBenchmark) -> Iterator[str]:
    changes = found.changes
    yield "### Changes of the champion"
    yield (
        f"{len(changes.changes)} promotions under full load, {changes.load.answered:,} requests in "
        f"{changes.load.seconds:.0f} s: {changes.load.errors} failed, {changes.stale} answers named a version that was "
        "not champion within the last 30 s. Seconds from each promotion to the first answer of the new version: "
        f"{', '.join(f'{each:.1f}' for each in changes.seconds)}."
    )


def _answers(found: ApiBenchmark) -> Iterator[str]:
    reflected, search = found.reflected, found.search
    yield "### Fresh answers, and search"
    yield (
        f"{reflected.reflected:,} of {reflected.posted:,} ratings of the first movie of a list were reflected in the "
        f"next list; posting one took {reflected.post_ms:.1f} ms (median)."
    )
    timed = search.one_by_one
    times = f", p50 {timed.latencies['p50']:.1f} ms, p99 {timed.latencies['p99']:.1f} ms" if timed else ""
    yield (
        f"Of {search.titles} titles with one or two typing errors, among {search.movies:,}, {search.found} are first "
        f"or second{times}."
    )
    if search.missed:
        yield f"Not found: {', '.join(search.missed)}."


def _kills(found: ApiBenchmark) -> Iterator[str]:
    yield "### Killed under load"
    yield (
        f"`kill -9` at {RATE:.0f} requests/s and two workers. Half of the requests are for people without an id who "
        "like three movies; these need no database. What clients saw:"
    )
    yield table(
        ["killed", "what clients saw", "sources of the answers"],
        [
            [
                kill.process,
                described(kill),
                ", ".join(f"{count:,} {source or 'none'}" for source, count in sorted(kill.sources.items())),
            ]
            for kill in found.kills
        ],
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown with numbers to the right."""
    return markdown_table(header, rows, align_right=True)


def _median(rounds: Sequence[object], name: str) -> float:
    values = sorted(each.latencies[name] for each in rounds)  # type: ignore[attr-defined]
    return float(values[len(values) // 2])
