"""Claims about fits from several start values: their seeds, their number, and the bound that replaces them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys import als, metrics, repeated_fits
from movierec_assets.recsys.engine import Factors
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.recipe import NO_NEXT_MOVIE, Recipe
from movierec_assets.recsys.scoring import rank
from movierec_assets.recsys.split import Task, leave_latest_out

RECIPE = Recipe(factors=4, iterations=2, seed=7)


@pytest.fixture(scope="module")
def task() -> Task:
    random = np.random.default_rng(1)
    users, movies = np.nonzero(random.random((40, 30)) < 0.4)
    split, _ = leave_latest_out(
        RatingColumns.cast(users, movies, np.full(len(users), 4.0), random.permutation(len(users)))
    )
    return split.task("test")


def test_starts_are_the_seeds_from_the_recipes_own_on(task: Task) -> None:
    found = repeated_fits.scores(task, RECIPE, 3, als.fit)
    assert found.shape == (len(task.users), 3)
    counted = NextMovies.of(task.train, RECIPE.next_movie)
    assert len(counted) > 0
    for number, seed in enumerate((7, 8, 9)):
        each = replace(RECIPE, seed=seed)
        lists = rank(task, als.fit(task.train, each).with_next(counted), each, 10)
        assert np.array_equal(found[:, number], metrics.score(lists.items, task.held_out.stars, 10).ndcg)


def test_all_fits_have_the_next_movie_matrix_that_is_handed_over(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = repeated_fits.scores(task, RECIPE, 2, als.fit)
    counted = NextMovies.of(task.train, RECIPE.next_movie)
    monkeypatch.setattr(NextMovies, "of", None)
    assert np.array_equal(repeated_fits.scores(task, RECIPE, 2, als.fit, next_movies=counted), expected)
    alone = repeated_fits.scores(task, replace(RECIPE, next_movie=NO_NEXT_MOVIE), 2, als.fit)
    assert not np.array_equal(alone, expected)


def test_scores_that_are_known_are_not_made_again(task: Task) -> None:
    known = np.full(len(task.users), 0.5)
    found = repeated_fits.scores(task, RECIPE, 2, als.fit, known=known)
    assert np.array_equal(found[:, 0], known)
    assert np.array_equal(found[:, 1], repeated_fits.scores(task, replace(RECIPE, seed=8), 1, als.fit)[:, 0])


def test_recipes_that_differ_in_the_signal_only_share_their_fits(task: Task) -> None:
    made: list[Recipe] = []

    def fit(positives: Interactions, recipe: Recipe) -> Factors:
        made.append(recipe)
        return als.fit(positives, recipe)

    recipes = [RECIPE, replace(RECIPE, next_movie=NO_NEXT_MOVIE), replace(RECIPE, alpha=9.0)]
    shared = repeated_fits.shared(fit)  # type: ignore[arg-type]
    for recipe in recipes:
        found = repeated_fits.scores(task, recipe, 3, shared)
        assert np.array_equal(found, repeated_fits.scores(task, recipe, 3, als.fit))
    assert [(each.alpha, each.seed) for each in made] == [
        (alpha, seed) for alpha in (RECIPE.alpha, 9.0) for seed in (7, 8, 9)
    ]


def test_progress_counts_fits(task: Task) -> None:
    reported: list[tuple[int, int]] = []
    repeated_fits.scores(task, RECIPE, 2, als.fit, progress=lambda *done: reported.append(done))
    assert reported == [(1, 2), (2, 2)]


def test_no_start_and_scores_of_others_are_errors(task: Task) -> None:
    with pytest.raises(RecsysError, match="at least one"):
        repeated_fits.scores(task, RECIPE, 0, als.fit)
    with pytest.raises(RecsysError, match=r"\(3,\)"):
        repeated_fits.scores(task, RECIPE, 2, als.fit, known=np.zeros(3))


def test_fits_of_large_data_are_repeated_less_often() -> None:
    assert repeated_fits.number_of_fits(repeated_fits.MAX_LIKES) == repeated_fits.FITS
    assert repeated_fits.number_of_fits(repeated_fits.MAX_LIKES + 1) == repeated_fits.FITS_OF_LARGE_DATA


def test_the_spread_is_measured_and_a_bound_for_few_fits() -> None:
    differences = np.random.default_rng(1).random((50, 3))
    seen = repeated_fits.spread(differences, 0.1)
    assert seen.deviation == pytest.approx(differences.mean(axis=0).std(ddof=1))
    assert (seen.freedom, seen.source) == (2, "3 pairs of fits")
    for fits in (1, repeated_fits.FITS_OF_LARGE_DATA):
        bound = repeated_fits.spread(differences[:, :fits], 0.1)
        assert bound.deviation == pytest.approx(repeated_fits.BOUND * 0.1)
        assert "bound" in bound.source
