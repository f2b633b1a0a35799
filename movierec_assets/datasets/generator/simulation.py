"""One simulation from beginning to end: films, users and ratings.

Belongs here: the order of the steps, and work on several blocks of users at once. Does not: files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from movierec_assets.datasets.generator.appeal import draw_fame, fit_appeal, rank_films, round_away_processor
from movierec_assets.datasets.generator.films import Films, GivenFilms, invent_films
from movierec_assets.datasets.generator.habits import LIKE_ML_20M, Habits
from movierec_assets.datasets.generator.marginals import ratings_per_film, ratings_per_user
from movierec_assets.datasets.generator.sittings import (
    FIRST_YEAR,
    HALF_STARS_SINCE,
    LAST_YEAR,
    Sittings,
    arrange_sittings,
)
from movierec_assets.datasets.generator.size import Size
from movierec_assets.datasets.generator.stars import give_stars
from movierec_assets.datasets.generator.tastes import draw_tastes, draw_topics
from movierec_assets.datasets.generator.watching import Watched, World, running_odds, watch
from movierec_assets.progress import Progress

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.floating[Any]]

_BLOCK_RATINGS = 400_000
_CHOICE = 1.3  # released films for each film that a user rates
_QUALITY_SPREAD, _QUALITY_OF_POPULAR = 0.3, 0.25


@dataclass(frozen=True)
class Simulated:
    """Films, and ratings as columns of equal length in order of user, then film.

    Attributes
    ----------
    films : Films
    ratings_per_user : int array, shape (n_users,)
        Number of rows of each user.
    film : int32 array, shape (n,)
        Index in `films`.
    half_stars : int8 array, shape (n,)
        1 to 10.
    rated_at : int32 array, shape (n,)
        Unix seconds.
    """

    films: Films
    ratings_per_user: IntArray
    film: npt.NDArray[np.int32]
    half_stars: npt.NDArray[np.int8]
    rated_at: npt.NDArray[np.int32]


def simulate(
    size: Size,
    seed: int,
    progress: Progress | None = None,
    *,
    given: GivenFilms | None = None,
    habits: Habits = LIKE_ML_20M,
    portable: bool = False,
) -> Simulated:
    """Simulate a dataset.

    Parameters
    ----------
    size : Size
    seed : int
        The same seed gives the same dataset.
    progress : callable, optional
        Called with the number of ratings made so far and the number of all.
    given : GivenFilms, optional
        The `size.movies` films and their fame. By default both are made up.
    habits : Habits
    portable : bool
        Give the same bytes on every processor, at twice the time and memory for the odds.

    Returns
    -------
    Simulated
        With exactly the numbers of `size`.
    """
    with threadpool_limits(1, "blas"):  # blocks run in parallel; sums in another order would give other bytes
        return _simulate(size, seed, progress or (lambda _done, _total: None), given, habits, portable)


def _simulate(
    size: Size, seed: int, report: Progress, given: GivenFilms | None, habits: Habits, portable: bool
) -> Simulated:
    report(0, size.ratings)
    for_films, for_users = np.random.SeedSequence(seed).spawn(2)
    films = given.films if given else invent_films(size.movies, np.random.Generator(np.random.PCG64(for_films)))
    fame = given.fame if given else None
    rated, world = _make_world(size, films, fame, habits, np.random.Generator(np.random.PCG64(for_users)), portable)
    blocks = list(_blocks(world.ratings))
    for_blocks = for_users.spawn(len(blocks))

    film = np.empty(size.ratings, dtype=np.int32)
    rated_at = np.empty(size.ratings, dtype=np.int32)
    pleasure = np.empty(size.ratings, dtype=np.float32)
    done = 0
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:

        def run(number: int) -> Watched:
            start, stop = blocks[number]
            return watch(world, start, stop, np.random.Generator(np.random.PCG64(for_blocks[number])))

        for watched in pool.map(run, range(len(blocks))):
            rows = slice(done, done + len(watched.film))
            film[rows], rated_at[rows], pleasure[rows] = rated[watched.film], watched.rated_at, watched.pleasure
            done = rows.stop
            report(done, size.ratings)
    return Simulated(films, world.ratings, film, give_stars(pleasure, rated_at >= HALF_STARS_SINCE), rated_at)


def _make_world(
    size: Size, films: Films, fame: FloatArray | None, habits: Habits, rng: np.random.Generator, portable: bool
) -> tuple[IntArray, World]:
    """Everything that is drawn before the first rating; and the indices of the films that will be rated."""
    ratings = rng.permutation(ratings_per_user(size))
    sittings = arrange_sittings(ratings, _enough_films(ratings / size.rated, films.year), habits, rng)
    arrivals = sittings.year_of(sittings.first[:-1]).astype(np.int64)
    if fame is None:
        fame = draw_fame(films.year, rng)
    by_fame = rank_films(fame, films.year, arrivals)[: size.rated]
    rated = np.sort(by_fame)
    wanted = np.empty(size.rated)
    wanted[np.searchsorted(rated, by_fame)] = ratings_per_film(size)
    year = films.year[rated]

    fit = draw_topics(films, habits, rng)[:, rated]
    if portable:
        fit = round_away_processor(fit)
    tastes = draw_tastes(size.users, habits, rng)
    appeal = fit_appeal(fit, year, wanted, ratings, tastes, arrivals, portable=portable)
    popularity = np.log(wanted)
    quality = _QUALITY_SPREAD * rng.standard_normal(size.rated)
    quality += _QUALITY_OF_POPULAR * (popularity - popularity.mean()) / max(float(popularity.std()), 1e-9)
    return rated, World(
        habits=habits,
        ratings=ratings,
        sittings=sittings,
        tastes=tastes,
        appeal=appeal,
        cumulative=running_odds(appeal.odds),
        fit=fit.astype(np.float32),
        year=year.astype(np.int16),
        quality=quality,
        first_user=_first_users(ratings, sittings, year, rng),
        portable=portable,
    )


def _enough_films(share: npt.NDArray[np.float64], year: IntArray) -> IntArray:
    """Year in which users who rate a share of all films find enough released ones, and some to choose from."""
    wanted = np.minimum(len(year) - 1, _CHOICE * share * len(year)).astype(np.int64)
    return np.clip(np.sort(year)[wanted], FIRST_YEAR, LAST_YEAR)


def _first_users(ratings: IntArray, sittings: Sittings, year: IntArray, rng: np.random.Generator) -> IntArray:
    """A user for each film: at most as many films as the user rates, and the user is still there at the release."""
    user = np.repeat(np.arange(len(ratings)), ratings)
    chosen = user[rng.choice(len(user), size=len(year), replace=False, shuffle=False)]
    last_year = sittings.year_of(sittings.first[1:] - 1)
    first_users = np.empty(len(year), dtype=np.int64)
    # The latest films go to the users with the latest sittings, so that a late enough user is found if there is one.
    first_users[np.argsort(year, kind="stable")] = chosen[np.argsort(last_year[chosen], kind="stable")]
    return first_users


def _blocks(ratings: IntArray) -> Iterator[tuple[int, int]]:
    """Ranges of users with about `_BLOCK_RATINGS` ratings each."""
    cumulative = np.cumsum(ratings)
    start = 0
    while start < len(ratings):
        before = cumulative[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(cumulative, before + _BLOCK_RATINGS, side="right")))
        yield start, stop
        start = stop
