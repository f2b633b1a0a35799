"""The `movierec` command: arguments in, exit status out.

Belongs here: options, help texts, and what is printed for small commands. What a command does is in `command`,
`serving` and the rooms below; they are imported when a command runs, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from movierec_assets import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from movierec_assets.command.models import Models
    from movierec_assets.datasets.locate import Located
    from movierec_assets.datasets.releases import Release
    from movierec_assets.resources.decisions import Record
    from movierec_assets.serving.recommendations import Answer
    from movierec_assets.settings import Settings

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}

DATASET_OPTION = click.option(
    "--dataset",
    metavar="NAME|DIR",
    help="A release (see `movierec data list`), `demo`, or a directory in MovieLens layout. "
    "Without it: MOVIEREC_DATASET, else a dataset in data/, else ml-latest-small is downloaded, else `demo`.",
)


def _console() -> Console:
    # Wide enough for its tables where nobody looks: in a file or a pipe, a wrapped line is hard to search.
    return Console(width=None if sys.stdout.isatty() else 140, highlight=False)


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
    type=click.Choice(["everything", "refresh", "train", "publish"]),
    default="everything",
    show_default=True,
    help="What to materialize: all assets, those that load ratings, those that learn from them, or only the "
    "champion's recommendations.",
)
def run(dataset: str | None, job: str) -> None:
    """Run a job through Dagster and show what it came to.

    The run is recorded in the Dagster instance; `movierec up` shows it. The exit status is 1 when an asset or a
    check failed, and the last lines say why.
    """
    from movierec_assets.command.environment import platform
    from movierec_assets.command.run import run_job
    from movierec_assets.command.summary import show_failure, show_success
    from movierec_assets.resources.database import Database

    console = _console()
    with platform(_settings(dataset), _say(console)) as settings:
        if job in ("everything", "refresh"):
            located = _located(settings, console)
            console.print(escape(located.reason), soft_wrap=True)
            os.environ["MOVIEREC_DATASET"] = str(located.files.directory.resolve())  # all steps load this one
        report = run_job(job, settings, console)
        if not report.succeeded:
            show_failure(report, console)
            sys.exit(1)
        show_success(report, settings, Database(settings.databases.ratings), console)


@cli.command()
@DATASET_OPTION
def up(dataset: str | None) -> None:
    """Start Postgres, MLflow, and Dagster's webserver and daemon; Ctrl-C stops all of them.

    Ports: MOVIEREC_DAGSTER_PORT (3000) and MOVIEREC_MLFLOW_PORT (5000), on this machine only. The daily schedules
    and the sensor that sees changed dataset files are on.
    """
    from movierec_assets.command.environment import platform
    from movierec_assets.command.servers import serve

    console = _console()
    with platform(_settings(dataset), _say(console)) as settings:
        sys.exit(serve(settings, console))


@cli.command()
@click.option("--user", "user_id", type=click.IntRange(min=1), help="Recommend for this user of the data.")
@click.option("--like", "liked", multiple=True, metavar="TITLE", help="Recommend for somebody who likes this movie.")
@click.option("-k", "--count", type=click.IntRange(1, 100), default=10, show_default=True, help="How many movies.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def recommend(user_id: int | None, liked: tuple[str, ...], count: int, as_json: bool) -> None:
    """Recommend movies from the champion.

    For a user, from the ratings as they stand now; for liked movies, from their titles as you would type them
    ("The Matrix", "matrix, the (1999)"); for nobody in particular, the movies that most users liked.
    """
    from movierec_assets.command.environment import platform
    from movierec_assets.resources.database import Database
    from movierec_assets.resources.registry import ModelRegistry
    from movierec_assets.serving.recommendations import RecommendationService

    if user_id is not None and liked:
        raise click.UsageError("Give --user or --like, not both.")
    with platform(_settings(), _say(Console(stderr=True))) as settings:
        service = RecommendationService(
            Database(settings.databases.ratings),
            ModelRegistry(settings.mlflow_uri, settings.state / "mlartifacts"),
            settings.positive_threshold,
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
    _show_answer(answer, _console())


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
    from pathlib import Path

    from movierec_assets.command import evaluate as command
    from movierec_assets.recsys import experiment, report, search
    from movierec_assets.resources.configurable import locate

    console = Console(stderr=True, highlight=False)
    settings = _settings(dataset)
    located = locate(settings, None)
    console.print(escape(located.reason), soft_wrap=True)
    with _progress(console, "Reading ratings.csv") as reading:
        positives = command.read_positives(located.files, settings.positive_threshold, reading)

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
        say=_say(console),
    )
    if export_to is not None:
        command.export(result, Path(export_to))
    if as_json:
        click.echo(json.dumps(command.as_json(result, located.name, seed), indent=2))
        return
    click.echo(report.as_markdown(result.evaluations, users=len(result.task.users), held_out=len(result.task.held_out)))


@cli.group()
def data() -> None:
    """List, download and inspect datasets."""


@data.command("list")
def list_datasets() -> None:
    """Show the releases that can be had by name, and which are here."""
    from movierec_assets.datasets.demo import load_catalogue
    from movierec_assets.datasets.movielens import MovieLensFiles
    from movierec_assets.datasets.releases import RELEASES

    settings = _settings()
    table = Table()
    for heading in ("name", "ratings", "users", "movies", "archive", "here"):
        table.add_column(heading, justify="left" if heading in ("name", "here") else "right", overflow="fold")
    for release in RELEASES.values():
        here = settings.data / release.name
        table.add_row(
            release.name,
            f"{release.ratings:,}",
            f"{release.users:,}",
            f"{release.movies:,}",
            f"{release.archive_bytes / 1e6:,.0f} MB",
            str(here) if MovieLensFiles.present_in(here) else "",
        )
    console = _console()
    console.print(table)
    films = len(load_catalogue())
    console.print(f"[dim]`demo` is made on this machine, from {films} real films and simulated users.[/]")
    others = [
        path.name
        for path in (sorted(settings.data.iterdir()) if settings.data.is_dir() else [])
        if path.name not in RELEASES and MovieLensFiles.present_in(path)
    ]
    if others:
        console.print(f"Also in {settings.data}: {', '.join(others)}")


@data.command("download")
@click.argument("name")
def download_dataset(name: str) -> None:
    """Download a release into data/; a transfer that broke off is resumed."""
    from movierec_assets.datasets.errors import DatasetError
    from movierec_assets.datasets.releases import RELEASES

    if name not in RELEASES:
        raise DatasetError(f"There is no release {name!r}; choose one of {', '.join(RELEASES)}.")
    settings = _settings()
    console = _console()
    console.print(f"[dim]Terms: {escape(RELEASES[name].licence)}[/]")
    console.print(f"{name} is in {_download(settings, console)(RELEASES[name])}", soft_wrap=True)


@data.command("info")
@click.argument("name", metavar="[NAME|DIR]", required=False)
@DATASET_OPTION
def show_dataset(name: str | None, dataset: str | None) -> None:
    """Say which dataset would be used and why, and what its files hold.

    The dataset may be given with --dataset or without. Reads and validates all files without touching a database.
    Nothing is downloaded; `movierec data download NAME` does that.
    """
    from movierec_assets.datasets.movielens import read_movies, read_ratings
    from movierec_assets.resources.configurable import locate

    if name is not None and dataset is not None:
        raise click.UsageError("Give NAME|DIR or --dataset, not both.")
    console = _console()
    located = locate(_settings(name or dataset), None)
    console.print(escape(located.reason), soft_wrap=True)
    console.print(f"[dim]{located.files.directory}[/]", soft_wrap=True)
    movies = read_movies(located.files)
    with _progress(console, "Reading ratings.csv") as report:
        ratings = read_ratings(located.files, movies.movie_id, progress=report)
    years = [year for year in movies.year if year is not None]
    span = f", {min(years)} to {max(years)}" if years else ""
    console.print(f"{len(movies):,} movies{span}")
    console.print(f"{len(ratings):,} ratings of {len(set(ratings.user_id.tolist())):,} users")
    for file, rejects in (
        ("movies.csv", movies.rejects),
        ("links.csv", movies.link_rejects),
        ("ratings.csv", ratings.rejects),
    ):
        if len(rejects):
            console.print(f"[yellow]{len(rejects):,} rows of {file} do not load: {escape(rejects.summary())}[/]")


_VERSION = click.argument("version", type=click.IntRange(min=1))
_REASON = click.option("--reason", prompt="Why", help="Kept with the decision; asked for when it is not given.")
_PUBLISH = click.option(
    "--publish/--no-publish",
    default=True,
    show_default=True,
    help="Write the champion's recommendations now; without it the sensor of `movierec up` does.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@cli.group()
def model() -> None:
    """List, compare, promote and roll back versions of the model."""


@model.command("list")
@click.option("-n", "--newest", type=click.IntRange(min=1), default=20, show_default=True, help="How many versions.")
@_JSON
def list_models(newest: int, as_json: bool) -> None:
    """Show the newest versions, what they reach, and what was decided about them."""
    from movierec_assets.command.models import show_list

    with _models() as models:
        found = models.newest(newest)
    _print_json([summary.as_dict() for summary in found]) if as_json else show_list(found, _console())


@model.command("show")
@click.argument("version", type=click.IntRange(min=1), required=False)
@_JSON
def show_model(version: int | None, as_json: bool) -> None:
    """Show a version: metrics, recipe, provenance, and the decisions about it. Without VERSION the champion."""
    from movierec_assets.command.models import show_details

    with _models() as models:
        details = models.details(version)
    _print_json(details.as_dict()) if as_json else show_details(details, _console())


@model.command("compare")
@click.argument("a", type=click.IntRange(min=1))
@click.argument("b", type=click.IntRange(min=1))
@_JSON
def compare_models(a: int, b: int, as_json: bool) -> None:
    """Show metrics, recipe and provenance of two versions side by side."""
    from movierec_assets.command.models import show_comparison

    with _models() as models:
        left, right = models.details(a), models.details(b)
    _print_json([left.as_dict(), right.as_dict()]) if as_json else show_comparison(left, right, _console())


@model.command("promote")
@_VERSION
@_REASON
@_PUBLISH
def promote_model(version: int, reason: str, publish: bool) -> None:
    """Make a version the champion, and write its recommendations."""
    with _models() as models:
        _follow(models, models.promote(version, reason), publish)


@model.command("rollback")
@_REASON
@_PUBLISH
def rollback_model(reason: str, publish: bool) -> None:
    """Return to the previous champion, and write its recommendations.

    A second rollback goes further back. Versions that were deleted from the registry are passed over.
    """
    with _models() as models:
        _follow(models, models.rollback(reason), publish)


@cli.group()
def db() -> None:
    """Start, stop and inspect the embedded Postgres."""


@db.command("start")
def start_database() -> None:
    """Start the embedded Postgres until `movierec db stop`, and write .env so that `dg` finds it."""
    from movierec_assets.command.environment import pin

    settings = _embedded_settings()
    pinned = pin(settings, _say(Console(stderr=True)))
    click.echo(f"Running at {pinned.databases.shown}; `movierec db stop` stops it.")
    click.echo(f"{settings.home / '.env'} tells `dg dev` and other Dagster commands where it is.")


@db.command("stop")
@click.option("--force", is_flag=True, help="Stop the server under commands that use it.")
def stop_database(force: bool) -> None:
    """Stop the embedded Postgres."""
    from movierec_assets.resources.embedded_postgres import EmbeddedPostgres

    stopped = EmbeddedPostgres(_embedded_settings().state).stop(force=force)
    click.echo("Stopped." if stopped else "Nothing was running.")


@db.command("status")
def database_status() -> None:
    """Say whether a database runs, where, and on what."""
    from movierec_assets.resources.database import Database
    from movierec_assets.resources.embedded_postgres import EmbeddedPostgres
    from movierec_assets.settings import DatabaseUrls

    settings = _settings()
    if settings.database_url is not None:
        urls = DatabaseUrls(settings.database_url)
        version = Database(urls.ratings).scalar("SELECT current_setting('server_version')")
        click.echo(f"External Postgres {version} at {urls.shown} (MOVIEREC_DATABASE_URL)")
        return
    status = EmbeddedPostgres(settings.state).status()
    if status.running:
        stays = "until `movierec db stop`" if status.pinned else "while a command uses it"
        click.echo(f"Embedded Postgres {status.server_version} runs on port {status.port} (pid {status.pid}), {stays}.")
    else:
        click.echo("Embedded Postgres is not running; commands that need it start it.")
    click.echo(f"Data: {status.data_dir}\nPrograms: {status.binaries or 'none found'}")
    sys.exit(0 if status.running else 3)


@db.command("url")
def database_url() -> None:
    """Print the libpq URL of the running database, password included, as for psql."""
    from movierec_assets.command import CommandError
    from movierec_assets.resources.embedded_postgres import EmbeddedPostgres

    settings = _settings()
    url = settings.database_url or EmbeddedPostgres(settings.state).url()
    if url is None:
        raise CommandError("The embedded Postgres is not running; `movierec db start` starts it.")
    click.echo(url)


@db.command("destroy")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Even under commands that use it.")
def destroy_database(yes: bool, force: bool) -> None:
    """Remove the embedded Postgres with everything in it: ratings, runs, models."""
    from movierec_assets.resources.embedded_postgres import EmbeddedPostgres

    embedded = EmbeddedPostgres(_embedded_settings().state)
    if not yes:
        click.confirm(f"Remove {embedded.status().data_dir} with all ratings, runs and models?", abort=True)
    embedded.destroy(force=force)
    click.echo("Removed.")


def _settings(dataset: str | None = None) -> Settings:
    """Read the settings; a dataset given as an option is put where child processes see it."""
    from movierec_assets.command.environment import read_env_file
    from movierec_assets.settings import PROJECT_ROOT, get_settings

    if dataset is not None:
        os.environ["MOVIEREC_DATASET"] = dataset
    read_env_file(PROJECT_ROOT)
    return get_settings()


def _embedded_settings() -> Settings:
    from movierec_assets.command import CommandError

    settings = _settings()
    if settings.database_url is not None:
        raise CommandError("MOVIEREC_DATABASE_URL names an external Postgres; this command is for the embedded one.")
    return settings


@contextmanager
def _models() -> Iterator[Models]:
    from movierec_assets.command.environment import platform
    from movierec_assets.command.models import Models

    with platform(_settings(), _say(Console(stderr=True))) as settings:
        yield Models.of(settings)


def _follow(models: Models, record: Record, publish: bool) -> None:
    """Say who is champion, and let the tables follow."""
    console = _console()
    before = f", instead of {record.previous}" if record.previous else ""
    console.print(f"Version [bold]{record.version}[/] is the champion{before} (decision {record.id}).")
    if not publish:
        console.print("[dim]The tables follow by the sensor of `movierec up`, or `movierec run --job publish`.[/]")
        return
    models.publish(record, console)
    console.print(f"The recommendations are version {record.version}'s.")


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _located(settings: Settings, console: Console) -> Located:
    from movierec_assets.resources.configurable import locate

    return locate(settings, _download(settings, console))


def _download(settings: Settings, console: Console) -> Callable[[Release], Path]:
    from movierec_assets.datasets.download import download

    def fetch(release: Release) -> Path:
        with _progress(console, f"Downloading {release.name}") as report:
            return download(release, settings.data, report)

    return fetch


@contextmanager
def _progress(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar over bytes."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _say(console: Console) -> Callable[[str], None]:
    return lambda text: console.print(f"[dim]{escape(text)}[/]")


def _show_answer(answer: Answer, console: Console) -> None:
    if answer.liked:
        console.print(f"[dim]Because of {escape('; '.join(answer.liked))}[/]", soft_wrap=True)
    table = Table()
    for heading, justify in (("rank", "right"), ("title", "left"), ("movie_id", "right"), ("score", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for movie in answer.movies:
        table.add_row(str(movie.rank), escape(movie.title), str(movie.movie_id), f"{movie.score:.3f}")
    console.print(table)
    source = "the model" if answer.source == "model" else "popularity"
    console.print(f"[dim]From {source}, version {answer.model_version}[/]")


def _explained() -> tuple[type[Exception], ...]:
    """Errors whose message is all a user needs."""
    from pydantic import ValidationError

    from movierec_assets.command import CommandError
    from movierec_assets.datasets.errors import DatasetError
    from movierec_assets.recsys.errors import RecsysError
    from movierec_assets.resources.database import DatabaseUnavailableError
    from movierec_assets.resources.decisions import PromotionError
    from movierec_assets.resources.postgres_binaries import EmbeddedPostgresError
    from movierec_assets.resources.registry import NoChampionError, NoSuchVersionError, RegistryUnavailableError
    from movierec_assets.serving.recommendations import UnknownUserError
    from movierec_assets.serving.titles import TitleError
    from movierec_assets.settings import SettingsError

    return (
        CommandError,
        DatabaseUnavailableError,
        DatasetError,
        EmbeddedPostgresError,
        NoChampionError,
        NoSuchVersionError,
        PromotionError,
        RecsysError,
        RegistryUnavailableError,
        SettingsError,
        TitleError,
        UnknownUserError,
        ValidationError,
    )


def main() -> Any:
    """Entry point: errors that explain themselves are printed without a traceback, with exit status 1."""
    try:
        return cli(standalone_mode=True)
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except _explained() as error:
        from pydantic import ValidationError

        if isinstance(error, ValidationError):
            problems = [f"MOVIEREC_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
            click.echo("\n".join(problems), err=True)
        else:
            click.echo(str(error), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
