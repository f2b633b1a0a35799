"""`movierec data`: list, download and inspect datasets.

Belongs here: options and tables. Datasets are found, fetched and read in `datasets`.
"""

from __future__ import annotations

import click
from rich.markup import escape
from rich.table import Table

from movierec_assets.cli.shared import (
    DATASET_OPTION,
    console_for_people,
    downloader,
    progress_bar,
    settings_from,
)


@click.group()
def data() -> None:
    """List, download and inspect datasets."""


@data.command("list")
def list_datasets() -> None:
    """Show the releases that can be had by name, and which are here."""
    from movierec_assets.datasets.demo import load_catalogue
    from movierec_assets.datasets.movielens import MovieLensFiles
    from movierec_assets.datasets.releases import RELEASES

    settings = settings_from()
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
    console = console_for_people()
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
    settings = settings_from()
    console = console_for_people()
    console.print(f"[dim]Terms: {escape(RELEASES[name].licence)}[/]")
    console.print(f"{name} is in {downloader(settings, console)(RELEASES[name])}", soft_wrap=True)


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
    console = console_for_people()
    located = locate(settings_from(name or dataset), None)
    console.print(escape(located.reason), soft_wrap=True)
    console.print(f"[dim]{located.files.directory}[/]", soft_wrap=True)
    movies = read_movies(located.files)
    with progress_bar(console, "Reading ratings.csv") as report:
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
