"""The whole measurement of the gate on one dataset.

Belongs here: the order of the parts, and their results together.
"""

from __future__ import annotations

from dataclasses import dataclass

from movierec_assets.progress import StageProgress
from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys import repeated_fits
from movierec_assets.recsys.recipe import Recipe
from movierec_tests.benchmarks.gate.false_improvements import Rate, drawn_rates, refitted_rates, task_of
from movierec_tests.benchmarks.gate.fits import HARDLY_DIFFERENT, TWO_SEEDS, Pool, Spread, spread_of
from movierec_tests.benchmarks.gate.power import Power, power

REPEATS = 200
_POOL, _POOL_OF_LONG_FITS = 20, 6
"""Fits of each recipe that comparisons draw from."""


@dataclass(frozen=True)
class GateResults:
    """All results.

    Attributes
    ----------
    dataset : str
    likes, scored : int
        Likes that are fitted, and users that are scored.
    margin : float
        Share of the champion's NDCG@10 that a lead must reach.
    starts : int
        Fits of each recipe in a comparison.
    ndcg : float
    spread : Spread
    refit : bool
        Whether each repeat made fits of its own; else fits are drawn from a pool.
    rates : list of Rate
    cases : int
        Comparisons for each planted lead.
    powers : list of Power
    """

    dataset: str
    likes: int
    scored: int
    margin: float
    starts: int
    ndcg: float
    spread: Spread
    refit: bool
    rates: list[Rate]
    cases: int
    powers: list[Power]


def measure(
    positives: RatingColumns,
    dataset: str,
    *,
    margin: float,
    repeats: int = REPEATS,
    recipe: Recipe | None = None,
    progress: StageProgress = lambda *_: None,
) -> GateResults:
    """Measure false improvements and power on the likes of a dataset.

    Parameters
    ----------
    positives : RatingColumns
    dataset : str
        Its name.
    margin : float
        As for `is_improvement`.
    repeats : int
        Comparisons of each situation, and for each planted lead.
    recipe : Recipe, optional
    progress : callable
    """
    recipe = recipe or Recipe()
    task = task_of(positives)
    likes = len(task.train)
    long_fits = likes > repeated_fits.MAX_LIKES
    pool = Pool.of(task, recipe, _POOL_OF_LONG_FITS if long_fits else _POOL, progress)
    rates = None if long_fits else refitted_rates(positives, recipe, margin, repeats, progress)
    return from_pool(pool, dataset, likes=likes, margin=margin, repeats=repeats, rates=rates, progress=progress)


def from_pool(
    pool: Pool,
    dataset: str,
    *,
    likes: int,
    margin: float,
    repeats: int = REPEATS,
    rates: list[Rate] | None = None,
    progress: StageProgress = lambda *_: None,
) -> GateResults:
    """Measure on the fits of a pool; rates that are not given are measured on them, too."""
    fits = repeated_fits.number_of_fits(likes)
    return GateResults(
        dataset=dataset,
        likes=likes,
        scored=len(pool.recipe),
        margin=margin,
        starts=fits,
        ndcg=float(pool.recipe.mean()),
        spread=spread_of(pool.recipe),
        refit=rates is not None,
        rates=rates or drawn_rates(pool, fits, margin, repeats),
        cases=repeats,
        powers=[
            power(pool, recipes, fits, margin, repeats, progress=progress) for recipes in (HARDLY_DIFFERENT, TWO_SEEDS)
        ],
    )
