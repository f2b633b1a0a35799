"""The command line of `make bench`, `make bench ARGS=gate` and `make bench ARGS="api --state DIR"`.

Belongs here: options, help texts and output. Does not: measuring, which is in `benchmark`, `gate` and `api`.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape

from movierec_assets.cli.shared import console_log, counting_bar, progress_bar, settings_from

if TYPE_CHECKING:
    from movierec_tests.benchmarks.api.measurement import Sizes


_API_SIZES = ("full", "short", "no")


@click.group(invoke_without_command=True, subcommand_metavar="[gate|api]")
@click.pass_context
@click.option(
    "--scale",
    type=click.Choice(["small", "ml-20m"]),
    default="small",
    show_default=True,
    help="How many ratings to generate: as many as ml-latest-small (100,836) or ml-20m (20,000,263). With --dataset, "
    "only a name.",
)
@click.option(
    "--dataset",
    metavar="NAME|DIR",
    help="Use these ratings instead of generated ones: a release that is here, or a directory in MovieLens layout.",
)
@click.option(
    "--growth/--no-growth",
    default=True,
    show_default=True,
    help="Run the graph at 1/16, 1/8, 1/4 and 1/2 of the users as well.",
)
@click.option(
    "--days/--no-days",
    default=True,
    show_default=True,
    help="Run the graph without the latest 1 % of the ratings as well, and again after each half of them is appended.",
)
@click.option(
    "--quality/--no-quality",
    default=False,
    show_default=True,
    help="Compare NDCG, MAP and recall with other recipes: `movierec evaluate` with seeds 1, 2, 3 and both protocols, "
    "three to five minutes each.",
)
@click.option(
    "--api",
    type=click.Choice(list(_API_SIZES)),
    default="full",
    show_default=True,
    help="Measure the API with the champion of the run: all of it, a little of everything, or nothing.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory for report.md, report.json and plot.png [default: STATE_DIR/bench/SCALE].",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON; the files are written, too.")
def bench(
    context: click.Context,
    scale: str,
    dataset: str | None,
    growth: bool,
    days: bool,
    quality: bool,
    api: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Measure a whole run, and compare it with the original recipe and a bare ALS fit.

    Runs the asset graph on a database and a state directory of its own, which are removed afterwards. Your data is not
    touched, MOVIEREC_DATABASE_URL included. Then it runs `implicit` alone on the same matrix, and in turn with counting
    the next movies. It runs Postgres alone with the same ratings, and the original recipe of this project on the same
    server. The report shows seconds, rows per second and peak memory of each stage, ratios, growth with the number of
    users, the cost of a day with new ratings, and which targets are met.

    Without --quality, `small` takes about 8 minutes; `ml-20m` about 40 minutes, 11 GB of memory (for the original
    recipe) and 12 GB of disk.
    """
    if context.invoked_subcommand is not None:
        return
    from movierec_assets.datasets.locate import locate
    from movierec_tests.benchmarks import benchmark, datasets, report
    from movierec_tests.benchmarks.quality import compare

    # Ends like Ctrl-C, so that processes and files are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    console = Console(stderr=True, highlight=False)
    log = console_log(console)
    settings = settings_from(dataset)
    directory = output or settings.state / "bench" / scale
    if dataset is None:
        name = f"generated like {datasets.RELEASE_OF[scale]}"
        log(f"Ratings {name}")
        with counting_bar(console) as progress:
            files = datasets.generated(scale, settings.state / "bench" / "datasets" / scale, progress)
    else:
        located = locate(settings, None)
        name, files = located.name, datasets.require_plain(located.files)
        console.print(escape(located.reason), soft_wrap=True)
    compared = compare(files.directory, name, log) if quality else None
    results = benchmark.run(
        scale,
        name,
        files,
        home=settings.home,
        growth=growth,
        days=days,
        api=_api_sizes(api),
        log=log,
        quality=compared,
    )
    report.write(results, directory)
    console.print(f"In {escape(str(directory))}: {report.MARKDOWN}, {report.JSON}, {report.PLOT}", soft_wrap=True)
    out = Console(highlight=False, width=None if console.is_terminal else 140)
    _show(report.as_markdown(results), report.as_json(results), as_json, out)


@bench.command()
@click.option(
    "--dataset",
    metavar="NAME|PATH",
    default="demo",
    show_default=True,
    help="Ratings to measure on: `demo`, a release that is here, or the path of a dataset.",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Comparisons in each situation, and for each planted lead.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory for gate.md and gate.json [default: not written].",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def gate(dataset: str, repeats: int, output: Path | None, as_json: bool) -> None:
    """Measure how often an `improvement` is none, and the smallest lead that is found.

    False improvements: a recipe is compared with one whose regularization differs by 1 %, with itself from other start
    values, and again after 0.5 % more likes. Each repeat leaves out other users and makes its own fits. Power: leads
    are planted by taking the score away from a random share of the champion's users. The report has the smallest lead
    that is found in 80 of 100 comparisons.

    With two idle processors, 200 repeats take about 6 minutes for `demo` and 20 minutes for ml-latest-small. With more
    than a million likes, fits are long: 12 fits are made, and all comparisons draw from them. That takes about 15
    minutes with 20 million ratings. The command touches no database and no champion, and downloads nothing.
    """
    from movierec_assets.datasets.locate import locate
    from movierec_assets.host.evaluation import read_positives
    from movierec_tests.benchmarks.gate import report
    from movierec_tests.benchmarks.gate.measurement import measure

    console = Console(stderr=True, highlight=False)
    settings = settings_from(dataset)
    located = locate(settings, None)
    console.print(escape(located.reason), soft_wrap=True)
    with progress_bar(console, "Reading ratings") as reading:
        positives = read_positives(located.files, settings.positive_threshold, reading, console_log(console))
    with counting_bar(console) as progress:
        results = measure(
            positives, located.name, margin=settings.improvement_margin, repeats=repeats, progress=progress
        )
    if output is not None:
        report.write(results, output)
        console.print(f"In {escape(str(output))}: {report.MARKDOWN}, {report.JSON}", soft_wrap=True)
    _show(report.as_markdown(results), report.as_json(results), as_json, Console(highlight=False))


@bench.command()
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    required=True,
    help="State directory of a platform with a champion and a Postgres of its own. Its users get ratings.",
)
@click.option(
    "--size",
    type=click.Choice(list(_API_SIZES[:2])),
    default="full",
    show_default=True,
    help="All of it, about 15 minutes, or a little of everything.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory for api.md and api.json [default: not written].",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def api(state: Path, size: str, output: Path | None, as_json: bool) -> None:
    """Measure the API under load, with the champion of a state directory.

    A load generator on this machine asks `movierec api` for recommendations, beside a floor route of the same
    application that answers with ready bytes. The report has rates, latencies, processor time of a request, memory
    before and after many requests, changes of the champion, ratings that are reflected, and processes that are killed.
    """
    from movierec_assets.postgres.server import EmbeddedPostgres
    from movierec_assets.tables.database import Database
    from movierec_tests.benchmarks.api import report
    from movierec_tests.benchmarks.api.measurement import measure
    from movierec_tests.benchmarks.workspace import environment

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    console = Console(stderr=True, highlight=False)
    settings = settings_from(None)
    sizes = _api_sizes(size)
    assert sizes is not None
    with EmbeddedPostgres(state).lease() as url:
        variables = environment(state, settings.home, None, url)
        results = measure(state, variables, Database(url), sizes, console_log(console))
    if output is not None:
        report.write(results, output)
        console.print(f"In {escape(str(output))}: {report.MARKDOWN}, {report.JSON}", soft_wrap=True)
    _show(report.as_markdown(results), report.as_json(results), as_json, Console(highlight=False))


def _api_sizes(size: str) -> Sizes | None:
    from movierec_tests.benchmarks.api.measurement import FULL, SHORT

    return {"full": FULL, "short": SHORT}.get(size)


def _show(markdown: str, json: str, as_json: bool, out: Console) -> None:
    """Print a report: as JSON, or as Markdown, which a terminal shows formatted."""
    if as_json or not out.is_terminal:
        click.echo(json if as_json else markdown)
    else:
        out.print(Markdown(markdown))
