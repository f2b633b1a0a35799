"""The demo set: real films, simulated users, no network.

Belongs here: the catalogue of films that ships with the package, the simulation of users whose
taste follows genres and eras, and the writing of both in the MovieLens layout, once, whole or not at
all. Does not: downloading MovieLens, loading ratings into a database, splitting and training.
Nothing here knows about Dagster, settings or SQL.

Random numbers come from seeded PCG64 streams, sorts are stable, and everything written is an integer or
a multiple of one half: the same arguments give the same bytes wherever NumPy keeps its streams.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.generated import (
    MOVIES_FILE,
    RATINGS_FILE,
    README_FILE,
    is_complete,
    marker_of,
    put_in_place,
)

DEMO_NAME = "demo"
"""Name under which the demo set goes wherever a data set has to be named."""

DEMO_VERSION = 1
"""Raise it when the catalogue or the simulation changes: older demo sets are then made again."""

_MARKER_START = f"movierec {DEMO_NAME} set"

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_FIRST_SECOND = int(np.datetime64("1996-01-01T00:00:00", "s").astype(np.int64))
_LAST_SECOND = int(np.datetime64("2025-12-31T23:59:59", "s").astype(np.int64))
_DAY = 86_400
_SHORTEST_PAUSE, _LONGEST_PAUSE = 15, 300  # seconds between two ratings of one session

# Fame belongs to the films, not to a simulation: the same films are famous whatever the seed.
_FAME_SEED = 1895
_FAME_HEAD = 15.0
_FAME_SLOPE = 2.2

_FEWEST_RATINGS, _MEDIAN_RATINGS, _MOST_RATINGS = 20, 62, 350
_ACTIVITY_SPREAD = 0.75
_RATINGS_PER_SESSION = 7.0

# Set so that factors learnt from the ratings rank held-out films well above what fame alone does,
# and so that the ratings have the mean and the whole-star peaks of MovieLens.
_GENRE_CONCENTRATION = 0.15
_GENRE_WEIGHT = 7.0
_DISLIKE_WEIGHT = 2.0
_ERA_WEIGHT = 3.0
_DRIFT = 0.2
_CHOICE_SHARPNESS = 2.0

_STARS_AT_NO_AFFINITY = 2.35
_STARS_PER_AFFINITY = 0.5
_MILDNESS_SPREAD = 0.35
_QUALITY_SPREAD = 0.3
_CHANCE_SPREAD = 0.75
_HALF_STAR_SHARE = 0.5


@dataclass(frozen=True)
class Film:
    """One film of the catalogue."""

    title: str
    year: int
    genres: tuple[str, ...]


@dataclass(frozen=True)
class SimulatedRatings:
    """Ratings as four columns of equal length, ordered by user, then film.

    Attributes
    ----------
    user : int array, shape (n,)
        Row of the user, from 0.
    film : int array, shape (n,)
        Position in the catalogue, from 0.
    half_stars : int array, shape (n,)
        Rating in half stars, 1 to 10.
    timestamp : int array, shape (n,)
        Unix seconds; no two ratings of one user share one.
    """

    user: IntArray
    film: IntArray
    half_stars: IntArray
    timestamp: IntArray


@dataclass(frozen=True)
class _Tastes:
    """What the users like: affinities at the start and at the end of their history."""

    before: FloatArray
    after: FloatArray


@cache
def load_catalogue() -> tuple[Film, ...]:
    """Films of the demo set, ordered by year, then title.

    Returns
    -------
    tuple of Film
        The position in the tuple plus one is the film's ``movieId``.
    """
    source = resources.files("movierec_assets") / "datasets" / "demo_films.csv"
    rows = csv.DictReader(source.read_text(encoding="utf-8").splitlines())
    return tuple(Film(row["title"], int(row["year"]), tuple(row["genres"].split("|"))) for row in rows)


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
    marker = _marker(users, seed)
    if is_complete(target, marker):
        return target
    _refuse_foreign_files(target)

    films = load_catalogue()
    ratings = simulate_ratings(films, users=users, seed=seed)

    def write(directory: Path) -> str:
        _write_movies(directory / MOVIES_FILE, films)
        _write_ratings(directory / RATINGS_FILE, ratings)
        return _about(films=len(films), ratings=len(ratings.user))

    put_in_place(target, marker, write)
    return target


def simulate_ratings(films: tuple[Film, ...], *, users: int, seed: int) -> SimulatedRatings:
    """Let users watch and rate films.

    What a user watches next follows fame times affinity; the rating follows affinity, the film's
    quality, the user's mildness and chance. Affinity is a sparse preference over genres plus a
    favourite era, and drifts slowly from the first session to the last.

    Parameters
    ----------
    films : tuple of Film
        The catalogue.
    users : int
        Number of users.
    seed : int
        Seed of the simulation. The films' fame does not depend on it.

    Returns
    -------
    SimulatedRatings
        At least 20 ratings per user, while the films last, each of a film released in an earlier year.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    years = np.array([film.year for film in films], dtype=np.int64)
    log_fame = _log_fame(len(films))
    tastes = _draw_tastes(rng, films, users)
    quality = _QUALITY_SPREAD * rng.standard_normal(len(films))
    mildness = _MILDNESS_SPREAD * rng.standard_normal(users)
    activity = _MEDIAN_RATINGS * np.exp(_ACTIVITY_SPREAD * rng.standard_normal(users))
    wanted = np.clip(np.rint(activity), _FEWEST_RATINGS, _MOST_RATINGS).astype(np.int64)

    histories: list[IntArray] = []
    for user in range(users):
        sizes = _draw_session_sizes(rng, int(wanted[user]))
        starts = _draw_session_starts(rng, len(sizes))
        unseen = np.ones(len(films), dtype=np.bool_)
        for size, start, late in zip(sizes, starts, np.linspace(0.0, 1.0, len(sizes)), strict=True):
            affinity = (1 - late) * tastes.before[user] + late * tastes.after[user]
            candidates = np.flatnonzero(unseen & (years < _year_of(start)))
            watched = _draw_films(rng, candidates, log_fame + _CHOICE_SHARPNESS * affinity, size)
            unseen[watched] = False
            stars = (
                _STARS_AT_NO_AFFINITY
                + _STARS_PER_AFFINITY * affinity[watched]
                + mildness[user]
                + quality[watched]
                + _CHANCE_SPREAD * rng.standard_normal(len(watched))
            )
            pauses = rng.integers(_SHORTEST_PAUSE, _LONGEST_PAUSE, size=len(watched), endpoint=True)
            histories.append(
                np.stack(
                    (np.full_like(watched, user), watched, _to_half_stars(rng, stars), start + np.cumsum(pauses)),
                )
            )

    user_column, film_column, half_stars, timestamp = np.concatenate(histories, axis=1)
    order = np.lexsort((film_column, user_column))
    return SimulatedRatings(
        user=user_column[order], film=film_column[order], half_stars=half_stars[order], timestamp=timestamp[order]
    )


def _log_fame(n_films: int) -> FloatArray:
    """Long tail over the catalogue: a power of the rank, flattened at the head."""
    rng = np.random.Generator(np.random.PCG64(_FAME_SEED))
    rank = rng.permutation(n_films).astype(np.float64)
    return -_FAME_SLOPE * np.log(rank + _FAME_HEAD)


def _draw_tastes(rng: np.random.Generator, films: tuple[Film, ...], users: int) -> _Tastes:
    """Affinity of every user to every film, shape (users, films), before and after the drift."""
    genres = sorted({genre for film in films for genre in film.genres})
    membership = np.array([[genre in film.genres for genre in genres] for film in films], dtype=np.float64)
    membership /= np.sqrt(membership.sum(axis=1, keepdims=True))
    years = np.array([film.year for film in films], dtype=np.float64)

    liked = rng.dirichlet(np.full(len(genres), _GENRE_CONCENTRATION), size=users)
    later = (1 - _DRIFT) * liked + _DRIFT * rng.dirichlet(np.full(len(genres), _GENRE_CONCENTRATION), size=users)
    # The disliked genre is a random one among those the user does not care for.
    disliked = np.argmax(rng.random((users, len(genres))) * (liked < 1 / len(genres)), axis=1)
    dislike = np.zeros((users, len(genres)))
    dislike[np.arange(users), disliked] = _DISLIKE_WEIGHT

    favourite_year = years[rng.integers(0, len(films), size=users)]
    width = 5.0 + 8.0 * rng.random(users)
    era = np.exp(-0.5 * ((years[None, :] - favourite_year[:, None]) / width[:, None]) ** 2)

    return _Tastes(
        before=(_GENRE_WEIGHT * liked - dislike) @ membership.T + _ERA_WEIGHT * era,
        after=(_GENRE_WEIGHT * later - dislike) @ membership.T + _ERA_WEIGHT * era,
    )


def _draw_films(rng: np.random.Generator, candidates: IntArray, appeal: FloatArray, size: int) -> IntArray:
    """Up to `size` of the candidates, without replacement, odds exp(appeal), in any order."""
    # Gumbel noise turns the head of a sorted list into a draw without replacement.
    noisy = appeal[candidates] - np.log(-np.log1p(-rng.random(len(candidates))))
    drawn = candidates[np.argsort(-noisy, kind="stable")[:size]]
    # The best liked are drawn first; were they also watched first, sessions would end predictably badly.
    return rng.permutation(drawn)


def _draw_session_sizes(rng: np.random.Generator, ratings: int) -> IntArray:
    """Sizes of the sessions of one user, at least one rating each."""
    sessions = max(2, int(np.rint(ratings / _RATINGS_PER_SESSION)))
    cuts = np.sort(rng.permutation(ratings - 1)[: sessions - 1]) + 1
    return np.diff(np.concatenate(([0], cuts, [ratings])))


def _draw_session_starts(rng: np.random.Generator, sessions: int) -> IntArray:
    """Unix seconds at which the sessions of one user start: days to months apart, oldest first."""
    # Two days or more apart, far longer than a session lasts, so timestamps of a user never meet.
    gap_days = np.clip(2 + 25 * np.exp(1.1 * rng.standard_normal(sessions - 1)), 2, 400)
    offsets = np.concatenate(([0], np.rint(np.cumsum(gap_days) * _DAY).astype(np.int64)))
    room = _LAST_SECOND - _FIRST_SECOND - 2 * _DAY
    if offsets[-1] > room:
        offsets = offsets * room // offsets[-1]
    first = _FIRST_SECOND + int(rng.integers(0, room - int(offsets[-1]), endpoint=True))
    return first + offsets


def _year_of(second: int) -> int:
    """Calendar year of a Unix second, in UTC."""
    return int(np.datetime64(int(second), "s").astype("datetime64[Y]").astype(np.int64)) + 1970


def _to_half_stars(rng: np.random.Generator, stars: FloatArray) -> IntArray:
    """Round to whole stars or, for some of the ratings, to half stars; 1 to 10 half stars."""
    halves = np.rint(2 * stars)
    wholes = 2 * np.rint(stars)
    chosen = np.where(rng.random(len(stars)) < _HALF_STAR_SHARE, halves, wholes)
    return np.clip(chosen, 1, 10).astype(np.int64)


def _marker(users: int, seed: int) -> str:
    """First line of the README: what the directory holds, for the reuse check."""
    return f"{_MARKER_START}, version {DEMO_VERSION}, {users} users, seed {seed}"


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


def _write_movies(file: Path, films: tuple[Film, ...]) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["movieId", "title", "genres"])
        writer.writerows(
            (movie_id, f"{film.title} ({film.year})", "|".join(film.genres))
            for movie_id, film in enumerate(films, start=1)
        )


def _write_ratings(file: Path, ratings: SimulatedRatings) -> None:
    columns = (ratings.user + 1, ratings.film + 1, ratings.half_stars / 2, ratings.timestamp)
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["userId", "movieId", "rating", "timestamp"])
        writer.writerows(zip(*(column.tolist() for column in columns), strict=True))


def _about(*, films: int, ratings: int) -> str:
    return f"""{films} films, {ratings} ratings.

The films are real: title, year and genres come from the catalogue in the movierec_assets package.
The users and their ratings are SIMULATED. They follow made-up tastes in genres and eras and say
nothing about what anyone thinks of a film. The layout is that of MovieLens; none of its data is here.
"""
