"""How well a recipe ranks for people who come back: what they like in the time after a cut.

Belongs here: the windows that a recipe is scored on, of all users or of a sample of them, and the scores. Does not:
dividing by time (`split`), and intervals (`comparison`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from movierec_assets.recsys import scoring
from movierec_assets.recsys.engine import Factors, Fit
from movierec_assets.recsys.interactions import FloatArray, IntArray, Interactions
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.recipe import NO_NEXT_MOVIE, Recipe
from movierec_assets.recsys.split import WINDOWS, Window, time_windows

CUTOFF = 10


@dataclass(frozen=True)
class Returns:
    """Windows of time in which users came back.

    Attributes
    ----------
    windows : tuple of Window
    """

    windows: tuple[Window, ...]

    @classmethod
    def of(cls, positives: Interactions, *, windows: int = WINDOWS) -> Self:
        """The windows of a time split, see `split.time_windows`."""
        return cls(tuple(time_windows(positives, windows=windows)))

    @cached_property
    def users(self) -> IntArray:
        """Row of the user of each score, shape (n_scores,); a user is scored once in each window."""
        return np.concatenate([np.empty(0, dtype=np.int64), *(window.task.users for window in self.windows)])

    def fits(self, recipe: Recipe, fit: Fit, progress: Callable[[int, int], None] | None = None) -> list[Factors]:
        """A fit to the likes before each cut, with its next-movie matrix where the recipe has a signal."""
        found = []
        for number, window in enumerate(self.windows, start=1):
            factors = fit(window.task.train, recipe)
            if recipe.next_movie.on:
                factors = factors.with_next(NextMovies.of(window.task.train, recipe.next_movie))
            found.append(factors)
            if progress is not None:
                progress(number, len(self.windows))
        return found

    def scores(self, recipe: Recipe, fits: list[Factors]) -> FloatArray:
        """NDCG@10 of each user in each window, shape (n_scores,)."""
        found = [
            scoring.ndcg(window.task, factors, recipe, CUTOFF)
            for window, factors in zip(self.windows, fits, strict=True)
        ]
        return np.concatenate([np.empty(0), *found])


def without_signal(recipe: Recipe) -> Recipe:
    """The recipe with the next-movie signal switched off."""
    return replace(recipe, next_movie=NO_NEXT_MOVIE)
