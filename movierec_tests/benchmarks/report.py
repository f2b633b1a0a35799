"""The report of a benchmark: Markdown for people, JSON for programs.

Belongs here: layout. Nothing is computed but ratios for show.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from movierec_assets.recsys.rankers import MODEL, ORIGINAL
from movierec_tests.benchmarks import stages
from movierec_tests.benchmarks.bare_fit import FACTORS, ITERATIONS
from movierec_tests.benchmarks.benchmark import Bench, Measured, share_text
from movierec_tests.benchmarks.days import SHARE, Days
from movierec_tests.benchmarks.plot import draw
from movierec_tests.benchmarks.quality import RANKERS, Quality
from movierec_tests.benchmarks.stages import DESCRIPTIONS, Stage

IDLE_LOAD = 0.5
_SHOWN_OF_A_COURSE = 3
BUSY = (
    "The machine was busy with other work when this was measured (see the load before): seconds are too many, and "
    "stages and sizes cannot be compared closely."
)
MARKDOWN, JSON, PLOT = "report.md", "report.json", "plot.png"


def write(bench: Bench, directory: Path) -> None:
    """Write `report.md`, `report.json` and `plot.png`."""
    directory.mkdir(parents=True, exist_ok=True)
    draw(bench, directory / PLOT)
    (directory / JSON).write_text(as_json(bench) + "\n", encoding="utf-8")
    (directory / MARKDOWN).write_text(as_markdown(bench), encoding="utf-8")


def as_json(bench: Bench) -> str:
    """Everything that was measured."""
    return json.dumps(asdict(bench), indent=2, ensure_ascii=False)


def as_markdown(bench: Bench) -> str:
    """The report, with the picture beside it."""
    graph = bench.graph
    sections = [
        f"# Benchmark: {bench.dataset}",
        f"{graph.ratings:,} ratings of {graph.users:,} users. "
        + ", ".join(f"{name} {value}" for name, value in bench.machine.items())
        + ".",
        *([BUSY] if float(bench.machine["load before"]) > IDLE_LOAD else []),
        f"![Seconds, memory and growth]({PLOT})",
        *_targets(bench),
        *_graph(graph),
        *_floor(bench),
        *_original(bench),
        *(_growth(bench.growth) if bench.growth else ()),
        *(_days(bench.days) if bench.days else ()),
        *(_quality(bench.quality) if bench.quality else ()),
    ]
    return "\n\n".join(sections) + "\n"


def _targets(bench: Bench) -> Iterable[str]:
    yield "## Targets"
    missed = [target for target in bench.targets if target.met is False]
    pace = bench.pace
    if all(target.met is None for target in bench.targets):
        yield (
            "The targets are for 20 million ratings. At this size what costs the same at any size (start of Dagster, "
            "MLflow) outweighs the rest, so they are shown, not judged."
        )
    else:
        counts = [
            (sum(target.off_by <= 1 for target in bench.targets), "met"),
            (
                sum(bool(target.met) and target.off_by > 1 for target in bench.targets),
                "over, within this machine's pace",
            ),
            (len(missed), "not met"),
        ]
        yield f"Of {len(bench.targets)} targets: {', '.join(f'{count} {what}' for count, what in counts)}."
        yield (
            "Limits in seconds are those of the machine on which they were seen to be feasible. Beside it, this one "
            f"took {pace.fit:.2f} times as long for the bare fit, {pace.copy:.2f} times for COPY into Postgres and "
            f"{pace.key:.2f} times for a primary key, each measured once in this run. What is over its seconds by less "
            f"than the least of these, {pace.allowed:.2f} times, is within the machine's pace; that says what the "
            "machine costs only as far as a stage's work is like one of the three."
        )
    yield _table(
        ["target", "limit", "measured", ""],
        [[each.name, each.limit, each.measured, each.verdict] for each in bench.targets],
    )


def _graph(graph: Measured) -> Iterable[str]:
    yield "## The asset graph"
    yield (
        f"The job `everything` in a new state directory: {graph.seconds:.1f} s from the start of its process to its "
        f"end. Making the databases before it, once in a state directory, took {graph.prepare_seconds:.1f} s."
    )
    processes = [name for name in graph.peaks if any(name in stage.peaks for stage in graph.stages)]
    header = ["stage", "seconds", "share", "rows per second", *(f"{name}, MB" for name in processes)]
    rows = [
        [
            DESCRIPTIONS[stage.name],
            f"{stage.seconds:.2f}",
            f"{stage.share:.0%}",
            _speed(stage),
            *(_megabytes(stage.peaks.get(name)) for name in processes),
        ]
        for stage in graph.stages
    ]
    whole = ["whole", f"{graph.seconds:.2f}", "100%", "", *(_megabytes(graph.peaks[name]) for name in processes)]
    yield _table(header, [*rows, whole])
    yield (
        "Memory is the highest resident memory of one process while the stage ran; fits and MLflow share a step. Of a "
        "Postgres backend, it is without the buffers that it shares with the others."
    )
    if graph.bare:
        recipe = graph.recipe
        yield (
            f"Bare fit ({FACTORS} factors, {ITERATIONS} iterations, {graph.bare.positives:,} positives, nothing "
            f"around it): {graph.bare.seconds:.2f} s (of {len(graph.bare.fits)}: {min(graph.bare.fits):.2f} to "
            f"{max(graph.bare.fits):.2f} s), {graph.bare_peak_mb:,.0f} MB. The graph's recipe has "
            f"{recipe.get('factors')} factors and {recipe.get('iterations')} iterations; the fit that is scored also "
            "computes the training loss of each iteration."
        )


def _floor(bench: Bench) -> Iterable[str]:
    floor, ours = bench.floor, {stage.name: stage.seconds for stage in bench.graph.stages}
    yield "## Floor"
    yield (
        "Postgres alone, in the same run and over one connection: the same ratings from a file in its own format, and "
        "thrown away as they are read. Nothing is parsed, checked, sent or ranked."
    )
    yield _table(
        ["Postgres alone", "seconds", "part of the stage", "its seconds"],
        [
            ["COPY in", f"{floor.copy_in:.2f}", "", ""],
            ["primary key", f"{floor.primary_key:.2f}", "", ""],
            ["both", f"{floor.load:.2f}", DESCRIPTIONS[stages.LOAD], f"{ours[stages.LOAD]:.2f}"],
            ["COPY out", f"{floor.copy_out:.2f}", DESCRIPTIONS[stages.RECOMMEND], f"{ours[stages.RECOMMEND]:.2f}"],
        ],
    )


def _original(bench: Bench) -> Iterable[str]:
    original, ours = bench.original, {stage.name: stage.seconds for stage in bench.graph.stages}
    theirs = stages.original_stages(original)
    yield "## Beside the original recipe"
    yield (
        "In the same run and on the same server: COPY into tables that have their keys and indexes already, view of "
        "users with more than five ratings, `pandas.read_sql`, split user by user, BM25, 128 factors, 25 iterations, "
        "top 10 and metrics."
    )
    rows = [
        [DESCRIPTIONS[name], f"{ours[name]:.2f}", f"{seconds:.2f}", _ratio(seconds, ours[name])]
        for name, seconds in theirs.items()
    ]
    names = list(theirs)
    rest = [name for name in names if name not in stages.FITTING]
    for label, chosen in (("all but fitting", rest), ("together", names)):
        mine, other = (sum(seconds[name] for name in chosen) for seconds in (ours, theirs))
        rows.append([label, f"{mine:.2f}", f"{other:.2f}", _ratio(other, mine)])
    rows.append(
        [
            "peak of the largest process, MB",
            _megabytes(bench.graph.peak_mb),
            _megabytes(bench.original_peak_mb),
            _ratio(bench.original_peak_mb, bench.graph.peak_mb),
        ]
    )
    yield _table(["", "this graph", "original recipe", "times less"], rows)
    parts = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in original.seconds.items())
    yield (
        f"The original's parts: {parts}. Its largest Postgres backend took {bench.original_postgres_mb:,.0f} MB; its "
        f"NDCG@10 for {original.users:,} users is {original.metrics['ndcg_at_10']:.4f}."
    )


def _growth(growth: Sequence[Measured]) -> Iterable[str]:
    yield "## Growth"
    done = [each for each in growth if not each.failures]
    names = [name for name in DESCRIPTIONS if any(stage.name == name for each in done for stage in each.stages)]
    header = ["users", *(f"{share_text(each.share)}" for each in growth)]
    seconds = [{stage.name: stage.seconds for stage in each.stages} for each in growth]
    rows: list[list[str]] = [
        ["ratings", *(f"{each.ratings:,}" for each in growth)],
        ["**whole run, s**", *(f"{each.seconds:.1f}" for each in growth)],
        ["bare fit, s", *(f"{each.bare.seconds:.2f}" if each.bare else "" for each in growth)],
        *(
            [f"{DESCRIPTIONS[name]}, s", *(f"{each[name]:.2f}" if name in each else "" for each in seconds)]
            for name in names
        ),
        ["largest process, MB", *(_megabytes(each.peak_mb) for each in growth)],
    ]
    yield "The same graph in a state directory of its own for each share of the users, cold."
    yield _table(header, rows)
    if len(done) > 1:
        first, last = done[0], done[-1]
        without = [
            each.seconds - sum(stage.seconds for stage in each.stages if stage.name == stages.BASELINES)
            for each in (first, last)
        ]
        yield (
            f"For {last.ratings / first.ratings:.1f} times the ratings: {last.seconds / first.seconds:.1f} times the "
            f"time, {last.peak_mb / first.peak_mb:.1f} times the memory of the largest process. Baselines that would "
            "take longer than the training are left out of large data; without any, it is "
            f"{without[1] / without[0]:.1f} times the time."
        )
    for each in growth:
        if each.failures:
            reasons = "; ".join(" ".join(failure.split()) for failure in each.failures)
            yield f"At {share_text(each.share)} the run stopped before its end: {reasons}"


def _days(days: Days) -> Iterable[str]:
    yield "## The days after"
    yield (
        f"{days.first_ratings:,} ratings were loaded and trained on in {days.first_seconds:.1f} s. Then the latest "
        f"ones, held back until now, were appended to ratings.csv, {SHARE:.1%} of all on each day, and the job "
        "`everything` ran again: new rows are merged, what depends on them is made anew, and training goes on from the "
        "champion's factors. A fit on the training part alone is watched on validation and says after how many "
        "iterations to stop. The first day's starts cold, because a first training makes none; from the second day on "
        "it goes on, too."
    )
    yield _table(
        [
            "",
            "new ratings",
            "loaded in, s",
            "whole run, s",
            "training",
            "watched",
            "NDCG@10 of a sample",
            "fits of",
        ],
        [
            [
                f"day {number}",
                f"{day.new_ratings:,}",
                f"{day.load_seconds:.2f}",
                f"{day.seconds:.1f}",
                day.start,
                f"{len(day.course)} iterations",
                " ".join(f"{value:.4f}" for value in day.course[-_SHOWN_OF_A_COURSE:]),
                f"{day.iterations} iterations",
            ]
            for number, day in enumerate(days.days, start=1)
        ],
    )
    if (courses := days.courses) is not None:
        needed = courses.iterations_to_cold
        yield (
            "For all users of the last day's validation, a cold start on the training part reaches an NDCG@10 of "
            f"{courses.cold:.4f} after {courses.cold_iterations} iterations. Going on from the day before, it is "
            f"{', '.join(f'{value:.4f}' for value in courses.warm)}, "
            + ("never as high." if needed is None else f"as high after {needed}.")
        )


def _quality(quality: Quality) -> Iterable[str]:
    yield "## Quality"
    seeds = ", ".join(map(str, quality.seeds))
    yield f"Means over seeds {seeds}, each with its own search on the validation part; the same users for all."
    yield _table(
        ["protocol", "metric", *RANKERS, f"{MODEL} to {ORIGINAL}"],
        [
            [
                row.protocol,
                row.metric.replace("_at_", "@").replace("_", " "),
                *(f"{row.means[name]:.4f}" if name in row.means else "not run" for name in RANKERS),
                "" if (times := row.times_original(MODEL)) is None else f"{times:.2f} x",
            ]
            for row in quality.rows
        ],
    )
    yield "\n".join(["```", *quality.commands, "```"])


def _speed(stage: Stage) -> str:
    speed = stage.rows_per_second
    return "" if speed is None else f"{speed:,.0f} {stage.unit}"


def _ratio(theirs: float, ours: float) -> str:
    return f"{theirs / ours:.1f}" if ours > 0 else ""


def _megabytes(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
