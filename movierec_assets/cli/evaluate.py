"""`movierec evaluate`.

Belongs here: options, help text, and the text of the result. Does not: reading ratings and exporting lists
(`host.evaluation`), or the experiment (`recsys.experiment`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape

from movierec_assets.cli.shared import DATASET_OPTION, console_log, print_json, progress_bar, settings_from

if TYPE_CHECKING:
    from movierec_assets.recsys.both_moments import MomentScores
    from movierec_assets.recsys.evaluation import Evaluation
    from movierec_assets.recsys.experiment import Experiment
    from movierec_assets.recsys.search import Trial


@click.command()
@DATASET_OPTION
@click.option(
    "--protocol",
    type=click.Choice(["leave-latest-out", "time-split", "strong-generalization"]),
    default="leave-latest-out",
    show_default=True,
    help="Hold out each user's latest likes, all likes after cuts in time, or whole users.",
)
@click.option(
    "--search-trials",
    type=click.IntRange(min=0),
    default=600,
    show_default=True,
    help="Recipes to try on the validation part; 0 takes the built-in recipe.",
)
@click.option(
    "--search-seconds", type=click.FloatRange(min=1), default=300, show_default=True, help="Stop trying after this."
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
    from movierec_assets.datasets.locate import locate
    from movierec_assets.host.evaluation import export, read_positives
    from movierec_assets.recsys import als, experiment, search

    console = Console(stderr=True, highlight=False)
    settings = settings_from(dataset)
    located = locate(settings, None)
    console.print(escape(located.reason), soft_wrap=True)
    with progress_bar(console, "Reading ratings") as reading:
        positives = read_positives(located.files, settings.positive_threshold, reading, console_log(console))

    def print_trial(trial: Trial, best: float) -> None:
        console.print(f"[dim]trial {trial}, best {best:.4f}[/]")

    result = experiment.run(
        positives,
        fit=als.engine(),
        protocol=protocol,  # type: ignore[arg-type]
        budget=search.Budget(search_trials, search_seconds) if search_trials else None,
        seed=seed,
        progress=print_trial,
        log=console_log(console),
    )
    if export_to is not None:
        export(result, Path(export_to))
    if as_json:
        print_json(_plain(result, located.name, seed))
    else:
        click.echo(_markdown(result))


def _plain(experiment: Experiment, dataset: str, seed: int) -> dict[str, Any]:
    """Metrics of the model and of every baseline, and the data and search behind them, as plain values."""
    from movierec_assets.recsys.experiment import HEADLINES_OF

    found = experiment.found
    return {
        "dataset": dataset,
        "protocol": experiment.protocol,
        "seed": seed,
        "users": experiment.n_users,
        "user_windows": len(experiment.task.users) if experiment.spans else None,
        "windows": [asdict(span) for span in experiment.spans] or None,
        "train_pairs": len(experiment.task.train),
        "held_out_pairs": len(experiment.task.held_out),
        "recipe": experiment.recipe.as_dict(),
        "search": None
        if found is None
        else {
            "trials": len(found.trials),
            "complete": sum(trial.state == "complete" for trial in found.trials),
            "best": found.best.as_dict(),
            "lead_over_built_in": asdict(found.lead),
            "change_by_the_signal_on_return": found.on_return.as_dict(),
        },
        "metrics": {each.ranker: each.means() for each in experiment.evaluations},
        "intervals": {
            name: {each.ranker: asdict(each.interval(name)) for each in experiment.evaluations}
            for name in HEADLINES_OF[experiment.protocol]
        },
        "moments": {_key(each.name): _plain_moment(each) for each in experiment.moments},
        "slices": _plain_slices(experiment.evaluations),
        "notes": list(experiment.notes),
    }


def _plain_moment(moment: MomentScores) -> dict[str, Any]:
    """NDCG@10 of every ranker at one moment, and who was scored, as plain values."""
    gain = moment.signal_gain
    return {
        "users": moment.n_users,
        "user_windows": None if moment.windows is None else len(moment.users),
        "windows": moment.windows,
        "sampled_from_users": moment.sampled_from,
        "ndcg_at_10": {name: asdict(interval) for name, interval in moment.intervals.items()},
        "gain_by_the_signal": None if gain is None else asdict(gain),
    }


def _plain_slices(evaluations: Sequence[Evaluation]) -> dict[str, dict[str, Any]]:
    """NDCG@10 of every ranker by slice, as plain values: first by what divides, then by the name of the slice."""
    found: dict[str, dict[str, Any]] = {}
    for parts in zip(*(each.slices for each in evaluations), strict=True):
        rankers = zip(evaluations, parts, strict=True)
        found.setdefault(_key(parts[0].by), {})[parts[0].name] = {
            "scored": parts[0].users,
            "ndcg_at_10": {each.ranker: asdict(part.interval()) for each, part in rankers},
        }
    return found


def _key(name: str) -> str:
    return name.replace(" ", "_").replace("-", "_")


def _markdown(experiment: Experiment) -> str:
    """Metrics of the model and of every baseline, with intervals and slices, as Markdown."""
    from movierec_assets.recsys.experiment import CUTOFFS_OF, HEADLINES_OF
    from movierec_assets.recsys.report import as_markdown

    return as_markdown(
        experiment.evaluations,
        users=experiment.n_users,
        held_out=len(experiment.task.held_out),
        protocol=experiment.protocol,
        cutoffs=CUTOFFS_OF[experiment.protocol],
        headlines=HEADLINES_OF[experiment.protocol],
        moments=experiment.moments,
        windows=len(experiment.spans),
        notes=experiment.notes,
    )
