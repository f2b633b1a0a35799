"""Claims about rankers side by side on return: their scores, and how many fits they take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from movierec_assets.recsys import als, return_rankers
from movierec_assets.recsys.engine import Factors
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.rankers import MODEL, POPULARITY, WITHOUT_SIGNAL
from movierec_assets.recsys.recipe import NextMovie, Recipe, without_signal
from movierec_assets.recsys.returns import Returns

RECIPE = Recipe(factors=4, iterations=2, next_movie=NextMovie(fade_hours=1000.0))


def _positives(seed: int = 1, users: int = 12, movies: int = 30) -> Interactions:
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(rng.random((users, movies)) < 0.5)
    return Interactions.from_triplets(
        rows, columns, np.full(len(rows), 4.5), rng.integers(0, 10**6, len(rows)), (users, movies)
    )


class _Counted:
    """The engine, which notes the likes and recipe of each fit."""

    def __init__(self) -> None:
        self.fits: list[tuple[int, Recipe]] = []

    def __call__(self, positives: Interactions, recipe: Recipe, *_: Any, **__: Any) -> Factors:
        self.fits.append((int(positives.rated_at.max()), recipe))
        return als.fit(positives, recipe)


def test_each_recipe_is_scored_as_alone_and_popularity_beside_them() -> None:
    returns = Returns.of(_positives(), windows=3)
    alone = without_signal(RECIPE)
    other = replace(RECIPE, alpha=9.0)
    found = {
        each.ranker: each.per_user
        for each in return_rankers.score(returns, {MODEL: RECIPE, "other": other, WITHOUT_SIGNAL: alone}, als.fit)
    }
    assert list(found) == [MODEL, "other", WITHOUT_SIGNAL, POPULARITY]
    for name, recipe in ((MODEL, RECIPE), ("other", other), (WITHOUT_SIGNAL, alone)):
        expected = returns.scores(recipe, returns.fits(recipe, als.fit))
        np.testing.assert_allclose(found[name]["ndcg_at_10"], expected)
    assert {len(scores) for of in found.values() for scores in of.values()} == {len(returns.users)}
    assert (found[MODEL]["ndcg_at_10"] != found[WITHOUT_SIGNAL]["ndcg_at_10"]).any()


def test_recipes_that_differ_by_their_signal_share_a_fit_and_no_fit_sees_its_cut() -> None:
    returns, counted = Returns.of(_positives(), windows=3), _Counted()
    recipes = {
        MODEL: RECIPE,
        "another signal": replace(RECIPE, next_movie=NextMovie(window=2)),
        WITHOUT_SIGNAL: without_signal(RECIPE),
    }
    return_rankers.score(returns, recipes, counted)
    assert len(counted.fits) == len(returns.windows) == 3
    for (latest, _), window in zip(counted.fits, returns.windows, strict=True):
        assert latest < window.cut
    return_rankers.score(returns, recipes | {"champion": replace(RECIPE, alpha=9.0)}, counted)
    assert len(counted.fits) == 3 + 2 * 3


def test_every_score_has_its_window_and_the_number_of_likes_to_find() -> None:
    returns = Returns.of(_positives(), windows=4)
    window, held_out = return_rankers.window_of(returns), return_rankers.held_out(returns)
    assert len(window) == len(held_out) == len(returns.users)
    for number, each in enumerate(returns.windows):
        np.testing.assert_array_equal(returns.users[window == number], each.task.users)
        assert held_out[window == number].sum() == len(each.task.held_out)


def test_without_windows_there_are_no_scores() -> None:
    returns = Returns(())
    assert return_rankers.score(returns, {MODEL: RECIPE}, als.fit) == []
    assert len(return_rankers.window_of(returns)) == len(return_rankers.held_out(returns)) == 0
