"""`movierec data`: list, download, generate and inspect datasets.

Belongs here: options and text. Does not: finding, downloading, generating and reading datasets (`datasets`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from movierec_assets.cli.shared import (
    DATASET_OPTION,
    console_for_people,
    counting_bar,
    downloader,
    progress_bar,
    settings_from,
)

if TYPE_CHECKING:
    from movierec_assets.datasets.generator import Size


@click.group()
def data() -> None:
    """List, download, generate and inspect datasets."""


@data.command("list")
def list_datasets() -> None:
    """Show the releases, which of them are here, and the formats that can be read."""
    from movierec_assets.datasets.demo import load_catalogue
    from movierec_assets.datasets.locate import datasets_in
    from movierec_assets.datasets.releases import RELEASES
    from movierec_assets.datasets.sources.compressed import SUFFIXES
    from movierec_assets.datasets.sources.find import FORMATS, present

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
            next((str(path) for path in (here, settings.data / release.archive) if present(path)), ""),
        )
    console = console_for_people()
    console.print(table)
    films = len(load_catalogue())
    console.print(f"[dim]`demo` is made on this machine, from {films} real films and simulated users.[/]")
    others = sorted(found.name for found in datasets_in(settings.data) if found.name not in RELEASES)
    if others:
        console.print(f"Also in {settings.data}: {', '.join(others)}", markup=False)
    formats = Table("format", "files", title="Formats", title_justify="left")
    for each in FORMATS:
        formats.add_row(each.name, each.files)
    console.print(formats)
    console.print(
        "[dim]Any of them works by its path: a directory, a .zip archive, a folder in one; files may end in "
        f"{' or '.join(SUFFIXES)}. CSV files may have semicolons, tabs or bars between fields, decimal commas, and "
        "times as seconds since 1970 or as in ISO 8601 (UTC where no zone is named).[/]"
    )


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


@data.command("generate")
@click.argument("target", metavar="TARGET_DIR", type=click.Path(path_type=Path))
@click.option("--like", metavar="NAME", help="As many users, movies and ratings as a release, such as ml-20m.")
@click.option("--share", type=float, help="With --like: this share of its users, with their ratings of all its movies.")
@click.option("--users", type=int, help="Number of users.")
@click.option("--movies", type=int, help="Number of movies; about one in fifty has no ratings.")
@click.option("--ratings", type=int, help="Number of ratings, at least 20 for each user.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Same seed, same bytes.")
def generate_dataset(
    target: Path,
    like: str | None,
    share: float | None,
    users: int | None,
    movies: int | None,
    ratings: int | None,
    seed: int,
) -> None:
    """Make up a dataset in MovieLens layout, of the size of a release or of any other.

    Give --like, or all of --users, --movies and --ratings; these numbers are met exactly. Ratings per user, per movie
    and per star are spread as in MovieLens 20M. Films and users are synthetic and have tastes that can be learned. A
    directory that was generated with the same arguments is left as it is; any other must be new or empty.
    """
    from movierec_assets.datasets.generator import generate

    size = _size(like, share, users, movies, ratings)
    console = console_for_people()
    with counting_bar(console) as progress:
        generated = generate(target, size, seed=seed, progress=progress)
    if generated:
        console.print(f"{size}, seed {seed}, are in {escape(str(target))}", soft_wrap=True)
        console.print(f"[dim]Next: movierec run --dataset {escape(str(target))}[/]", soft_wrap=True)
    else:
        console.print(f"{escape(str(target))} was generated with these arguments; left as it is.", soft_wrap=True)


def _size(like: str | None, share: float | None, users: int | None, movies: int | None, ratings: int | None) -> Size:
    from movierec_assets.datasets.generator import Size

    numbers = (users, movies, ratings)
    if like is not None:
        if numbers != (None, None, None):
            raise click.UsageError("Give --like, or --users, --movies and --ratings, not both.")
        return Size.like(like, 1.0 if share is None else share)
    if share is not None:
        raise click.UsageError("--share goes with --like.")
    if users is None or movies is None or ratings is None:
        raise click.UsageError("Give --like NAME, or all of --users, --movies and --ratings.")
    return Size(users, movies, ratings)


@data.command("info")
@click.argument("name", metavar="[NAME|PATH]", required=False)
@DATASET_OPTION
def show_dataset(name: str | None, dataset: str | None) -> None:
    """Show which dataset would be used and why, and the content of its files.

    The dataset may be given with --dataset or without. Reads and validates all files without touching a database.
    Nothing is downloaded; `movierec data download NAME` does that. The exit status is 1 for files that `movierec run`
    refuses.
    """
    from movierec_assets.datasets.locate import locate
    from movierec_assets.datasets.movies import read_movies
    from movierec_assets.datasets.ratings import read_ratings
    from movierec_assets.tables.loading import limits_of

    if name is not None and dataset is not None:
        raise click.UsageError("Give NAME|PATH or --dataset, not both.")
    console = console_for_people()
    settings = settings_from(name or dataset)
    located = locate(settings, None)
    console.print(escape(located.reason), soft_wrap=True)
    console.print(f"[dim]{escape(str(located.files.source))}, {located.files.format}[/]", soft_wrap=True)
    movies, limits = read_movies(located.files), limits_of(settings)
    with progress_bar(console, "Reading ratings") as progress:
        ratings = read_ratings(located.files, movies.movie_id, progress=progress, limits=limits)
    years = [year for year in movies.year if year is not None]
    span = f", {min(years)} to {max(years)}" if years else ""
    console.print(f"{len(movies):,} movies{span}")
    console.print(f"{len(ratings):,} ratings of {len(set(ratings.columns.user_id.tolist())):,} users")
    if ratings.assumed_utc:
        console.print(f"The times of {ratings.assumed_utc:,} ratings name no zone; they are taken as UTC.")
    for rejects in (movies.rejects, movies.link_rejects, ratings.rejects):
        if len(rejects):
            console.print(
                f"[yellow]{len(rejects):,} rows of {rejects.file} do not load: {escape(rejects.summary())}[/]"
            )
    misfits = [each for each in (movies.misfit(located.files.movie_file, limits), ratings.misfit) if each is not None]
    for misfit in misfits:
        console.print(f"[yellow]`movierec run` refuses this dataset. {escape(misfit)}[/]", soft_wrap=True)
    sys.exit(1 if misfits else 0)
