"""Claims about fits that end once they have settled."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from movierec_assets.recsys.confidence import Confidence
from movierec_assets.recsys.engine import EnoughIterations, Factors, Iteration, OnIteration
from movierec_assets.recsys.interactions import FloatArray, Interactions
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.settling import Changes, settled
from movierec_tests.recsys.strategies import interactions_of

RECIPE = Recipe(factors=1, iterations=6)
LIKES = interactions_of([(0, 0, 4.0, 1)], (1, 2))


def halving(
    positives: Interactions,
    recipe: Recipe,
    progress: OnIteration | None = None,
    *,
    loss_every: int = 0,
    start: FloatArray | None = None,
) -> Factors:
    """An engine whose pass halves the distance of the movie factors to 1, in place."""
    assert start is not None
    assert progress is not None
    movies = start.copy()
    with contextlib.suppress(EnoughIterations):
        for number in range(1, recipe.iterations + 1):
            movies += (1 - movies) / 2
            progress(Iteration(number, recipe.iterations, 0.0, None, movies))
    return Factors.of_movies(movies, Confidence.of(positives, recipe.confidence))


def test_a_change_is_a_share_of_the_norm_after_the_pass() -> None:
    changes = Changes(None)
    movies = np.array([[3.0], [4.0]], dtype=np.float32)
    changes(Iteration(1, 2, 0.0, None, movies))
    assert changes.last == np.inf, "nothing is known of the factors before"
    movies *= 2
    changes(Iteration(2, 2, 0.0, None, movies))
    assert changes.last == pytest.approx(0.5)
    from_start = Changes(movies / 4)
    from_start(Iteration(1, 1, 0.0, None, movies))
    assert from_start.last == pytest.approx(0.75)
    nothing = Changes(0 * movies)
    nothing(Iteration(1, 1, 0.0, None, 0 * movies))
    assert nothing.last == 0


@pytest.mark.parametrize(("enough", "passes"), [(np.inf, 3), (0.4, 3), (0.06, 4), (0.04, 5), (0.0, 6)])
def test_a_fit_ends_after_a_pass_that_changes_little_enough_from_the_third_on(enough: float, passes: int) -> None:
    """Distances to 1 are 1/2, 1/4, ...: the changes are 1/2 over 3/2, 1/4 over 5/4, 1/8 over 9/8 and so on."""
    start, seen = np.full((2, 1), 2, dtype=np.float32), list[int]()
    found = settled(LIKES, RECIPE, halving, start, enough, lambda iteration: seen.append(iteration.number))
    assert seen == list(range(1, passes + 1))
    assert found.movies == pytest.approx(np.full((2, 1), 1 + 0.5**passes))
    assert (start == 2).all()
