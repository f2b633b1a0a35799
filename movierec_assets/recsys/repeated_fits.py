"""Scores of a recipe that is fitted several times from different start values, and their spread.

Belongs here: fitting with other seeds, the number of fits, and the bound that replaces the spread where fits are few.
Does not: the interval of a lead (`comparison`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from movierec_assets.progress import Progress
from movierec_assets.recsys import scoring
from movierec_assets.recsys.comparison import FitSpread
from movierec_assets.recsys.engine import Factors, Fit
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, Interactions
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.recipe import Recipe, without_signal
from movierec_assets.recsys.split import Task

FITS, FITS_OF_LARGE_DATA = 5, 2
"""Fits of each recipe."""

MAX_LIKES = 1_000_000
"""Above this number of likes, data is large: a fit takes more than ten seconds on two cores."""

BOUND = 0.0015
"""Standard deviation of a mean lead between pairs of fits on large data, relative to NDCG@10.

Measured on made-up ratings, as the spread that remains after the chance of single users. With 20 million ratings and
138,174 users: 0.15 % in 7 fits of the built-in recipe, and nothing in 3 fits of another. With 1, 2 and 5 million
ratings: nothing in 6 to 10 fits. `make bench ARGS=gate` measures it.
"""

_CUTOFF = 10


def number_of_fits(likes: int) -> int:
    """Number of fits of each recipe, for a number of likes to fit to."""
    return FITS if likes <= MAX_LIKES else FITS_OF_LARGE_DATA


def scores(
    task: Task,
    recipe: Recipe,
    fits: int,
    fit: Fit,
    *,
    known: FloatArray | None = None,
    next_movies: NextMovies | None = None,
    progress: Progress | None = None,
) -> FloatArray:
    """NDCG@10 of each scored user, for several fits of a recipe from different start values.

    Parameters
    ----------
    task : Task
    recipe : Recipe
        The first fit has its seed, and the others the seeds that follow. So two recipes with one seed have the same
        start values, pair by pair.
    fits : int
    fit : Fit
    known : float array, shape (n_users,), optional
        Scores of the first fit, to save making it.
    next_movies : NextMovies, optional
        Of the recipe's signal, counted in `task.train`; all fits have the same one. Counted here without it.
    progress : callable, optional
        Called after each fit.

    Returns
    -------
    float array, shape (n_users, fits)

    Raises
    ------
    RecsysError
        When `fits` is less than 1, or the known scores are not of these users.
    """
    users = len(task.users)
    if fits < 1:
        raise RecsysError(f"{fits} starts; a recipe is fitted from at least one.")
    if known is not None and known.shape != (users,):
        raise RecsysError(f"Scores of shape {known.shape} are not those of {users} users.")
    if next_movies is None and recipe.next_movie.on:
        next_movies = NextMovies.of(task.train, recipe.next_movie)
    found = np.empty((users, fits))
    for number in range(fits):
        if number == 0 and known is not None:
            found[:, 0] = known
        else:
            each = replace(recipe, seed=recipe.seed + number)
            found[:, number] = scoring.ndcg(task, fit(task.train, each).with_next(next_movies), each, _CUTOFF)
        if progress is not None:
            progress(number + 1, fits)
    return found


def shared(fit: Fit) -> Fit:
    """A fit that is made once for recipes that differ in the next-movie signal only, of one task's training data.

    Results stay in memory, so it is for one comparison.
    """
    made: dict[Recipe, Factors] = {}

    def once(positives: Interactions, recipe: Recipe, *arguments: Any, **options: Any) -> Factors:
        key = without_signal(recipe)
        if key not in made:
            made[key] = fit(positives, recipe, *arguments, **options)
        return made[key]

    return once


def spread(differences: FloatArray, champion_ndcg: float) -> FitSpread:
    """Spread of a lead between pairs of fits: the measured one, or the bound where there are too few pairs to measure.

    Parameters
    ----------
    differences : float array, shape (n_users, n_fits)
        Challenger minus champion, of fits from the same start values.
    champion_ndcg : float
        Mean NDCG@10 of the champion, which the bound is relative to.
    """
    if differences.shape[1] > FITS_OF_LARGE_DATA:
        return FitSpread.seen_in(differences)
    return FitSpread(BOUND * champion_ndcg, np.inf, "a bound measured on 20 million made-up ratings")
