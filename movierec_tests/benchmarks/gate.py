"""How often the gate is wrong: improvements that are none, and the smallest lead that it finds.

Belongs here: the situations, and counting what the rule says about them. The rule is `recsys.promotion`'s, its
evidence `recsys.comparison`'s and `recsys.repeated_fits`'; the report is laid out in `gate_report`.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from movierec_assets.progress import StageProgress
from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys import als, repeated_fits
from movierec_assets.recsys.als import Recipe
from movierec_assets.recsys.comparison import lead, mean_interval
from movierec_assets.recsys.interactions import FloatArray
from movierec_assets.recsys.promotion import is_improvement
from movierec_assets.recsys.split import Task, leave_latest_out

REPEATS = 200
HARDLY_DIFFERENT, OTHER_SEED, MORE_DATA = "regularization +1 %", "another seed", "regularization +1 %, 0.5 % more data"
ALIKE, UNLIKE = "hardly different", "no more alike than two seeds"
LEADS = tuple(each / 1000 for each in (*range(1, 20), *range(20, 50, 5), *range(50, 200, 10), *range(200, 501, 25)))
"""Leads that are planted, relative to the champion's NDCG@10."""
FOUND = 0.8
"""Share of cases in which a lead must be found."""

_REGULARIZATION = 1.01
_LEFT_OUT = 0.05
"""Share of the users that a repeat leaves out."""
_NEW = 0.005
"""Share of the likes that come later."""
_POOL, _POOL_OF_DEAR = 20, 6
"""Fits of either recipe that are drawn from, where fits are cheap and where they are dear."""
_OTHER_SEED = 500_000
_DRAWS = 20_000_000
"""Of users, in a bootstrap over them: seconds would count in hundreds of comparisons."""
_SEEDS_OF_A_REPEAT = 1000


@dataclass(frozen=True)
class Rate:
    """How often a challenger that is no better was called an improvement.

    Attributes
    ----------
    situation : str
    repeats : int
    improvements : int
        By the gate's rule.
    by_users_alone : int
        By the rule before it: the bootstrap over users alone, of one pair of fits, is above 0.
    mean_lead : float
        Over repeats, relative to the champion's NDCG@10.
    """

    situation: str
    repeats: int
    improvements: int
    by_users_alone: int
    mean_lead: float


@dataclass(frozen=True)
class Power:
    """Which planted leads are found.

    Attributes
    ----------
    recipes : str
        How much the compared recipes have in common beside the lead.
    found : dict of float
        Share of cases in which it is found, for each lead relative to the champion's NDCG@10.
    """

    recipes: str
    found: dict[float, float]

    @property
    def smallest(self) -> float | None:
        """The smallest lead from which on all are found in at least `FOUND` of the cases; None when none is."""
        smallest = None
        for planted, share in sorted(self.found.items(), reverse=True):
            if share < FOUND:
                break
            smallest = planted
        return smallest


@dataclass(frozen=True)
class Spread:
    """How fits of one recipe differ, relative to NDCG@10.

    Attributes
    ----------
    fits : int
    pair : float
        Standard deviation of the mean difference of two fits over the same users.
    by_users : float
        The part of it that is chance particular to a user and a fit, which a mean over users shows by itself.
    """

    fits: int
    pair: float
    by_users: float

    @property
    def beyond(self) -> float:
        """The part that no user shows: what is left of the variance, as a standard deviation; 0 if nothing is."""
        return float(max(0.0, self.pair**2 - self.by_users**2) ** 0.5)


@dataclass(frozen=True)
class Pool:
    """Scores of fits of two recipes to draw comparisons from.

    Attributes
    ----------
    recipe : float array, shape (n_users, n_fits)
        NDCG@10 of one recipe from several start values.
    alike : float array, shape (n_users, at most n_fits)
        Of one that is hardly different, from the first of the same start values.
    """

    recipe: FloatArray
    alike: FloatArray


@dataclass(frozen=True)
class Gate:
    """Everything that was measured.

    Attributes
    ----------
    dataset : str
    likes, scored : int
        Likes that are fitted on, and users that are scored.
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
) -> Gate:
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
        Told what is counted, how much of it is done, and of how much.
    """
    recipe = recipe or Recipe()
    task = _task(positives)
    dear = len(task.train) > repeated_fits.MAX_LIKES
    fits = _POOL_OF_DEAR if dear else _POOL
    pool = Pool(
        repeated_fits.scores(
            task, recipe, fits, als.fit, progress=lambda done, of: progress("Fits to draw from", done, 2 * of)
        ),
        repeated_fits.scores(
            task,
            _alike(recipe),
            fits,
            als.fit,
            progress=lambda done, of: progress("Fits to draw from", of + done, 2 * of),
        ),
    )
    return from_pool(
        pool,
        dataset,
        likes=len(task.train),
        margin=margin,
        repeats=repeats,
        rates=None if dear else false_improvements(positives, recipe, margin, repeats, progress),
        progress=progress,
    )


def from_pool(
    pool: Pool,
    dataset: str,
    *,
    likes: int,
    margin: float,
    repeats: int = REPEATS,
    rates: list[Rate] | None = None,
    progress: StageProgress = lambda *_: None,
) -> Gate:
    """Measure what can be measured on fits that are there; rates that are not given are drawn from them as well."""
    count = repeated_fits.number_of_fits(likes)
    return Gate(
        dataset=dataset,
        likes=likes,
        scored=len(pool.recipe),
        margin=margin,
        starts=count,
        ndcg=float(pool.recipe.mean()),
        spread=spread_of(pool.recipe),
        refit=rates is not None,
        rates=rates or drawn_rates(pool, count, margin, repeats),
        cases=repeats,
        powers=[power(pool, recipes, count, margin, repeats, progress=progress) for recipes in (ALIKE, UNLIKE)],
    )


def spread_of(scores: FloatArray) -> Spread:
    """How fits differ, with the variance of their means divided as in a two-way analysis of variance.

    Parameters
    ----------
    scores : float array, shape (n_users, n_fits)
    """
    users, fits = scores.shape
    of_fits = scores.mean(axis=0, dtype=np.float64)
    mean = of_fits.mean()
    own = scores - scores.mean(axis=1, keepdims=True) - of_fits + mean
    particular = float((own**2).sum()) / ((users - 1) * (fits - 1))
    return Spread(
        fits,
        pair=float((2 * of_fits.var(ddof=1)) ** 0.5 / mean),
        by_users=float((2 * particular / users) ** 0.5 / mean),
    )


def false_improvements(
    positives: RatingColumns, recipe: Recipe, margin: float, repeats: int, progress: StageProgress
) -> list[Rate]:
    """Compare recipes that are equally good, with fits, start values and users of its own for each repeat."""
    situations: dict[str, list[tuple[bool, bool, float]]] = {}
    # Cheap fits gain little from threads, so each process has one and repeats share the processors.
    with ProcessPoolExecutor(
        os.cpu_count(), multiprocessing.get_context("spawn"), threadpool_limits, initargs=(1,)
    ) as pool:
        done = pool.map(_repeat, *zip(*((positives, recipe, margin, each) for each in range(repeats)), strict=True))
        for number, outcome in enumerate(done, start=1):
            for situation, judged in outcome.items():
                situations.setdefault(situation, []).append(judged)
            progress("Repeats", number, repeats)
    return [_rate(situation, outcomes) for situation, outcomes in situations.items()]


def drawn_rates(pool: Pool, count: int, margin: float, repeats: int) -> list[Rate]:
    """Compare recipes that are equally good, with fits that are drawn."""
    outcomes = {
        name: [_judged(challenger, champion, margin) for challenger, champion in _draws(pool, recipes, count, repeats)]
        for name, recipes in ((HARDLY_DIFFERENT, ALIKE), (OTHER_SEED, UNLIKE))
    }
    return [_rate(name, judged) for name, judged in outcomes.items()]


def power(
    pool: Pool,
    recipes: str,
    count: int,
    margin: float,
    cases: int,
    *,
    progress: StageProgress = lambda *_: None,
) -> Power:
    """Take the score away from a random share of the champion's users, and see whether the challenger's lead is found.

    Parameters
    ----------
    pool : Pool
    recipes : str
        `ALIKE` compares the two recipes of the pool, pair by pair; `UNLIKE` compares the first with itself, from other
        start values, as if two recipes of equal quality had nothing in common.
    count : int
        Fits of either side in a comparison.
    margin : float
    cases : int
        Comparisons for each lead.
    """
    found = dict.fromkeys(LEADS, 0)
    random = np.random.default_rng(2)
    for done, (challenger, champion) in enumerate(_draws(pool, recipes, count, cases), start=1):
        luck = random.random(len(champion))
        for planted in LEADS:
            # Without a share of its score, the champion is behind by this much of what is left.
            without = champion * (luck >= planted / (1 + planted))[:, None]
            found[planted] += _improves(challenger, without, margin)
        progress(f"Planted leads, {recipes}", done, cases)
    return Power(recipes, {planted: times / cases for planted, times in found.items()})


def _draws(pool: Pool, recipes: str, count: int, repeats: int) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Scores of a challenger and a champion for drawn fits, each of shape (n_users, count).

    Users are not drawn again: what sets two fits apart for these users is the chance of one comparison already.
    """
    random = np.random.default_rng(1)
    for _ in range(repeats):
        if recipes == ALIKE:
            columns = random.permutation(pool.alike.shape[1])[:count]
            yield pool.alike[:, columns], pool.recipe[:, columns]
        else:
            columns = random.permutation(pool.recipe.shape[1])
            yield pool.recipe[:, columns[:count]], pool.recipe[:, columns[count : 2 * count]]


def _repeat(
    positives: RatingColumns, recipe: Recipe, margin: float, number: int
) -> dict[str, tuple[bool, bool, float]]:
    """One repeat of every situation."""
    before, grown = map(_task, _likes_of_a_repeat(positives, number))
    seed = _SEEDS_OF_A_REPEAT * (number + 1)

    def scores(task: Task, of: Recipe, start: int = seed) -> FloatArray:
        return repeated_fits.scores(task, replace(of, seed=start), repeated_fits.FITS, als.fit)

    champion, hardly = scores(before, recipe), _alike(recipe)
    return {
        HARDLY_DIFFERENT: _judged(scores(before, hardly), champion, margin),
        OTHER_SEED: _judged(scores(before, recipe, seed + _OTHER_SEED), champion, margin),
        MORE_DATA: _judged(scores(grown, hardly), scores(grown, recipe), margin),
    }


def _likes_of_a_repeat(positives: RatingColumns, number: int) -> tuple[RatingColumns, RatingColumns]:
    """Likes of some of the users without the latest of them, and with these."""
    random = np.random.default_rng((3, number))
    users = np.unique(positives.user_id)
    kept = np.isin(positives.user_id, users[random.random(len(users)) >= _LEFT_OUT])
    earlier = positives.rated_at <= np.quantile(positives.rated_at[kept], 1 - _NEW)
    return positives.chosen(kept & earlier), positives.chosen(kept)


def _judged(challenger: FloatArray, champion: FloatArray, margin: float) -> tuple[bool, bool, float]:
    """Whether it is an improvement, whether users alone would have it so, and the lead relative to the champion."""
    resamples = int(np.clip(_DRAWS // len(champion), 100, 2000))
    alone = mean_interval(challenger[:, 0] - champion[:, 0], resamples=resamples).low > 0
    return _improves(challenger, champion, margin), alone, float(challenger.mean() / champion.mean() - 1)


def _improves(challenger: FloatArray, champion: FloatArray, margin: float) -> bool:
    differences, ndcg = challenger - champion, float(champion.mean())
    return is_improvement(lead(differences, repeated_fits.spread(differences, ndcg)), ndcg, margin)


def _rate(situation: str, judged: list[tuple[bool, bool, float]]) -> Rate:
    improvements, alone, leads = zip(*judged, strict=True)
    return Rate(situation, len(judged), sum(improvements), sum(alone), float(np.mean(leads)))


def _alike(recipe: Recipe) -> Recipe:
    return replace(recipe, regularization=recipe.regularization * _REGULARIZATION)


def _task(positives: RatingColumns) -> Task:
    split, _ = leave_latest_out(positives)
    return split.task("test")
