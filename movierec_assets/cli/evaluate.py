"""`movierec evaluate`.

Belongs here: options and help text. Reading the ratings and the text of the result are in `evaluation`.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from movierec_assets.cli.shared import (
    DATASET_OPTION,
    console_log,
    progress_bar,
    settings_from,
)


@click.command()
@DATASET_OPTION
@click.option(
    "--protocol",
    type=click.Choice(["leave-latest-out", "strong-generalization"]),
    default="leave-latest-out",
    show_default=True,
    help="Hold out each user's latest likes, or whole users.",
)
@click.option(
    "--search-trials",
    type=click.IntRange(min=0),
    default=80,
    show_default=True,
    help="Recipes to try on the validation part; 0 takes the built-in recipe.",
)
@click.option(
    "--search-seconds", type=click.FloatRange(min=1), default=240, show_default=True, help="Stop trying after this."
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of search, fits and split.")
@click.option(
    "--export",
    "export_to",
    type=click.Path(file_okay=False),
    help="Write topk.parquet, heldout.parquet and train.parquet there, for scoring by others.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the metrics as JSON.")
def evaluate(
    dataset: str | None,
    protocol: str,
    search_trials: int,
    search_seconds: float,
    seed: int,
    export_to: str | None,
    as_json: bool,
) -> None:
    """Search, fit and score a recipe on any ratings, beside every baseline.

    Touches no database and no champion; downloads nothing.
    """
    from movierec_assets.cli import evaluation as command
    from movierec_assets.recsys import als, experiment, search
    from movierec_assets.resources.configurable import locate

    console = Console(stderr=True, highlight=False)
    settings = settings_from(dataset)
    located = locate(settings, None)
    console.print(escape(located.reason), soft_wrap=True)
    with progress_bar(console, "Reading ratings") as reading:
        positives = command.read_positives(located.files, settings.positive_threshold, reading, console_log(console))

    def told(trial: search.Trial, best: float) -> None:
        value = trial.state if trial.value is None else f"{trial.value:.4f}"
        console.print(f"[dim]trial {trial.number}: {value} in {trial.seconds:.1f} s, best {best:.4f}[/]")

    result = experiment.run(
        positives,
        fit=als.implicit_engine(),
        protocol=protocol,  # type: ignore[arg-type]
        budget=search.Budget(search_trials, search_seconds) if search_trials else None,
        seed=seed,
        progress=told,
        log=console_log(console),
    )
    if export_to is not None:
        command.export(result, Path(export_to))
    if as_json:
        click.echo(json.dumps(command.as_json(result, located.name, seed), indent=2))
        return
    click.echo(command.as_report(result))
