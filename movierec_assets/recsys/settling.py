"""Fits that end once they have settled.

Belongs here: how much a pass changes the movie factors, and continuing a fit until it is little. Does not: which fits
are continued (`warm_start`), and validation scores.
"""

from __future__ import annotations

import numpy as np

from movierec_assets.recsys.engine import EnoughIterations, Factors, Fit, Iteration, OnIteration
from movierec_assets.recsys.interactions import FloatArray, Interactions
from movierec_assets.recsys.recipe import Recipe

MIN_PASSES = 3
"""Of a continued fit. After three, NDCG@10 is that of a fit from random factors; after one it can be lower."""


class Changes:
    """The change of the movie factors in the last pass of a fit, as a share of their norm.

    Parameters
    ----------
    start : float32 array, shape (n_movies, factors), or None
        The factors before the first pass, where they are known.
    """

    def __init__(self, start: FloatArray | None) -> None:
        self.last = np.inf
        self._before = start

    def __call__(self, iteration: Iteration) -> None:
        """Take the factors after a pass."""
        if self._before is not None:
            size = float(np.linalg.norm(iteration.movies))
            self.last = float(np.linalg.norm(iteration.movies - self._before)) / size if size else 0.0
        self._before = iteration.movies.copy()


def settled(
    positives: Interactions,
    recipe: Recipe,
    fit: Fit,
    start: FloatArray,
    enough: float,
    report: OnIteration | None = None,
) -> Factors:
    """Continue a fit on more positives until a pass changes the movie factors by no more than the share `enough`.

    At least `MIN_PASSES` are made, and at most the recipe's iterations.
    """
    changes = Changes(start)

    def end(iteration: Iteration) -> None:
        if changes.last <= enough and iteration.number >= MIN_PASSES:
            raise EnoughIterations

    return fit(positives, recipe, each(changes, report, end), start=start)


def each(*listeners: OnIteration | None) -> OnIteration:
    """Tell several listeners of each pass, in order."""

    def tell(iteration: Iteration) -> None:
        for listener in listeners:
            if listener is not None:
                listener(iteration)

    return tell
