"""`movierec bench gate`: how often the gate is wrong, measured.

Belongs here: options, and what is printed. Measuring is in `bench.gate`.
"""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape

from movierec_assets.cli.shared import counting_bar, progress_bar, sayer, settings_from


@click.command()
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
    help="Write gate.md and gate.json there as well.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def gate(dataset: str, repeats: int, output: Path | None, as_json: bool) -> None:
    """Measure how often an `improvement` is none, and the smallest lead that is found.

    False improvements: a recipe is compared with one whose regularization differs by 1 %, with itself from other start
    values, and again after 0.5 % more likes; each repeat leaves out other users and makes fits of its own. Power: leads
    are planted by taking the score away from a random share of the champion's users; reported is the smallest that is
    found in 80 of 100 comparisons.

    With two idle processors, 200 repeats take about 6 minutes for `demo` and 20 minutes for ml-latest-small. With more
    than a million likes a fit is dear: 12 fits are made, and all comparisons draw from them; that is about 15 minutes
    with 20 million ratings. Touches no database and no champion; downloads nothing.
    """
    from movierec_assets.bench import gate as gates
    from movierec_assets.bench import gate_report
    from movierec_assets.command.evaluate import read_positives
    from movierec_assets.resources.configurable import locate

    console = Console(stderr=True, highlight=False)
    settings = settings_from(dataset)
    located = locate(settings, None)
    console.print(escape(located.reason), soft_wrap=True)
    with progress_bar(console, "Reading ratings") as reading:
        positives = read_positives(located.files, settings.positive_threshold, reading, sayer(console))
    with counting_bar(console) as progress:
        measured = gates.measure(
            positives, located.name, margin=settings.improvement_margin, repeats=repeats, progress=progress
        )
    if output is not None:
        gate_report.write(measured, output)
        console.print(f"In {escape(str(output))}: {gate_report.MARKDOWN}, {gate_report.JSON}", soft_wrap=True)
    if as_json:
        click.echo(gate_report.as_json(measured))
        return
    text = gate_report.as_markdown(measured)
    out = Console(highlight=False)
    out.print(Markdown(text)) if out.is_terminal else click.echo(text)
