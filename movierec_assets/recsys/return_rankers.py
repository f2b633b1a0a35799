"""Several rankers side by side for people who come back: one fit for recipes that differ by their signal only.

Belongs here: fitting and ranking in each window, and the scores of all windows. Does not: the windows (`returns`),
intervals (`comparison`), and the choice of rankers (`defs.return_evaluation`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from movierec_assets.progress import Progress
from movierec_assets.recsys import baselines, metrics
from movierec_assets.recsys.engine import Factors, Fit
from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.recsys.metrics import CUTOFFS
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.rankers import POPULARITY
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.recipe import Recipe, without_signal
from movierec_assets.recsys.returns import Returns
from movierec_assets.recsys.scoring import rank
from movierec_assets.recsys.split import Task, Window


@dataclass(frozen=True)
class ReturnScores:
    """Scores of one ranker, a user being scored once in each window.

    Attributes
    ----------
    ranker : str
    per_user : dict of float array, each of shape (n_scores,)
        Named `<metric>_at_<k>`, in the order of `Returns.users`.
    """

    ranker: str
    per_user: dict[str, FloatArray]


def score(
    returns: Returns, recipes: Mapping[str, Recipe], fit: Fit, progress: Progress | None = None
) -> list[ReturnScores]:
    """Score the recipes, and then popularity, in all windows.

    Parameters
    ----------
    returns : Returns
    recipes : mapping of str to Recipe
        By name of the ranker. Recipes that differ by the next-movie signal only share one fit in each window.
    fit : Fit
        Sees nothing as late as the cut of a window.
    progress : callable, optional
        Called after each window.
    """
    of_windows: dict[str, list[dict[str, FloatArray]]] = {name: [] for name in (*recipes, POPULARITY)}
    for number, window in enumerate(returns.windows, start=1):
        for name, lists in _ranked(window.task, recipes, fit).items():
            of_windows[name].append(_scored(lists, window))
        if progress is not None:
            progress(number, len(returns.windows))
    return [
        ReturnScores(name, {metric: np.concatenate([part[metric] for part in parts]) for metric in parts[0]})
        for name, parts in of_windows.items()
        if parts
    ]


def held_out(returns: Returns) -> IntArray:
    """Number of likes to find of each score, shape (n_scores,)."""
    return np.concatenate([np.empty(0, dtype=np.int64), *(each.task.held_out.per_user for each in returns.windows)])


def window_of(returns: Returns) -> IntArray:
    """Position of the window of each score, shape (n_scores,)."""
    return np.repeat(np.arange(len(returns.windows)), [len(each.task.users) for each in returns.windows])


def _ranked(task: Task, recipes: Mapping[str, Recipe], fit: Fit) -> dict[str, TopK]:
    fits: dict[Recipe, Factors] = {}
    matrices: dict[object, NextMovies] = {}
    found = {}
    for name, recipe in recipes.items():
        alone, signal = without_signal(recipe), recipe.next_movie
        if alone not in fits:
            fits[alone] = fit(task.train, alone)
        factors = fits[alone]
        if signal.on:
            if signal.matrix not in matrices:
                matrices[signal.matrix] = NextMovies.of(task.train, signal)
            factors = factors.with_next(matrices[signal.matrix])
        found[name] = rank(task, factors, recipe, max(CUTOFFS))
    return found | {POPULARITY: baselines.popularity(task.train, task.histories, max(CUTOFFS))}


def _scored(lists: TopK, window: Window) -> dict[str, FloatArray]:
    return {
        f"{name}_at_{k}": np.asarray(values, dtype=np.float64)
        for k in CUTOFFS
        for name, values in metrics.score(lists.items, window.task.held_out.stars, k).items()
    }
