"""Scores of fits that comparisons draw from, and how much fits of one recipe differ.

Belongs here: the pool of fits, drawing a challenger and a champion, and the spread between fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from movierec_assets.progress import Progress, StageProgress
from movierec_assets.recsys import als, repeated_fits
from movierec_assets.recsys.comparison import lead
from movierec_assets.recsys.interactions import FloatArray
from movierec_assets.recsys.promotion import is_improvement
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.split import Task

HARDLY_DIFFERENT, TWO_SEEDS = "hardly different", "no more alike than two seeds"
"""How alike the recipes of a comparison are."""

_REGULARIZATION = 1.01


@dataclass(frozen=True)
class Pool:
    """NDCG@10 of fits of two recipes.

    Attributes
    ----------
    recipe : float array, shape (n_users, n_fits)
        Of one recipe from several start values.
    variant : float array, shape (n_users, at most n_fits)
        Of a recipe that is hardly different, from the first of the same start values.
    """

    recipe: FloatArray
    variant: FloatArray

    @classmethod
    def of(cls, task: Task, recipe: Recipe, fits: int, progress: StageProgress) -> Pool:
        """Make fits of a recipe and of its variant."""

        def after(before: int) -> Progress:
            return lambda done, of: progress("Fits to draw from", before + done, 2 * of)

        return cls(
            repeated_fits.scores(task, recipe, fits, als.fit, progress=after(0)),
            repeated_fits.scores(task, variant_of(recipe), fits, als.fit, progress=after(fits)),
        )

    def comparisons(self, recipes: str, fits: int, repeats: int) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Draw a challenger's and a champion's scores, each of shape (n_users, fits), for each repeat.

        Users are not drawn: which users there are is chance that one comparison has already.

        Parameters
        ----------
        recipes : str
            `HARDLY_DIFFERENT` compares the variant with the recipe, fit by fit. `TWO_SEEDS` compares the recipe with
            itself from other start values, as if two recipes of equal quality had nothing in common.
        fits, repeats : int
        """
        random = np.random.default_rng(1)
        for _ in range(repeats):
            if recipes == HARDLY_DIFFERENT:
                columns = random.permutation(self.variant.shape[1])[:fits]
                yield self.variant[:, columns], self.recipe[:, columns]
            else:
                columns = random.permutation(self.recipe.shape[1])
                yield self.recipe[:, columns[:fits]], self.recipe[:, columns[fits : 2 * fits]]


@dataclass(frozen=True)
class Spread:
    """How much fits of one recipe differ, relative to NDCG@10.

    Attributes
    ----------
    fits : int
    pair : float
        Standard deviation of the mean difference of two fits over the same users.
    by_users : float
        Its part that is chance of a single user and fit, which is seen in a mean over users.
    """

    fits: int
    pair: float
    by_users: float

    @property
    def beyond(self) -> float:
        """Its other part, which is not seen in a mean over users, as a standard deviation; at least 0."""
        return float(max(0.0, self.pair**2 - self.by_users**2) ** 0.5)


def spread_of(scores: FloatArray) -> Spread:
    """Divide the variance of the means of fits as in a two-way analysis of variance.

    Parameters
    ----------
    scores : float array, shape (n_users, n_fits)
    """
    users, fits = scores.shape
    of_fits = scores.mean(axis=0, dtype=np.float64)
    mean = of_fits.mean()
    residual = scores - scores.mean(axis=1, keepdims=True) - of_fits + mean
    residual_variance = float((residual**2).sum()) / ((users - 1) * (fits - 1))
    return Spread(
        fits,
        pair=float((2 * of_fits.var(ddof=1)) ** 0.5 / mean),
        by_users=float((2 * residual_variance / users) ** 0.5 / mean),
    )


def variant_of(recipe: Recipe) -> Recipe:
    """A recipe that is hardly different: 1 % more regularization."""
    return replace(recipe, regularization=recipe.regularization * _REGULARIZATION)


def improves(challenger: FloatArray, champion: FloatArray, margin: float) -> bool:
    """Whether the gate's rule calls the challenger an improvement; scores have shape (n_users, n_fits)."""
    differences, ndcg = challenger - champion, float(champion.mean())
    return is_improvement(lead(differences, repeated_fits.spread(differences, ndcg)), ndcg, margin)
