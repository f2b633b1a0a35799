"""Claims about the gate's evidence as a whole: chance is hardly ever an improvement, and a lead that matters is found.

Scores are made up, with the chance that was measured between users and between fits, so nothing here depends on the
processor. A count is held against the bound that it passes once in 10,000 times if the claim is just true. How often
real fits mislead the gate is measured by `make bench ARGS=gate`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from movierec_assets.datasets.demo import make_demo
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.movies import read_movies
from movierec_assets.datasets.ratings import read_ratings
from movierec_assets.recsys import als, metrics, repeated_fits
from movierec_assets.recsys.comparison import Interval, lead, mean_interval
from movierec_assets.recsys.interactions import FloatArray
from movierec_assets.recsys.promotion import IMPROVEMENT_MARGIN, is_improvement
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.scoring import rank
from movierec_assets.recsys.split import leave_latest_out

RARELY = 1e-4


@dataclass(frozen=True)
class Chance:
    """Standard deviations of a lead: between users, between pairs of fits, and of a single user in a single pair."""

    users: float
    fits: float
    both: float


NDCG = 0.1
SMALL = Chance(users=0.03, fits=0.003, both=0.1)
"""As on the demo set, with 600 users; NDCG@10 is 0.10 there."""
LARGE = Chance(users=0.03, fits=0.00015, both=0.1)
"""As with 20 million ratings and 138,000 users; NDCG@10 is 0.11 there."""


def _comparisons(
    repeats: int, users: int, fits: int, chance: Chance, true_lead: float, seed: int = 1
) -> Iterator[FloatArray]:
    """Differences of two recipes, each of shape (users, fits), which are 0 for most users as those of NDCG are."""
    random = np.random.default_rng(seed)
    share = 0.3
    for _ in range(repeats):
        of_users = random.normal(0, chance.users, (users, 1))
        single = random.normal(0, chance.both / share**0.5, (users, fits)) * (random.random((users, fits)) < share)
        yield true_lead + of_users + random.normal(0, chance.fits, fits) + single


def _improves(differences: FloatArray) -> bool:
    return is_improvement(lead(differences, repeated_fits.spread(differences, NDCG)), NDCG, IMPROVEMENT_MARGIN)


def _improvements(repeats: int, users: int, fits: int, chance: Chance, true_lead: float) -> int:
    return sum(map(_improves, _comparisons(repeats, users, fits, chance, true_lead)))


@pytest.mark.parametrize("chance", [SMALL, Chance(0.03, 0.01, 0.0), Chance(0.0, 0.0, 0.1), Chance(0.05, 0.005, 0.05)])
def test_recipes_that_are_equally_good_are_an_improvement_in_at_most_2_of_100_cases(chance: Chance) -> None:
    repeats = 300
    assert _improvements(repeats, 600, repeated_fits.FITS, chance, 0.0) <= binom.isf(RARELY, repeats, 0.02)


def test_a_hardly_better_recipe_is_no_improvement_however_alike_the_fits_are() -> None:
    """A lead of 0.1 % that fits from the same start values show with little chance, as a slight change of a recipe."""
    alike = Chance(users=0.0005, fits=0.00005, both=0.013)
    repeats = 300
    assert _improvements(repeats, 600, repeated_fits.FITS, alike, 0.001 * NDCG) <= binom.isf(RARELY, repeats, 0.02)
    # For 138,000 users such a lead is certain, and still too small to matter.
    (differences,) = _comparisons(1, 138_000, 1, alike, 0.002 * NDCG)
    assert lead(differences, repeated_fits.spread(differences, 0.0)).low > 0
    assert not _improves(differences)


def test_users_alone_would_call_more_of_them_an_improvement() -> None:
    """Why the spread between fits counts: a bootstrap over users takes the chance in one pair of fits for a lead."""
    repeats = 200
    alone = sum(
        mean_interval(differences[:, 0], resamples=500).low > 0
        for differences in _comparisons(repeats, 600, 1, Chance(0.03, 0.01, 0.1), 0.0)
    )
    assert alone > binom.isf(RARELY, repeats, 0.025)


def test_a_lead_of_1_percent_is_found_for_138_000_users() -> None:
    repeats = 100
    found = _improvements(repeats, 138_000, repeated_fits.FITS_OF_LARGE_DATA, LARGE, 0.01 * 0.11)
    assert found >= binom.ppf(RARELY, repeats, 0.8)


def test_a_lead_of_15_percent_is_found_for_600_users() -> None:
    repeats = 300
    found = _improvements(repeats, 600, repeated_fits.FITS, SMALL, 0.15 * NDCG)
    assert found >= binom.ppf(RARELY, repeats, 0.8)


@pytest.mark.parametrize(
    ("interval", "improvement"),
    [
        (Interval(0.01, 0.001, 0.02), True),
        (Interval(0.01, 0.0, 0.02), False),
        (Interval(0.01, -0.001, 0.02), False),
        (Interval(IMPROVEMENT_MARGIN * NDCG, 1e-9, 0.02), True),
        (Interval(IMPROVEMENT_MARGIN * NDCG - 1e-9, 1e-9, 0.02), False),
        (Interval(0.0, 0.0, 0.0), False),
        (Interval(-0.01, -0.02, -0.001), False),
    ],
)
def test_an_improvement_is_both_certain_and_large_enough(interval: Interval, improvement: bool) -> None:
    assert is_improvement(interval, NDCG, IMPROVEMENT_MARGIN) is improvement


def test_without_a_margin_a_certain_lead_is_enough_but_none_is_not() -> None:
    assert is_improvement(Interval(1e-6, 1e-9, 1e-5), NDCG, 0.0)
    assert not is_improvement(Interval(0.0, 0.0, 0.0), NDCG, 0.0)


def test_neither_the_recipe_itself_nor_shuffled_movies_win(tmp_path: Path) -> None:
    files = MovieLensFiles.at(make_demo(tmp_path / "demo", users=120))
    ratings = read_ratings(files, read_movies(files).movie_id)
    split, _ = leave_latest_out(ratings.columns.chosen(ratings.columns.rating >= 4))
    task, recipe = split.task("test"), Recipe(factors=8, iterations=3)
    champion, again = (repeated_fits.scores(task, recipe, 3, als.fit) for _ in range(2))
    assert lead(again - champion) == Interval(0.0, 0.0, 0.0)
    assert not _improves(again - champion)
    shuffled = []
    for number in range(3):
        factors = als.fit(task.train, replace(recipe, seed=recipe.seed + number))
        factors = replace(factors, movies=np.random.default_rng(number).permutation(factors.movies))
        shuffled.append(metrics.score(rank(task, factors, recipe, 10).items, task.held_out.stars, 10).ndcg)
    assert not _improves(np.column_stack(shuffled) - champion)
