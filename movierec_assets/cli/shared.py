"""Helpers of all commands: options, settings, consoles and progress bars.

Belongs here: helpers of the command line only. Does not: anything that works without a terminal.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape

from movierec_assets.progress import Log, Progress, StageProgress

if TYPE_CHECKING:
    from movierec_assets.datasets.keep import AbsentDataset
    from movierec_assets.datasets.locate import Located
    from movierec_assets.datasets.releases import Release
    from movierec_assets.settings import Settings

QUIET_SECONDS = 10.0
"""Between two lines of progress, where the output is a file or a pipe."""

DATASET_OPTION = click.option(
    "--dataset",
    metavar="NAME|PATH",
    help="A release, `demo`, or a directory or .zip archive in a format that `movierec data list` names. "
    "Without it: MOVIEREC_DATASET, else a dataset in data/, else the loaded one, else ml-latest-small is downloaded, "
    "else `demo`.",
)


def console_for_people() -> Console:
    """Standard output, as wide as the terminal, or as the variable COLUMNS says."""
    # Wide enough for the tables in a file or a pipe, where a wrapped line is hard to search.
    return Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 140, highlight=False)


def settings_from(dataset: str | None = None) -> Settings:
    """Read the settings; the dataset of the command line is set for child processes, too."""
    from movierec_assets.host.env_file import read_env_file
    from movierec_assets.settings import PROJECT_ROOT, get_settings

    if dataset is not None:
        os.environ["MOVIEREC_DATASET"] = dataset
    read_env_file(PROJECT_ROOT)
    return get_settings()


def embedded_settings() -> Settings:
    """Settings of the embedded Postgres; CommandError when an external one is set."""
    from movierec_assets.host import CommandError

    settings = settings_from()
    if settings.database_url is not None:
        raise CommandError("MOVIEREC_DATABASE_URL names an external Postgres; this command is for the embedded one.")
    return settings


def print_json(value: Any) -> None:
    """Print a value as JSON, for programs."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def located_dataset(settings: Settings, console: Console) -> Located | AbsentDataset:
    """The dataset of a run that a person starts; downloads it when it is missing."""
    from movierec_assets.datasets.keep import locate_or_keep
    from movierec_assets.tables.database import Database
    from movierec_assets.tables.known_datasets import loaded_from

    loaded = loaded_from(Database(settings.databases.ratings))
    return locate_or_keep(settings, loaded, downloader(settings, console), by_hand=True)


def tell_kept_dataset(settings: Settings, console: Console) -> None:
    """Say that the loaded dataset is kept when no other is chosen, and whether its files are here."""
    from movierec_assets.datasets.keep import KEPT, absent_dataset
    from movierec_assets.tables.database import Database
    from movierec_assets.tables.known_datasets import loaded_from

    loaded = loaded_from(Database(settings.databases.ratings))
    if settings.dataset or loaded is None or loaded.is_demo:
        return
    if (absent := absent_dataset(settings, loaded)) is not None:
        console.print(absent.reason, markup=False, style="yellow", soft_wrap=True)
    else:
        console.print(KEPT.format(loaded.name), markup=False, soft_wrap=True)


def downloader(settings: Settings, console: Console) -> Callable[[Release], Path]:
    """A function that downloads a release with a progress bar."""
    from movierec_assets.datasets.download import download

    def fetch(release: Release) -> Path:
        with progress_bar(console, f"Downloading {release.name}") as progress:
            return download(release, settings.data, progress)

    return fetch


@contextmanager
def progress_bar(console: Console, description: str) -> Iterator[Progress]:
    """A progress bar for bytes."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(description, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


@contextmanager
def counting_bar(console: Console) -> Iterator[StageProgress]:
    """A progress bar for counted work, one stage after the other; in a file or a pipe a line every QUIET_SECONDS."""
    if not console.is_terminal:
        throttle = Throttle()
        yield (
            lambda stage, done, total: (
                console.print(f"[dim]{escape(stage)}: {done:,} of {total:,}[/]") if throttle.is_due() else None
            )
        )
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=None)
        yield lambda stage, done, total: bars.update(task, description=stage, completed=done, total=total)


class Throttle:
    """Limits lines of progress to one every QUIET_SECONDS."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def is_due(self) -> bool:
        """Whether a line may be printed now; True at most once every QUIET_SECONDS."""
        due = time.monotonic() >= self._last + QUIET_SECONDS
        if due:
            self._last = time.monotonic()
        return due


def console_log(console: Console) -> Log:
    """Log to a console, in dim text."""
    return lambda text: console.print(f"[dim]{escape(text)}[/]")
