"""Generated data on disk, in the layout of MovieLens.

Belongs here: what is written where, and when an existing directory is left alone. Does not: the simulation.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import polars as pl

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.file_format import MOVIE_COLUMNS, RATING_COLUMNS
from movierec_assets.datasets.generated import MOVIES_FILE, RATINGS_FILE, is_complete, marker_of, put_in_place
from movierec_assets.datasets.generator.films import Films
from movierec_assets.datasets.generator.simulation import Simulated, simulate
from movierec_assets.datasets.generator.size import DEFAULT_SEED, Size
from movierec_assets.datasets.movies import NO_GENRES
from movierec_assets.progress import Progress, StageProgress

VERSION = 1
"""Raise it when the simulation changes: sets made earlier are then no longer taken for the same."""

_KIND = "movierec generated set"
_ROWS = 1_000_000


def generate(target: Path, size: Size, *, seed: int = DEFAULT_SEED, progress: StageProgress | None = None) -> bool:
    """Write a synthetic dataset in the MovieLens layout, unless it is already there.

    Parameters
    ----------
    target : Path
        Directory for ``movies.csv``, ``ratings.csv`` and ``README.txt``; appears when it is complete.
    size : Size
    seed : int
        Same size, same seed, same bytes, on one kind of processor.
    progress : callable, optional
        Called with what is being done, how much of it is, and how much there is.

    Returns
    -------
    bool
        False when `target` was generated with the same arguments before, and was left as it is.

    Raises
    ------
    DatasetError
        If `target` is a file, or holds anything else, or the system refuses to write.
    """
    report = progress or (lambda _what, _done, _total: None)
    marker = f"{_KIND}, version {VERSION}, {size}, seed {seed}"
    if is_complete(target, marker):
        return False
    _refuse_what_is_there(target, marker)

    def write(directory: Path) -> str:
        simulated = simulate(size, seed, lambda done, total: report("Simulating ratings", done, total))
        _write_movies(directory / MOVIES_FILE, simulated.films)
        _write_ratings(
            directory / RATINGS_FILE, simulated, lambda done, total: report("Writing ratings.csv", done, total)
        )
        return _about(size)

    try:
        put_in_place(target, marker, write)
    except OSError as error:
        raise DatasetError(
            f"{target}: cannot be written ({error.strerror or error}). Name a directory that can, with room for about "
            f"{max(1, round(size.ratings * 27 / 1e6))} MB; nothing was left there."
        ) from error
    return True


def _refuse_what_is_there(target: Path, marker: str) -> None:
    if target.exists() and not target.is_dir():
        raise DatasetError(f"{target}: is a file. Name a directory that is new or empty.")
    names = sorted(entry.name for entry in target.iterdir()) if target.is_dir() else []
    if not names:
        return
    found = marker_of(target)
    if found == marker:
        what = "was generated with these arguments, but its files are not as they were written"
    elif found.startswith(_KIND):
        what = f"holds another {found.removeprefix('movierec ')}"
    else:
        what = f"holds files already ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"
    raise DatasetError(f"{target}: {what}. Name a directory that is new or empty, or remove this one first.")


def _write_movies(file: Path, films: Films) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(MOVIE_COLUMNS)
        genres = ("|".join(each) or NO_GENRES for each in films.genres)
        writer.writerows(zip(films.movie_id.tolist(), films.title, genres, strict=True))


def _write_ratings(file: Path, simulated: Simulated, report: Progress) -> None:
    movie_id = simulated.films.movie_id.astype(np.int32)
    user_id = np.repeat(np.arange(1, len(simulated.ratings_per_user) + 1, dtype=np.int32), simulated.ratings_per_user)
    total = len(user_id)
    with file.open("wb") as out:
        for start in range(0, total, _ROWS):
            rows = slice(start, start + _ROWS)
            columns = (
                user_id[rows],
                movie_id[simulated.film[rows]],
                simulated.half_stars[rows] / np.float32(2),
                simulated.rated_at[rows],
            )
            part = pl.DataFrame(dict(zip(RATING_COLUMNS, columns, strict=True)))
            part.write_csv(out, include_header=start == 0)
            report(min(start + _ROWS, total), total)


def _about(size: Size) -> str:
    return f"""{size}.

This is SYNTHETIC data. Films, users and ratings are made up by `movierec data generate`: nobody has seen these films
or given these ratings, and nothing here was taken from MovieLens. The layout is that of MovieLens, and the counts of
ratings per user, per film and per star are shaped after those published of MovieLens 20M, so that programs can be
tried at its size. Figures of recommenders measured here say nothing about people.
"""
