"""The space of recipes that a search draws from.

Belongs here: choices and bounds of every number of a recipe, and the recipe of numbers that were drawn. Does not: the
value of a recipe, and the order of the trials (`search`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args

import optuna
from numpy.random import Generator

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.recipe import ConfidenceKind, Recipe, without_signal

RATIO = "regularization_ratio"
"""What is drawn in place of the regularization: its ratio to alpha."""
_CHOICES = ("confidence", "factors", "next_movie_window", "next_movie_decay")
_LOG_RANGES = (
    "alpha",
    RATIO,
    "fold_in_floor",
    "fold_in_boost",
    "fold_in_tau",
    "next_movie_smoothing",
    "next_movie_tau",
    "next_movie_fade_hours",
)
_STEPS = {"next_movie_out_exponent": 0.1, "next_movie_in_exponent": 0.1, "next_movie_weight": 0.1}
"""Ranges that may start at 0, and the distance between the values that are drawn."""


@dataclass(frozen=True)
class Space:
    """Choices and bounds of the search, both ends included; the names are those of `Recipe.as_dict`, but for one.

    In place of the regularization, its ratio to alpha is drawn: twice the alpha needs about twice the regularization. A
    weight of 0 switches the next-movie signal off. A decay of 1 counts every place of the window alike, and an
    exponent of 0 does not normalize. Window and decay have few choices, because each pair of them has to be counted.
    """

    confidence: tuple[ConfidenceKind, ...] = ("binary", "rating", "bm25")
    alpha: tuple[float, float] = (0.5, 50.0)
    regularization_ratio: tuple[float, float] = (0.05, 50.0)
    factors: tuple[int, ...] = (32, 64, 96, 128)
    iterations: tuple[int, int] = (6, 24)
    fold_in_floor: tuple[float, float] = (0.03, 1.0)
    fold_in_boost: tuple[float, float] = (0.5, 8.0)
    fold_in_tau: tuple[float, float] = (2.0, 60.0)
    next_movie_window: tuple[int, ...] = (5, 10, 30, 60)
    next_movie_decay: tuple[float, ...] = (0.8, 0.95, 1.0)
    next_movie_out_exponent: tuple[float, float] = (0.0, 1.0)
    next_movie_in_exponent: tuple[float, float] = (0.0, 1.0)
    next_movie_smoothing: tuple[float, float] = (1.0, 1000.0)
    next_movie_tau: tuple[float, float] = (0.5, 20.0)
    next_movie_weight: tuple[float, float] = (0.0, 3.0)
    next_movie_fade_hours: tuple[float, float] = (0.1, 24.0)

    def __post_init__(self) -> None:
        for name in _CHOICES:
            if not getattr(self, name):
                raise RecsysError(f"The search space leaves no choice for {name}; name at least one.")
        for name in (*_LOG_RANGES, "iterations"):
            low, high = getattr(self, name)
            if not 0 < low <= high < math.inf:
                raise RecsysError(f"The search space of {name} is {low} to {high}; give 0 < lowest <= highest.")
        for name in _STEPS:
            low, high = getattr(self, name)
            if not 0 <= low <= high < math.inf:
                raise RecsysError(f"The search space of {name} is {low} to {high}; give 0 <= lowest <= highest.")
        unknown = set(self.confidence) - set(get_args(ConfidenceKind))
        if unknown:
            raise RecsysError(f"The search space names confidence {', '.join(map(str, unknown))}; it is unknown.")
        whole = (*self.factors, *self.iterations, *self.next_movie_window)
        if any(value != int(value) or value < 1 for value in whole):
            raise RecsysError(
                f"Factors, iterations and windows are whole numbers from 1, not {', '.join(map(str, whole))}."
            )
        if not all(0 < decay <= 1 for decay in self.next_movie_decay):
            raise RecsysError(f"The search space of next_movie_decay is {self.next_movie_decay}; give 0 < decay <= 1.")

    def holds(self, recipe: Recipe) -> bool:
        """Whether a recipe is within the bounds."""
        values = drawn_of(recipe)
        ranges = (*_LOG_RANGES, *_STEPS, "iterations")
        return all(values[name] in getattr(self, name) for name in _CHOICES) and all(
            low <= float(values[name]) <= high for name in ranges for low, high in [getattr(self, name)]
        )

    def suggest(self, trial: optuna.Trial, seed: int) -> Recipe:
        """Draw a recipe."""
        for name in (each.name for each in fields(self)):
            given = getattr(self, name)
            if name in _CHOICES:
                trial.suggest_categorical(name, given)
            elif name == "iterations":
                trial.suggest_int(name, *given)
            else:
                trial.suggest_float(name, *given, log=name in _LOG_RANGES, step=_STEPS.get(name))
        return recipe_of(trial.params, seed)

    def near(self, drawn: Mapping[str, Any], names: Iterable[str], spread: float, random: Generator) -> dict[str, Any]:
        """A trial's parameters, some of them moved.

        Parameters
        ----------
        drawn : mapping
            Within the space.
        names : iterable of str
            Parameters to move: to a neighbouring choice, or by a normal step.
        spread : float
            Deviation of the step, as a share of the range; of the logarithm where that is drawn.
        random : Generator

        Returns
        -------
        dict
            All parameters; a moved one may have its old value.
        """
        moved = dict(drawn)
        for name in names:
            given = getattr(self, name)
            if name in _CHOICES:
                place = given.index(drawn[name]) + int(random.choice([-1, 1]))
                moved[name] = given[min(max(place, 0), len(given) - 1)]
                continue
            low, high = map(math.log, given) if name in _LOG_RANGES else given
            value = math.log(drawn[name]) if name in _LOG_RANGES else drawn[name]
            step = spread * (high - low) * float(random.standard_normal())
            if (unit := 1 if name == "iterations" else _STEPS.get(name)) is not None:
                steps = round(step / unit) or int(math.copysign(1, step))
                value = round(low + unit * (round((value - low) / unit) + steps), 9)
            else:
                value += step
            value = min(max(value, low), high)
            moved[name] = min(max(math.exp(value), given[0]), given[1]) if name in _LOG_RANGES else value
        return moved


def recipe_of(drawn: Mapping[str, Any], seed: int) -> Recipe:
    """The recipe of a trial's parameters; all recipes whose signal is off have the same numbers for it."""
    recipe = Recipe.from_dict({**as_recipe(drawn), "seed": seed})
    return recipe if recipe.next_movie.on else without_signal(recipe)


def as_recipe(drawn: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's parameters with the regularization in place of its ratio to alpha, as in `Recipe.as_dict`."""
    return {
        "regularization" if name == RATIO else name: drawn["alpha"] * value if name == RATIO else value
        for name, value in drawn.items()
    }


def drawn_of(recipe: Recipe) -> dict[str, Any]:
    """A recipe as a trial's parameters; the opposite of `recipe_of`."""
    numbers = recipe.as_dict() | {RATIO: recipe.regularization / recipe.alpha}
    del numbers["seed"], numbers["regularization"]
    return numbers
