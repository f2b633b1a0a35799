"""The report of the benchmark of a whole run: Markdown for people, JSON for programs.

Belongs here: layout, and the ratios that are shown. Does not: the picture, which is drawn in `plot`.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from movierec_assets.recsys.rankers import MODEL, ORIGINAL
from movierec_assets.recsys.report import markdown_table
from movierec_tests.benchmarks import stages
from movierec_tests.benchmarks.api import report as api_report
from movierec_tests.benchmarks.bare_fit import FACTORS, ITERATIONS
from movierec_tests.benchmarks.benchmark import Benchmark, MeasuredRun, share_text
from movierec_tests.benchmarks.days import SHARE, Days
from movierec_tests.benchmarks.plot import draw
from movierec_tests.benchmarks.quality import RANKERS, Quality
from movierec_tests.benchmarks.solvers import IMPLICIT, Solvers
from movierec_tests.benchmarks.stages import DESCRIPTIONS, Stage

IDLE_LOAD = 0.5
"""Largest load average of an idle machine."""
_SHOWN_ITERATIONS = 3
BUSY = (
    "The machine was busy with other work before this run (see the load before): times are too long, and stages and "
    "sizes cannot be compared closely."
)
MARKDOWN, JSON, PLOT = "report.md", "report.json", "plot.png"


def write(benchmark: Benchmark, directory: Path) -> None:
    """Write `report.md`, `report.json` and `plot.png`."""
    directory.mkdir(parents=True, exist_ok=True)
    draw(benchmark, directory / PLOT)
    (directory / JSON).write_text(as_json(benchmark) + "\n", encoding="utf-8")
    (directory / MARKDOWN).write_text(as_markdown(benchmark), encoding="utf-8")


def as_json(benchmark: Benchmark) -> str:
    """All results."""
    return json.dumps(asdict(benchmark), indent=2, ensure_ascii=False)


def as_markdown(benchmark: Benchmark) -> str:
    """The report; it shows the picture in the same directory."""
    graph = benchmark.graph
    sections = [
        f"# Benchmark: {benchmark.dataset}",
        f"{graph.ratings:,} ratings of {graph.users:,} users. "
        + ", ".join(f"{name} {value}" for name, value in benchmark.machine.items())
        + ".",
        *([BUSY] if float(benchmark.machine["load before"]) > IDLE_LOAD else []),
        f"![Seconds, memory and growth]({PLOT})",
        *_targets(benchmark),
        *_graph(graph),
        *_solvers(benchmark.solvers),
        *_next_movies(benchmark),
        *_bare_copy(benchmark),
        *_original(benchmark),
        *(_growth(benchmark.growth) if benchmark.growth else ()),
        *(_days(benchmark.days) if benchmark.days else ()),
        *(_quality(benchmark.quality) if benchmark.quality else ()),
        *(api_report.sections(benchmark.api) if benchmark.api else ()),
    ]
    return "\n\n".join(sections) + "\n"


def _targets(benchmark: Benchmark) -> Iterable[str]:
    yield "## Targets"
    if all(target.met is None for target in benchmark.targets):
        yield (
            "The targets are for 20 million ratings. At this size, costs that are the same at any size (start of "
            "Dagster, MLflow) outweigh the rest. So targets are shown, not judged."
        )
    else:
        met = sum(target.met is True for target in benchmark.targets)
        yield (
            f"Of {len(benchmark.targets)} targets {met} are met. All are ratios of times, or sizes, that were measured "
            "in this run."
        )
    yield _table(
        ["target", "limit", "measured", ""],
        [[each.name, each.limit, each.measured, each.verdict] for each in benchmark.targets],
    )


def _graph(graph: MeasuredRun) -> Iterable[str]:
    yield "## The asset graph"
    yield (
        f"The job `everything` in a new state directory: {graph.seconds:.1f} s from the start of its process to its "
        f"end. Creating the databases before it, once in a state directory, took {graph.prepare_seconds:.1f} s."
    )
    processes = [name for name in graph.peaks if any(name in stage.peaks for stage in graph.stages)]
    bare = graph.bare_fit.seconds if graph.bare_fit else math.nan
    header = ["stage", "seconds", "bare fits", "share", "rows per second", *(f"{name}, MB" for name in processes)]
    rows = [
        [
            DESCRIPTIONS[stage.name],
            f"{stage.seconds:.2f}",
            f"{stage.seconds / bare:.2f}",
            f"{stage.share:.0%}",
            _speed(stage),
            *(_megabytes(stage.peaks.get(name)) for name in processes),
        ]
        for stage in graph.stages
    ]
    whole = ["whole", f"{graph.seconds:.2f}", f"{graph.seconds / bare:.2f}", "100%", ""]
    whole += [_megabytes(graph.peaks[name]) for name in processes]
    yield _table(header, [*rows, whole])
    yield (
        "Memory is the highest resident memory of one process while the stage ran. Fits and MLflow share a step. "
        "Memory of a Postgres backend leaves out the buffers that it shares with the others."
    )
    if graph.bare_fit:
        recipe = graph.recipe
        yield (
            f"Bare fit ({FACTORS} factors, {ITERATIONS} iterations, {graph.bare_fit.positives:,} positives, `implicit` "
            f"alone): {graph.bare_fit.seconds:.2f} s (of {len(graph.bare_fit.fits)}: {min(graph.bare_fit.fits):.2f} to "
            f"{max(graph.bare_fit.fits):.2f} s), {graph.bare_fit_peak_mb:,.0f} MB. The graph's recipe has "
            f"{recipe.get('factors')} factors and {recipe.get('iterations')} iterations; the scored fit also "
            "computes the training loss of each iteration."
        )


def _solvers(found: Solvers) -> Iterable[str]:
    gemm, read = statistics.median(found.gemm), statistics.median(found.read)
    beside = {each.factors: each for each in found.solvers if each.name == IMPLICIT}
    rows = []
    for solver, seconds in zip(found.solvers, found.seconds, strict=True):
        middle, operations = statistics.median(seconds), found.operations(solver.factors)
        share = found.share(solver, beside[solver.factors])
        rows.append(
            [
                solver.text,
                ", ".join(f"{each:.2f}" for each in seconds),
                "" if share is None else f"{share:.2f}",
                f"{operations / middle / 1e9:.1f}",
                f"{operations / middle / gemm:.0%}",
                f"{found.bytes(solver.factors) / middle / 1e9:.1f}",
            ]
        )
    yield "## Solvers"
    yield (
        f"One iteration of alternating least squares on {found.positives:,} likes of {found.users:,} users for "
        f"{found.movies:,} movies, in alternating rounds."
    )
    yield _table(
        ["solver", "seconds of each round", "of `implicit`'s", "GFLOP/s", "of the matrix product's", "GB/s gathered"],
        rows,
    )
    floors = [
        f"{factors} factors: {found.operations(factors) / 1e9:.1f} GFLOP take {found.operations(factors) / gemm:.2f} s "
        f"at that rate, {found.bytes(factors) / 1e9:.1f} GB take {found.bytes(factors) / read:.2f} s; "
        f"{found.operations(factors) / found.bytes(factors):.1f} operations a byte"
        for factors in beside
    ]
    yield (
        f"In the same rounds a product of large matrices reached {gemm / 1e9:.0f} GFLOP/s with all threads, and one "
        f"thread read {read / 1e9:.1f} GB/s in order. {'. '.join(floors)}. Vectors of popular movies stay in caches, "
        "so more can be gathered than memory gives."
    )


def _next_movies(benchmark: Benchmark) -> Iterable[str]:
    found = benchmark.next_movies
    yield "## Next movies"
    yield (
        "Which movies are liked soon after which, counted for everything before the test part and for everything, in "
        f"turn with a bare fit: {_all_seconds(found.counts)} beside {_all_seconds(found.fits)}, "
        f"{found.bare_fits:.2f} bare fits. The process took {benchmark.next_movies_peak_mb:,.0f} MB."
    )


def _bare_copy(benchmark: Benchmark) -> Iterable[str]:
    bare, ours = benchmark.bare_copy, {stage.name: stage.seconds for stage in benchmark.graph.stages}
    yield "## Postgres alone"
    yield (
        "The server copies the same ratings from a file in its own format, and to /dev/null, in the same run and over "
        "one connection. Nothing is parsed, checked, sent or ranked."
    )
    yield _table(
        ["Postgres alone", "seconds", "part of the stage", "its seconds"],
        [
            ["COPY in", f"{bare.copy_in:.2f}", "", ""],
            ["primary key", f"{bare.primary_key:.2f}", "", ""],
            ["both", f"{bare.load:.2f}", DESCRIPTIONS[stages.LOAD], f"{ours[stages.LOAD]:.2f}"],
            ["COPY out", f"{bare.copy_out:.2f}", DESCRIPTIONS[stages.RECOMMEND], f"{ours[stages.RECOMMEND]:.2f}"],
        ],
    )


def _original(benchmark: Benchmark) -> Iterable[str]:
    original, ours = benchmark.original, {stage.name: stage.seconds for stage in benchmark.graph.stages}
    theirs = stages.original_stages(original)
    yield "## Comparison with the original recipe"
    yield (
        "In the same run and on the same server: COPY into tables that already have keys and indexes, view of "
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
            _megabytes(benchmark.graph.peak_mb),
            _megabytes(benchmark.original_peak_mb),
            _ratio(benchmark.original_peak_mb, benchmark.graph.peak_mb),
        ]
    )
    yield _table(["", "this graph", "original recipe", "times less"], rows)
    parts = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in original.seconds.items())
    yield (
        f"The original's parts: {parts}. Its largest Postgres backend took {benchmark.original_postgres_mb:,.0f} MB. "
        f"Its NDCG@10 for {original.users:,} users is {original.metrics['ndcg_at_10']:.4f}."
    )


def _growth(growth: Sequence[MeasuredRun]) -> Iterable[str]:
    yield "## Growth"
    done = [each for each in growth if not each.failures]
    names = [name for name in DESCRIPTIONS if any(stage.name == name for each in done for stage in each.stages)]
    header = ["users", *(f"{share_text(each.share)}" for each in growth)]
    seconds = [{stage.name: stage.seconds for stage in each.stages} for each in growth]
    rows: list[list[str]] = [
        ["ratings", *(f"{each.ratings:,}" for each in growth)],
        ["**whole run, s**", *(f"{each.seconds:.1f}" for each in growth)],
        ["bare fit, s", *(f"{each.bare_fit.seconds:.2f}" if each.bare_fit else "" for each in growth)],
        *(
            [f"{DESCRIPTIONS[name]}, s", *(f"{each[name]:.2f}" if name in each else "" for each in seconds)]
            for name in names
        ),
        ["largest process, MB", *(_megabytes(each.peak_mb) for each in growth)],
    ]
    yield "The same graph for shares of the users, each in a new state directory, with a cold start."
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
            "take longer than the training are left out of large data. Without all baselines: "
            f"{without[1] / without[0]:.1f} times the time."
        )
    for each in growth:
        if each.failures:
            reasons = "; ".join(" ".join(failure.split()) for failure in each.failures)
            yield f"At {share_text(each.share)} the run stopped before its end: {reasons}"


def _days(days: Days) -> Iterable[str]:
    yield "## The days after"
    yield (
        f"The first run took {days.first_seconds:.1f} s for {days.first_ratings:,} ratings. On each day, {SHARE:.1%} "
        "of all ratings, the latest ones, were appended to ratings.csv, and the job `everything` ran again: it merges "
        "new rows, computes again the assets that depend on them, and continues the champion's fits. A fit on the "
        "training part is scored on validation after each iteration; it sets the number of iterations of the other "
        "fits. On the first day it starts cold, because a first training makes no such fit. From the second day on "
        "it is continued, too."
    )
    yield _table(
        [
            "",
            "new ratings",
            "loaded in, s",
            "whole run, s",
            "training",
            "fit on the training part",
            "NDCG@10 of a sample",
            "scored and served fit",
        ],
        [
            [
                f"day {number}",
                f"{day.new_ratings:,}",
                f"{day.load_seconds:.2f}",
                f"{day.seconds:.1f}",
                day.start,
                f"{len(day.learning_curve)} iterations",
                " ".join(f"{value:.4f}" for value in day.learning_curve[-_SHOWN_ITERATIONS:]),
                f"{day.iterations} iterations",
            ]
            for number, day in enumerate(days.days, start=1)
        ],
    )
    if (curves := days.curves) is not None:
        needed = curves.iterations_to_cold
        yield (
            "For all users of the last day's validation, a cold start on the training part reaches an NDCG@10 of "
            f"{curves.cold:.4f} after {curves.cold_iterations} iterations. The fit that continues the day before "
            f"reaches {', '.join(f'{value:.4f}' for value in curves.warm)} after its iterations: "
            + ("never as high." if needed is None else f"as high after {needed}.")
        )


def _quality(quality: Quality) -> Iterable[str]:
    yield "## Quality"
    seeds = ", ".join(map(str, quality.seeds))
    yield (
        f"Means over seeds {seeds}. Each seed has its own search on the validation part. All rankers are scored on the "
        "same users."
    )
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


def _all_seconds(seconds: Sequence[float]) -> str:
    return f"{', '.join(f'{each:.2f}' for each in seconds)} s"


def _megabytes(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return markdown_table(header, rows, align_right=True)
