"""A signal that is strong in the sitting, and harms people who come back, is weakened until it does not.

In the data, some users like pairs in one sitting: any of the first movies, and at once the one that belongs to it.
Others come back every month for one more of the first movies of their own camp; what belongs to it is not for them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys.confidence import Confidence
from movierec_assets.recsys.engine import Factors
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.recipe import NO_NEXT_MOVIE, NextMovie, Recipe
from movierec_assets.recsys.return_constraint import keep_return, weaker
from movierec_assets.recsys.returns import Returns
from movierec_assets.recsys.search import Budget, SearchObjective, search
from movierec_assets.recsys.search_space import Space
from movierec_assets.recsys.split import Split, leave_latest_out

PAIRS, MONTH = 30, 30 * 24 * 3600
LASTING = NextMovie(window=1, out_exponent=0.0, in_exponent=0.0, tau=1.0, fade_hours=2000.0)
RECIPE = Recipe(factors=2, iterations=1, next_movie=LASTING)
SPACE = Space(
    confidence=("binary",), factors=(2,), iterations=(1, 1), next_movie_window=(1,), next_movie_fade_hours=(2e3, 2e3)
)


def likes(sittings: int = 80, returning: int = 40, seed: int = 0) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(seed)
    rows = []
    for user in range(sittings):
        start = int(random.integers(12 * MONTH))
        for number, first in enumerate(random.choice(PAIRS, 6, replace=False)):
            rows.append((user, first, start + 20 * number))
            rows.append((user, PAIRS + first, start + 20 * number + 10))
    for user in range(sittings, sittings + returning):
        own = np.arange(user % 2, PAIRS, 2)
        for number, first in enumerate(random.permutation(own)[:12]):
            rows.append((user, first, number * MONTH + int(random.integers(MONTH // 2))))
    user, movie, time = np.array(rows).T
    return user.astype(np.int32), movie.astype(np.int32), np.full(len(rows), 5.0), time.astype(np.int64)


def fit_of_camps(positives: Interactions, recipe: Recipe, *_: Any, **__: Any) -> Factors:
    """Movie factors that know the camps, and nothing about the second movies of pairs."""
    first = np.arange(PAIRS)
    movies = np.zeros((2 * PAIRS, 2), dtype=np.float32)
    movies[first, first % 2] = 1.0
    return Factors(np.zeros((positives.shape[0], 2), np.float32), movies, Confidence.of(positives, recipe.confidence))


@pytest.fixture(scope="module")
def split() -> Split:
    return leave_latest_out(RatingColumns.cast(*likes()))[0]


@pytest.fixture(scope="module")
def returns(split: Split) -> Returns:
    return Returns.of(split.history)


def strength(recipe: Recipe) -> float:
    return recipe.next_movie.weight * recipe.next_movie.fade_hours


def test_a_signal_that_harms_on_return_fades_sooner(returns: Returns) -> None:
    kept = keep_return(RECIPE, returns, fit_of_camps, lambda recipe: recipe.next_movie.weight)
    assert kept.refused is not None
    assert kept.refused.high < 0
    assert kept.change is not None
    assert kept.change.high >= 0
    assert kept.recipe.next_movie.fade_hours < LASTING.fade_hours
    assert replace(kept.recipe.next_movie, fade_hours=LASTING.fade_hours) == LASTING
    assert "was weakened, because it clearly harmed people who come back" in str(kept)


def test_a_signal_that_does_not_harm_on_return_stays_as_it_is(returns: Returns) -> None:
    short = replace(RECIPE, next_movie=replace(LASTING, fade_hours=1.0))
    kept = keep_return(short, returns, fit_of_camps, strength)
    assert (kept.recipe, kept.refused) == (short, None)
    assert kept.change is not None


def test_of_the_weaker_signals_the_best_in_the_sitting_that_passes_is_taken(returns: Returns) -> None:
    kept = keep_return(RECIPE, returns, fit_of_camps, lambda recipe: float(not recipe.next_movie.on))
    assert kept.recipe == replace(RECIPE, next_movie=NO_NEXT_MOVIE)
    assert kept.change is None
    assert "has no next-movie signal: it clearly harmed people who come back" in str(kept)


def test_weaker_signals_have_the_same_matrix_and_so_need_no_new_fit() -> None:
    *weak, off = weaker(LASTING)
    assert off == NO_NEXT_MOVIE
    assert {signal.matrix for signal in weak} == {LASTING.matrix}
    assert all(signal.weight * signal.fade_hours < LASTING.weight * LASTING.fade_hours for signal in weak)


def test_where_nobody_comes_back_or_the_signal_is_off_nothing_is_fitted(returns: Returns) -> None:
    def no_fit(*_: Any, **__: Any) -> Factors:
        raise AssertionError("nothing to compare")

    off = replace(RECIPE, next_movie=NO_NEXT_MOVIE)
    assert keep_return(RECIPE, Returns(()), no_fit, strength).recipe == RECIPE
    assert keep_return(off, returns, no_fit, strength).recipe == off


def test_a_search_keeps_the_gain_in_the_sitting_without_the_harm_on_return(split: Split) -> None:
    objective = SearchObjective.latest(split.train, split.validation)
    lines: list[str] = []
    found = search(
        objective, fit_of_camps, space=SPACE, budget=Budget(4, 1e9), built_in=RECIPE, seed=1, log=lines.append
    )
    assert found.on_return.refused is not None
    assert found.on_return.recipe == found.recipe
    assert 0 < found.recipe.next_movie.fade_hours < LASTING.fade_hours
    value, without = (
        np.nanmean(objective.fit_and_score(recipe, fit_of_camps))
        for recipe in (found.recipe, replace(found.recipe, next_movie=NO_NEXT_MOVIE))
    )
    assert value > without + 0.05
    assert any("clearly harmed people who come back" in line for line in lines)


def test_the_windows_of_a_return_hold_no_like_of_the_test_part(split: Split) -> None:
    def pairs(part: Interactions, users: np.ndarray | None = None) -> set[tuple[int, int]]:
        rows, movies, _, _ = part.triplets()
        return set(zip((rows if users is None else users[rows]).tolist(), movies.tolist(), strict=True))

    windows = SearchObjective.latest(split.train, split.validation).returns().windows
    assert windows
    test = pairs(split.test)
    for window in windows:
        assert not test & pairs(window.task.train)
        assert not test & pairs(window.task.held_out, window.task.users)
