"""False improvements: comparisons of recipes that are equally good.

Belongs here: the situations, and counting how often the gate's rule and the rule before it see an improvement.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from movierec_assets.progress import StageProgress
from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys import als, repeated_fits
from movierec_assets.recsys.comparison import mean_interval
from movierec_assets.recsys.interactions import FloatArray
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.split import Task, leave_latest_out
from movierec_tests.benchmarks.gate.fits import HARDLY_DIFFERENT, TWO_SEEDS, Pool, improves, variant_of

VARIANT, OTHER_SEED, MORE_DATA = "regularization +1 %", "another seed", "regularization +1 %, 0.5 % more data"
"""The situations."""

_LEFT_OUT = 0.05
"""Share of the users that a repeat leaves out."""
_LATER = 0.005
"""Share of the likes that are added in `MORE_DATA`."""
_OTHER_SEED = 500_000
_SEEDS_PER_REPEAT = 1000
_MAX_DRAWS = 20_000_000
"""Users that a bootstrap draws, in all its resamples, so that hundreds of comparisons stay fast."""


@dataclass(frozen=True)
class Rate:
    """How often a challenger that is no better is called an improvement.

    Attributes
    ----------
    situation : str
    repeats : int
    improvements : int
        By the gate's rule.
    by_users_alone : int
        By the rule before it: the interval of one pair of fits, from a bootstrap over users alone, is above 0.
    mean_lead : float
        Over repeats, relative to the champion's NDCG@10.
    """

    situation: str
    repeats: int
    improvements: int
    by_users_alone: int
    mean_lead: float

    @classmethod
    def of(cls, situation: str, outcomes: Sequence[Outcome]) -> Rate:
        """Count the outcomes of a situation."""
        improvements, by_users_alone, leads = zip(*outcomes, strict=True)
        return cls(situation, len(outcomes), sum(improvements), sum(by_users_alone), float(np.mean(leads)))


class Outcome(NamedTuple):
    """The decisions of one comparison, and its lead relative to the champion's NDCG@10."""

    improvement: bool
    by_users_alone: bool
    lead: float

    @classmethod
    def of(cls, challenger: FloatArray, champion: FloatArray, margin: float) -> Outcome:
        """Compare scores of shape (n_users, n_fits)."""
        resamples = int(np.clip(_MAX_DRAWS // len(champion), 100, 2000))
        alone = mean_interval(challenger[:, 0] - champion[:, 0], resamples=resamples).low > 0
        return cls(improves(challenger, champion, margin), alone, float(challenger.mean() / champion.mean() - 1))


def refitted_rates(
    positives: RatingColumns, recipe: Recipe, margin: float, repeats: int, progress: StageProgress
) -> list[Rate]:
    """Measure all situations. Each repeat leaves out other users and makes fits of its own."""
    situations: dict[str, list[Outcome]] = {}
    # A short fit gains little from threads. So each process has one thread, and repeats share the processors.
    with ProcessPoolExecutor(
        os.cpu_count(), multiprocessing.get_context("spawn"), threadpool_limits, initargs=(1,)
    ) as pool:
        done = pool.map(_repeat, *zip(*((positives, recipe, margin, each) for each in range(repeats)), strict=True))
        for number, outcomes in enumerate(done, start=1):
            for situation, outcome in outcomes.items():
                situations.setdefault(situation, []).append(outcome)
            progress("Repeats", number, repeats)
    return [Rate.of(situation, outcomes) for situation, outcomes in situations.items()]


def drawn_rates(pool: Pool, fits: int, margin: float, repeats: int) -> list[Rate]:
    """Measure the situations that need no new fits, on fits that are drawn from a pool."""
    return [
        Rate.of(situation, [Outcome.of(*scores, margin) for scores in pool.comparisons(recipes, fits, repeats)])
        for situation, recipes in ((VARIANT, HARDLY_DIFFERENT), (OTHER_SEED, TWO_SEEDS))
    ]


def _repeat(positives: RatingColumns, recipe: Recipe, margin: float, number: int) -> dict[str, Outcome]:
    """One repeat of every situation."""
    before, grown = map(task_of, _likes_of_a_repeat(positives, number))
    seed = _SEEDS_PER_REPEAT * (number + 1)

    def scores(task: Task, of: Recipe, start: int = seed) -> FloatArray:
        return repeated_fits.scores(task, replace(of, seed=start), repeated_fits.FITS, als.fit)

    champion, variant = scores(before, recipe), variant_of(recipe)
    return {
        VARIANT: Outcome.of(scores(before, variant), champion, margin),
        OTHER_SEED: Outcome.of(scores(before, recipe, seed + _OTHER_SEED), champion, margin),
        MORE_DATA: Outcome.of(scores(grown, variant), scores(grown, recipe), margin),
    }


def _likes_of_a_repeat(positives: RatingColumns, number: int) -> tuple[RatingColumns, RatingColumns]:
    """Likes of the users of a repeat: without the latest of all likes, and with them."""
    random = np.random.default_rng((3, number))
    users = np.unique(positives.user_id)
    kept = np.isin(positives.user_id, users[random.random(len(users)) >= _LEFT_OUT])
    earlier = positives.rated_at <= np.quantile(positives.rated_at[kept], 1 - _LATER)
    return positives.chosen(kept & earlier), positives.chosen(kept)


def task_of(positives: RatingColumns) -> Task:
    """Ranking the latest likes of each user after a fit to the earlier ones."""
    split, _ = leave_latest_out(positives)
    return split.task("test")
