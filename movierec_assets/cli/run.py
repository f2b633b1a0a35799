"""`movierec run`.

Belongs here: options and help text. Does not: the lines during the run (`run_progress`), the screen after it
(`run_summary`), and the run itself (`host.run`).
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from movierec_assets.cli.shared import DATASET_OPTION, console_for_people, console_log, located_dataset, settings_from

if TYPE_CHECKING:
    from movierec_assets.host.months import Months


def _months(_context: click.Context, _option: click.Parameter, text: str | None) -> Months | None:
    if text is None:
        return None
    from movierec_assets.host import CommandError
    from movierec_assets.host.months import parsed
    from movierec_assets.recsys.errors import RecsysError

    try:
        return parsed(text)
    except (CommandError, RecsysError) as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@DATASET_OPTION
@click.option(
    "--job",
    type=click.Choice(["everything", "refresh", "train", "search", "publish", "feedback", "backtest"]),
    default="everything",
    show_default=True,
    help="everything: all assets but the search; refresh: load ratings; train: learn from them; search: find a recipe "
    "for the next training; publish: write the champion's recommendations; feedback: sum up what came of the API's "
    "lists; backtest: score the recipe on past months.",
)
@click.option(
    "--retrain",
    is_flag=True,
    help="Train although a version of the same likes, recipe, seed and code exists.",
)
@click.option(
    "--months",
    metavar="FROM:TO",
    callback=_months,
    help="For the job backtest: months as in 2003-01:2004-12, or one month  [default: all months with likes before "
    "them]",
)
def run(dataset: str | None, job: str, retrain: bool, months: Months | None) -> None:
    """Run a job through Dagster and show its results.

    The jobs train, search, publish and backtest work on the loaded ratings; with --dataset they refuse those of another
    dataset.

    The run is recorded in the Dagster instance; `movierec up` shows it. The exit status is 1 when an asset or a
    check failed, and the last lines say why.
    """
    from movierec_assets.cli.run_progress import run_lines
    from movierec_assets.datasets.locate import Located
    from movierec_assets.host.environment import running_databases
    from movierec_assets.host.loaded import require_loaded
    from movierec_assets.host.provision import provision
    from movierec_assets.host.run import request_for, run_process
    from movierec_assets.recsys.native.library import HOW_TO_BUILD, why_not
    from movierec_assets.tables.database import Database
    from movierec_assets.tables.known_datasets import loaded_dataset

    if retrain and job not in ("everything", "train"):
        raise click.UsageError(f"--retrain is for the jobs everything and train; {job} trains nothing.")
    if months is not None and job != "backtest":
        raise click.UsageError(f"--months is for the job backtest; {job} makes no months.")
    console = console_for_people()
    if job not in ("refresh", "feedback") and (reason := why_not()) is not None:
        console.print(
            f"The native library is not used ({escape(reason)}): a fit takes about four times as long, and ranking "
            f"longer as well. {HOW_TO_BUILD}",
            soft_wrap=True,
        )
    settings, log = settings_from(dataset), console_log(console)
    with running_databases(settings, log, prepared=False) as settings:
        with run_process(job, settings) as process:
            # It imports Dagster and MLflow meanwhile, and brings their databases up to date.
            provision(settings, log, only_ratings=True)
            from movierec_assets.cli.run_summary import show_failure, show_success

            database = Database(settings.databases.ratings)
            request = request_for(job, retrain=retrain)
            if job in ("everything", "refresh"):
                located = located_dataset(settings, console)
                console.print(escape(located.reason), soft_wrap=True)
                if isinstance(located, Located):
                    request = replace(request, dataset=str(located.files.source.resolve()))
            elif job != "feedback":
                require_loaded(database, settings, job, dataset)
            if job == "backtest":
                from movierec_assets.host.months import all_months

                first, last = months = months or all_months(database, settings.positive_threshold)
                request = request_for(job, months=months)
                span = f"{first}" if first == last else f"the months from {first} to {last}"
                console.print(f"Backtesting {span}")
            before = loaded_dataset(database)
            with run_lines(console) as listener:
                report = process.run(request, listener)
        if not report.succeeded:
            show_failure(report, console)
            sys.exit(1)
        show_success(report, database, console)
        after = loaded_dataset(database)
        if job == "refresh" and before is not None and after is not None and before.id != after.id:
            console.print(
                f"The tables of recommendations are empty, because they were for {escape(str(before))}. `movierec run` "
                f"trains on {escape(str(after))} and fills them.",
                soft_wrap=True,
            )
