"""The `movierec` command: arguments in, exit status out.

Belongs here: options, help texts, and what is printed for small commands; groups of commands have modules of their
own. What a command does is in `command`, `serving` and the rooms below, which are imported when a command runs, so
that `--help` answers at once.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from movierec_assets import __version__
from movierec_assets.cli.bench import bench
from movierec_assets.cli.data import data
from movierec_assets.cli.db import db
from movierec_assets.cli.model import model
from movierec_assets.cli.shared import (
    DATASET_OPTION,
    console_for_people,
    keep_loaded_dataset,
    located_dataset,
    progress_bar,
    sayer,
    settings_from,
)
from movierec_assets.errors import ExplainedError

if TYPE_CHECKING:
    from movierec_assets.serving.recommendations import Answer

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="movierec")
def cli() -> None:
    """Movie recommendations from MovieLens ratings, as a Dagster asset graph.

    `movierec run` loads ratings, trains, evaluates, and writes recommendations for every user. Without
    MOVIEREC_DATABASE_URL a private Postgres is started and stopped as needed.
    """


@cli.command()
@DATASET_OPTION
@click.option(
    "--job",
    type=click.Choice(["everything", "refresh", "train", "search", "publish"]),
    default="everything",
    show_default=True,
    help="What to materialize: everything but a search, what loads ratings, what learns from them, a search for a "
    "recipe that the next training takes, or only the champion's recommendations.",
)
@click.option(
    "--retrain",
    is_flag=True,
    help="Train although nothing has changed since the version that the same likes, recipe and code gave.",
)
def run(dataset: str | None, job: str, retrain: bool) -> None:
    """Run a job through Dagster and show what it came to.

    The jobs train, search and publish work on the ratings that are loaded; with --dataset they make sure that these are
    the ones that were meant.

    The run is recorded in the Dagster instance; `movierec up` shows it. The exit status is 1 when an asset or a
    check failed, and the last lines say why.
    """
    from movierec_assets.command.environment import platform
    from movierec_assets.command.loaded import require_loaded
    from movierec_assets.command.run import run_job
    from movierec_assets.command.summary import show_failure, show_success
    from movierec_assets.resources.database import Database

    if retrain and job not in ("everything", "train"):
        raise click.UsageError(f"--retrain is for the jobs everything and train; {job} trains nothing.")
    console = console_for_people()
    with platform(settings_from(dataset), sayer(console)) as settings:
        database = Database(settings.databases.ratings)
        if job in ("everything", "refresh"):
            located = located_dataset(settings, console)
            console.print(escape(located.reason), soft_wrap=True)
            os.environ["MOVIEREC_DATASET"] = str(located.files.source.resolve())  # all steps load this one
        else:
            require_loaded(database, settings, job, dataset)
        report = run_job(job, settings, console, retrain=retrain)
        if not report.succeeded:
            show_failure(report, console)
            sys.exit(1)
        show_success(report, database, console)


@cli.command()
@DATASET_OPTION
@click.option("--verbose", is_flag=True, help="Show every line of the servers, sensor ticks included.")
def up(dataset: str | None, verbose: bool) -> None:
    """Start Postgres, MLflow, and Dagster's webserver and daemon; Ctrl-C stops all of them.

    Shown are the addresses, runs that start and end, warnings and errors. All lines of the servers are in files under
    logs/servers in the state directory.

    Ports: MOVIEREC_DAGSTER_PORT (3000) and MOVIEREC_MLFLOW_PORT (5000), on this machine only. The daily schedules
    and the sensor that sees changed dataset files are on. Without a dataset, the one that is loaded is watched.
    """
    from movierec_assets.command.environment import platform
    from movierec_assets.command.servers import serve

    console = console_for_people()
    with platform(settings_from(dataset), sayer(console)) as settings:
        keep_loaded_dataset(settings, console)
        sys.exit(serve(settings, console, verbose=verbose))


@cli.command()
@click.option("--user", "user_id", type=click.IntRange(min=1), help="Recommend for this user of the data.")
@click.option("--like", "liked", multiple=True, metavar="TITLE", help="Recommend for somebody who likes this movie.")
@click.option("-k", "--count", type=click.IntRange(1, 100), default=10, show_default=True, help="How many movies.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def recommend(user_id: int | None, liked: tuple[str, ...], count: int, as_json: bool) -> None:
    """Recommend movies from the champion.

    For a user, from the ratings as they stand now; for liked movies, from their titles as you would type them
    ("The Matrix", "matrix, the (1999)"); for nobody in particular, the movies that most users liked. Beside each movie
    stand the likes that add most to its score.
    """
    from movierec_assets.command.environment import platform
    from movierec_assets.command.loaded import require_anything_loaded
    from movierec_assets.resources.database import Database
    from movierec_assets.resources.registry import ModelRegistry
    from movierec_assets.serving.recommendations import RecommendationService

    if user_id is not None and liked:
        raise click.UsageError("Give --user or --like, not both.")
    with platform(settings_from(), sayer(Console(stderr=True))) as settings:
        database = Database(settings.databases.ratings)
        require_anything_loaded(database, "recommendations come from a model of loaded ratings")
        service = RecommendationService(
            database,
            ModelRegistry(settings.mlflow_uri, settings.artifacts),
        )
        if user_id is not None:
            answer = service.for_user(user_id, count)
        elif liked:
            answer = service.for_liked(liked, count)
        else:
            answer = service.for_nobody(count)
    if as_json:
        from dataclasses import asdict

        click.echo(json.dumps(asdict(answer), ensure_ascii=False, indent=2))
        return
    _show_answer(answer, console_for_people())


@cli.command()
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
    from movierec_assets.command import evaluate as command
    from movierec_assets.recsys import experiment, search
    from movierec_assets.resources.configurable import locate

    console = Console(stderr=True, highlight=False)
    settings = settings_from(dataset)
    located = locate(settings, None)
    console.print(escape(located.reason), soft_wrap=True)
    with progress_bar(console, "Reading ratings") as reading:
        positives = command.read_positives(located.files, settings.positive_threshold, reading, sayer(console))

    def told(trial: search.Trial, best: float) -> None:
        value = trial.state if trial.value is None else f"{trial.value:.4f}"
        console.print(f"[dim]trial {trial.number}: {value} in {trial.seconds:.1f} s, best {best:.4f}[/]")

    result = experiment.run(
        positives.user_id,
        positives.movie_id,
        positives.rating,
        positives.rated_at,
        protocol=protocol,  # type: ignore[arg-type]
        budget=search.Budget(search_trials, search_seconds) if search_trials else None,
        seed=seed,
        progress=told,
        say=sayer(console),
    )
    if export_to is not None:
        command.export(result, Path(export_to))
    if as_json:
        click.echo(json.dumps(command.as_json(result, located.name, seed), indent=2))
        return
    click.echo(command.as_report(result))


for _group in (bench, data, db, model):
    cli.add_command(_group)


def _show_answer(answer: Answer, console: Console) -> None:
    if not answer.movies:
        told = f"Nothing is left to recommend: every movie that version {answer.model_version} knows is rated already."
        console.print(told, soft_wrap=True)
        return
    if answer.liked:
        console.print(f"[dim]Likes {escape('; '.join(answer.liked))}[/]", soft_wrap=True)
    table = Table()
    explained = any(movie.reasons for movie in answer.movies)
    for heading in ("rank", "title", "movie_id", "score", *(["because of"] if explained else [])):
        table.add_column(heading, justify="left" if heading in ("title", "because of") else "right", overflow="fold")
    for movie in answer.movies:
        because = "; ".join(f"{escape(reason.title)} {reason.contribution:+.3f}" for reason in movie.reasons)
        row = [str(movie.rank), escape(movie.title), str(movie.movie_id), f"{movie.score:.3f}"]
        table.add_row(*row, *([f"[dim]{because}[/]"] if explained else []))
    console.print(table)
    source = "the model" if answer.source == "model" else "popularity"
    data = f" of {escape(answer.dataset)}" if answer.dataset else ""
    console.print(f"[dim]From {source}, version {answer.model_version}{data}[/]")


def _require_own_environment() -> None:
    """Refuse a copied `.venv`: its scripts start the original's interpreter, code and database."""
    environment, ours = Path(sys.argv[0]).absolute().parent.parent, Path(__file__).parent.parent
    if not (environment / "pyvenv.cfg").is_file():
        return
    beside = environment.parent / ours.name
    if not environment.samefile(sys.prefix) or (beside.is_dir() and not beside.samefile(ours)):
        raise ExplainedError(
            f"{environment} is a copy, and works on the code and the data in {ours.parent}. Run `make install` in "
            f"{environment.parent}, which makes it anew."
        )


def main() -> Any:
    """Entry point: errors that explain themselves are printed without a traceback, with exit status 1."""
    try:
        _require_own_environment()
        return cli(standalone_mode=True)
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except ExplainedError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
