"""How well a recipe ranks for people who come back: what they like in the time after a cut.

Belongs here: the windows that a recipe is scored on, of all users or of a sample of them, and the scores. Does not:
dividing by time (`split`), and intervals (`comparison`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from movierec_assets.recsys import scoring
from movierec_assets.recsys.engine import Factors, Fit
from movierec_assets.recsys.interactions import BoolArray, FloatArray, IntArray, Interactions
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.split import WINDOWS, Split, Window, time_windows
from movierec_assets.recsys.warm_start import mixed_order

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
    def of(
        cls,
        positives: Interactions,
        *,
        windows: int = WINDOWS,
        max_likes: int | None = None,
        user_ids: IntArray | None = None,
    ) -> Self:
        """The windows of a time split, see `split.time_windows`.

        Parameters
        ----------
        positives : Interactions, shape (n_users, n_movies)
        windows : int
        max_likes : int, optional
            With more likes, the windows hold a sample of whole users with at most so many. Rows keep their places.
        user_ids : int array, shape (n_users,), optional
            Decide who is in the sample, so that it is nearly the same every day; without them, rows decide.
        """
        if max_likes is not None:
            positives = sample_of_users(positives, max_likes, user_ids)
        return cls(tuple(time_windows(positives, windows=windows)))

    @cached_property
    def users(self) -> IntArray:
        """Row of the user of each score, shape (n_scores,); a user is scored once in each window."""
        return np.concatenate([np.empty(0, dtype=np.int64), *(window.task.users for window in self.windows)])

    def fits(self, recipe: Recipe, fit: Fit, progress: Callable[[int, int], None] | None = None) -> list[Factors]:
        """A fit to the likes before each cut, with its next-movie matrix where the recipe has a signal."""
        found = []
        for number, window in enumerate(self.windows, start=1):
            found.append(scoring.fitted(window.task.train, recipe, fit))
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


def sample_of_users(positives: Interactions, max_likes: int, user_ids: IntArray | None = None) -> Interactions:
    """The likes of whole users, together at most `max_likes`, in a matrix of the same shape; see `Returns.of`."""
    if len(positives) <= max_likes:
        return positives
    return positives.only(np.repeat(_sampled(positives.per_user, max_likes, user_ids), positives.per_user))


def sample_of_split(split: Split, max_likes: int, user_ids: IntArray | None = None) -> Interactions:
    """`sample_of_users` of everything in a split, whose parts are joined for the sample only."""
    parts = (split.train, split.validation, split.test)
    if len(split) <= max_likes:
        return split.positives
    chosen = _sampled(split.per_user, max_likes, user_ids)
    first, *others = (part.only(np.repeat(chosen, part.per_user)) for part in parts)
    return first.union(*others)


def _sampled(per_user: IntArray, max_likes: int, user_ids: IntArray | None) -> BoolArray:
    """Whether each user is in the sample, shape (n_users,), given their numbers of likes."""
    order = mixed_order(np.arange(len(per_user)) if user_ids is None else user_ids)
    chosen = np.zeros(len(per_user), dtype=np.bool_)
    chosen[order[np.cumsum(per_user[order]) <= max_likes]] = True
    return chosen
