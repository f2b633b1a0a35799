"""The constraint of a search: a recipe's next-movie signal does not clearly harm people who come back.

Belongs here: the comparison of a recipe on return with itself without the signal, and weaker signals where it fails.
Does not: the windows of a return (`returns`), and the value in the sitting (`search`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from movierec_assets.recsys.comparison import Interval, paired_difference
from movierec_assets.recsys.engine import Fit
from movierec_assets.recsys.recipe import NO_NEXT_MOVIE, NextMovie, Recipe, without_signal
from movierec_assets.recsys.returns import Returns

_FADES = (1 / 4, 1 / 16, 1 / 64)
_WEIGHTS = (3 / 4, 1 / 2, 1 / 4)


@dataclass(frozen=True)
class GuardedRecipe:
    """A recipe whose signal does not clearly harm people who come back.

    Attributes
    ----------
    recipe : Recipe
    change : Interval or None
        NDCG@10 on return: `recipe` minus the same fits without the signal. None when the signal is off, or nobody came
        back.
    refused : Interval or None
        The change by the signal that was too strong; None when the signal is as it was given.
    """

    recipe: Recipe
    change: Interval | None = None
    refused: Interval | None = None

    def as_dict(self) -> dict[str, Any]:
        """The intervals, for logs."""
        return {name: interval and asdict(interval) for name, interval in vars(self).items() if name != "recipe"}

    def __str__(self) -> str:
        """One sentence, for a log and a report."""
        signal = self.recipe.next_movie
        harmed = None if self.refused is None else f"it clearly harmed people who come back ({self.refused.signed})"
        if not signal.on:
            why = "" if harmed is None else f": {harmed}"
            return f"The recipe of the search has no next-movie signal{why}."
        if self.change is None:
            return "The next-movie signal of the recipe was not compared on return: the search saw nobody come back."
        if harmed is not None:
            numbers = f"weight {signal.weight:g}, fading in {signal.fade_hours:g} h"
            return f"The next-movie signal of the recipe was weakened, because {harmed}: {numbers}."
        return (
            "In the likes that the search saw, the next-movie signal does no clear harm to people who come back "
            f"({self.change.signed})."
        )


def weaker(signal: NextMovie) -> list[NextMovie]:
    """Weaker signals that need no new fit: some fade sooner, some count less, and the last is off."""
    return [
        *(replace(signal, fade_hours=signal.fade_hours * share) for share in _FADES),
        *(replace(signal, weight=signal.weight * share) for share in _WEIGHTS),
        NO_NEXT_MOVIE,
    ]


def keep_return(recipe: Recipe, returns: Returns, fit: Fit, sitting: Callable[[Recipe], float]) -> GuardedRecipe:
    """The recipe, or if it is clearly worse on return than without its signal, the best that is not.

    Clearly worse means that the whole 95 % interval of the paired difference lies below 0.

    Parameters
    ----------
    recipe : Recipe
    returns : Returns
        Of data that the search may see.
    fit : Fit
        Fits once for each window.
    sitting : callable
        Value of a recipe in the sitting; of the weaker signals that pass, the one with the highest value is taken.
    """
    if not recipe.next_movie.on or len(returns.users) == 0:
        return GuardedRecipe(recipe)
    fits = returns.fits(recipe, fit)
    without = returns.scores(without_signal(recipe), fits)

    def change(candidate: Recipe) -> Interval:
        return paired_difference(returns.scores(candidate, fits), without, groups=returns.users)

    of_recipe = change(recipe)
    if of_recipe.high >= 0:
        return GuardedRecipe(recipe, of_recipe)
    candidates = [replace(recipe, next_movie=signal) for signal in weaker(recipe.next_movie)]
    in_order = sorted(candidates, key=sitting, reverse=True)
    kept = next(each for each in in_order if not each.next_movie.on or change(each).high >= 0)
    return GuardedRecipe(kept, change(kept) if kept.next_movie.on else None, of_recipe)
