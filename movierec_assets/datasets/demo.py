"""The demo set: real films, simulated users, no network.

Belongs here: the catalogue of films that ships with the package, the size of the demo set, and the directory that it
is written to. Does not: the simulation (`generator`), downloading MovieLens, loading ratings into a database.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.generated import (
    DEMO_NAME,
    MOVIES_FILE,
    RATINGS_FILE,
    README_FILE,
    is_complete,
    marker_of,
    put_in_place,
)
from movierec_assets.datasets.generator import Size
from movierec_assets.datasets.generator.files import write_tables
from movierec_assets.datasets.generator.films import Films, GivenFilms
from movierec_assets.datasets.generator.habits import Habits
from movierec_assets.datasets.generator.simulation import Simulated, simulate
from movierec_assets.datasets.package_tables import rows_of

DEMO_VERSION = 2
"""Raise it when the catalogue or the simulation changes: older demo sets are then made again."""

_MARKER_START = f"movierec {DEMO_NAME} set"

_MEAN_RATINGS, _MAX_RATINGS = 70, 350
# Few users and few films: taste has to be strong to be found, and users have to return for it to be used.
_HABITS = Habits(
    topics=40,
    topic_concentration=0.3,
    drift=0.2,
    genre_weight=8.0,
    era_weight=5.0,
    hidden_weight=0.0,
    casual_share=0.05,
    pleasure_of_fit=0.5,
    page=7,
    one_sitting=0.0,
    ratings_per_sitting=7.0,
)
_FAME_STEPS = 2.5  # steps of the fame column that make up its spread
_TIE_SPREAD = 0.5  # steps by which films of equal fame differ

# The generator simulates the years 1995 to 2015. The demo set is dated ten years later, so that its newest films have
# viewers. Nobody rates a film in the year of its release: the generator gets the year after.
_DELAY_YEARS = 10
_DELAY_SECONDS = 3_653 * 86_400


@dataclass(frozen=True)
class Film:
    """One film of the catalogue; fame is our estimate of its audience, from 1 (few know it) to 10 (everybody does)."""

    title: str
    year: int
    genres: tuple[str, ...]
    fame: int


@cache
def load_catalogue() -> tuple[Film, ...]:
    """Films of the demo set, ordered by year, then title.

    Returns
    -------
    tuple of Film
        The index in the tuple plus one is the film's ``movieId``.
    """
    return tuple(
        Film(row["title"], int(row["year"]), tuple(row["genres"].split("|")), int(row["fame"]))
        for row in rows_of("demo_films.csv")
    )


def make_demo(target: Path, *, users: int = 600, seed: int = 2026) -> Path:
    """Write the demo set in the MovieLens layout, unless it is already there.

    Parameters
    ----------
    target : Path
        Directory for ``movies.csv``, ``ratings.csv`` and ``README.txt``. A complete demo set made by
        this version with the same arguments is left untouched; any other demo set is replaced.
    users : int
        Number of simulated users.
    seed : int
        Same seed, same bytes.

    Returns
    -------
    Path
        `target`.

    Raises
    ------
    DatasetError
        If `target` holds anything but a demo set.
    ValueError
        If `users` is not positive.
    """
    if users < 1:
        raise ValueError(f"users must be at least 1, not {users}")
    marker = f"{_MARKER_START}, version {DEMO_VERSION}, {users} users, seed {seed}"
    if is_complete(target, marker):
        return target
    _refuse_foreign_files(target)

    def write(directory: Path) -> str:
        simulated = _simulate(users, seed)
        write_tables(directory, simulated)
        return _about(films=len(simulated.films), ratings=len(simulated.film))

    put_in_place(target, marker, write)
    return target


def _simulate(users: int, seed: int) -> Simulated:
    """Let users rate the films of the catalogue, on the dates of the demo set."""
    catalogue = load_catalogue()
    films = Films(
        movie_id=np.arange(1, len(catalogue) + 1),
        title=[f"{film.title} ({film.year})" for film in catalogue],
        year=np.array([film.year + 1 - _DELAY_YEARS for film in catalogue]),
        genres=[film.genres for film in catalogue],
    )
    rng = np.random.Generator(np.random.PCG64(seed))
    fame = np.array([film.fame for film in catalogue]) + _TIE_SPREAD * rng.standard_normal(len(catalogue))
    size = Size(users, len(catalogue), _MEAN_RATINGS * users, max_per_user=_MAX_RATINGS)
    simulated = simulate(size, seed, given=GivenFilms(films, fame / _FAME_STEPS), habits=_HABITS, portable=True)
    return replace(simulated, rated_at=simulated.rated_at + np.int32(_DELAY_SECONDS))


def _refuse_foreign_files(target: Path) -> None:
    """Raise if replacing `target` would delete something that is not a demo set."""
    if not target.exists():
        return
    if not target.is_dir():
        raise DatasetError(f"{target}: is a file; the demo set needs a directory of its own. Name another path.")
    names = {entry.name for entry in target.iterdir()}
    # Only whole demo sets are ever put there, so ratings without our README are somebody's own.
    ours = marker_of(target).startswith(_MARKER_START)
    foreign = sorted(names - {MOVIES_FILE, RATINGS_FILE, README_FILE} if ours else names)
    if foreign:
        raise DatasetError(
            f"{target}: holds files that are not the demo set's ({', '.join(foreign[:5])}), and making the demo set "
            "would replace them. Name another directory or move them away."
        )


def _about(*, films: int, ratings: int) -> str:
    return f"""{films} films, {ratings} ratings.

The films are real: title, year and genres come from the catalogue in the movierec_assets package.
The users and their ratings are SIMULATED. They follow made-up tastes in genres and eras and say
nothing about what anyone thinks of a film. The layout is that of MovieLens; none of its data is here.
"""
