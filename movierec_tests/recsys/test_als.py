"""Claims about the recipe: it learns structure, repeats itself, and folds in by the closed form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movierec_assets.recsys import als
from movierec_assets.recsys.confidence import Confidence
from movierec_assets.recsys.engine import Factors, Iteration
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, Interactions
from movierec_assets.recsys.recipe import NO_NEXT_MOVIE, ConfidenceKind, FoldIn, NextMovie, Recipe
from movierec_tests.recsys.strategies import Ratings, Row, interactions_of, ratings

pytestmark = pytest.mark.usefixtures("each_solver")

SMALL = Recipe(alpha=10.0, regularization=0.1, factors=4, iterations=10)


def checker_board(users: int = 24, movies: int = 16, missing: int = 5) -> tuple[Interactions, list[tuple[int, int]]]:
    """Likes of the cells of each user's colour but for every fifth, and those left out."""
    black = [(user, movie) for user in range(users) for movie in range(movies) if (user + movie) % 2 == 0]
    left_out = black[::missing]
    rows: list[Row] = [(user, movie, 4.0, movie) for user, movie in black if (user, movie) not in left_out]
    return interactions_of(rows, (users, movies)), left_out


def test_missing_cells_of_a_checker_board_come_before_those_of_the_other_colour() -> None:
    board, left_out = checker_board()
    recipe = replace(SMALL, factors=2)  # one for each colour; more would learn which cells are missing
    factors = als.fit(board, recipe)
    for vectors in (factors.users, als.fold_in(factors.movies, board, recipe)):
        predicted = vectors @ factors.movies.T
        for user, movie in left_out:
            other_colour = predicted[user, (user + 1) % 2 :: 2]
            assert predicted[user, movie] > other_colour.max() + 0.8


def test_the_same_seed_gives_the_same_factors_and_another_seed_others() -> None:
    board, _ = checker_board()
    one, again, other = (als.fit(board, replace(SMALL, seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_allclose(again.users, one.users, rtol=0, atol=1e-3)
    np.testing.assert_allclose(again.movies, one.movies, rtol=0, atol=1e-3)
    assert np.abs(other.movies - one.movies).max() > 0.1


def test_factors_have_the_shape_of_the_matrix_fit_after_fit() -> None:
    for users, movies, factors in ((24, 16, 4), (7, 30, 9), (3, 2, 16)):
        board, _ = checker_board(users, movies)
        fitted = als.fit(board, replace(SMALL, factors=factors))
        assert fitted.users.shape == (users, factors)
        assert fitted.movies.shape == (movies, factors)
        assert fitted.users.dtype == fitted.movies.dtype == np.float32


@pytest.mark.parametrize(
    "other", [{"alpha": 40.0}, {"regularization": 5.0}, {"iterations": 1}], ids=lambda change: next(iter(change))
)
def test_every_number_of_the_recipe_reaches_the_fit(other: dict[str, Any]) -> None:
    board, _ = checker_board()
    assert not np.allclose(als.fit(board, replace(SMALL, **other)).movies, als.fit(board, SMALL).movies, atol=0.05)


def test_confidence_does_not_depend_on_the_stars() -> None:
    rows: list[Row] = [(0, 0, 4.0, 1), (0, 1, 4.0, 2), (1, 1, 4.0, 3)]
    better: list[Row] = [(user, movie, 5.0, time) for user, movie, _, time in rows]
    fitted = [interactions_of(each, (2, 2)) for each in (rows, better)]
    one, other = (als.fit(each, SMALL).movies for each in fitted)
    np.testing.assert_allclose(other, one, rtol=0, atol=1e-3)
    one, other = (als.fit(each, replace(SMALL, confidence="rating")).movies for each in fitted)
    assert np.abs(other - one).max() > 0.01


def test_arrays_that_are_read_only_are_learned_from_as_others() -> None:
    positives, _ = checker_board()
    expected = als.fit(positives, SMALL)
    for array in (positives.stars.data, positives.stars.indices, positives.stars.indptr):
        array.flags.writeable = False
    assert np.array_equal(als.fit(positives, SMALL).movies, expected.movies)


def test_progress_is_told_after_each_iteration_and_the_loss_does_not_rise() -> None:
    board, _ = checker_board()
    reported: list[Iteration] = []
    als.fit(board, SMALL, reported.append, loss_every=1)
    assert [each.number for each in reported] == list(range(1, SMALL.iterations + 1))
    assert {each.of for each in reported} == {SMALL.iterations}
    assert all(each.seconds >= 0 for each in reported)
    losses = np.array([each.loss for each in reported], dtype=np.float64)
    assert np.all(np.diff(losses) <= 1e-3 * losses[:-1])
    assert losses[-1] < losses[0]


def test_the_loss_is_told_after_the_first_the_last_and_every_so_many_passes() -> None:
    reported: list[Iteration] = []
    als.fit(checker_board()[0], replace(SMALL, iterations=8), reported.append, loss_every=3)
    assert [each.number for each in reported if each.loss is not None] == [1, 3, 6, 8]


def test_the_loss_is_only_computed_when_asked_for() -> None:
    board, _ = checker_board()
    reported: list[Iteration] = []
    als.fit(board, SMALL, reported.append)
    assert len(reported) == SMALL.iterations
    assert {each.loss for each in reported} == {None}


def test_nothing_to_train_on_is_an_error() -> None:
    with pytest.raises(RecsysError, match="no positive rating to train on"):
        als.fit(interactions_of([], (3, 3)), SMALL)


def test_a_fit_that_breaks_down_is_an_error_that_says_what_to_change() -> None:
    board, _ = checker_board()
    with pytest.raises(RecsysError, match="regularization"):
        als.fit(board, replace(SMALL, alpha=1e38))


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_factors_that_are_not_finite_are_counted_and_named(broken: float) -> None:
    good = np.ones((4, 2), dtype=np.float32)
    bad = good.copy()
    bad[[1, 3], 0] = broken
    alike = Confidence("binary", np.ones(4, np.float32), 1.0)
    Factors(good, good, alike).require_finite()
    with pytest.raises(RecsysError, match="2 of 4 movie vectors"):
        Factors(good, bad, alike).require_finite()
    with pytest.raises(RecsysError, match="2 of 4 user vectors"):
        Factors(bad, good, alike).require_finite()


def closed_form(movie_factors: FloatArray, histories: Interactions, recipe: Recipe) -> FloatArray:
    """Hu, Koren and Volinsky (2008), equation 4, with confidences that fall with the recency rank."""
    y = movie_factors.astype(np.float64)
    users, movies, _, _ = histories.triplets()
    ranks = histories.recency_rank()
    vectors = np.zeros((histories.shape[0], recipe.factors))
    for user in range(histories.shape[0]):
        a = y.T @ y + recipe.regularization * np.eye(recipe.factors)
        b = np.zeros(recipe.factors)
        for movie, rank in zip(movies[users == user], ranks[users == user], strict=True):
            decay = recipe.fold_in.floor + recipe.fold_in.boost * np.exp(-rank / recipe.fold_in.tau)
            confidence = recipe.alpha * decay
            a += (confidence - 1) * np.outer(y[movie], y[movie])
            b += confidence * y[movie]
        vectors[user] = np.linalg.solve(a, b)
    return vectors


@settings(deadline=None)
@given(
    ratings(max_size=15),
    st.builds(
        Recipe,
        alpha=st.sampled_from([0.5, 1.0, 5.0, 20.0]),
        regularization=st.sampled_from([0.5, 2.0, 10.0]),
        factors=st.integers(1, 4),
        fold_in=st.builds(
            FoldIn,
            floor=st.sampled_from([0.1, 0.2, 1.0]),
            boost=st.sampled_from([0.0, 3.0, 7.0]),
            tau=st.sampled_from([0.5, 5.0, 20.0]),
        ),
    ),
    st.integers(0, 1000),
)
def test_fold_in_is_the_closed_form_solution(drawn: Ratings, recipe: Recipe, seed: int) -> None:
    histories = drawn.interactions()
    movies = np.random.default_rng(seed).uniform(-1, 1, (drawn.shape[1], recipe.factors)).astype(np.float32)
    found = als.fold_in(movies, histories, recipe)
    assert found.dtype == np.float32
    assert found == pytest.approx(closed_form(movies, histories, recipe), rel=1e-3, abs=1e-4)


def test_a_later_interaction_moves_the_vector_more_than_an_older_one() -> None:
    movies = np.eye(2, dtype=np.float32)
    recipe = Recipe(factors=2, alpha=2.0, regularization=1.0)

    def vector(first: int, second: int) -> list[float]:
        rows: list[Row] = [(0, 0, 4.0, first), (0, 1, 4.0, second)]
        folded: list[float] = als.fold_in(movies, interactions_of(rows, (1, 2)), recipe)[0].tolist()
        return folded

    older, newer = vector(100, 200)
    assert newer > older + 0.01
    assert vector(200, 100) == pytest.approx([newer, older], rel=1e-4)
    same = vector(100, 100)
    assert same[0] == pytest.approx(same[1], rel=1e-4)


def test_weights_fall_from_floor_plus_boost_to_the_floor() -> None:
    weights = FoldIn(floor=0.2, boost=3.0, tau=10.0).weights(np.array([0, 10, 1000]))
    assert weights.tolist() == pytest.approx([3.2, 0.2 + 3 / np.e, 0.2])


def test_a_user_without_history_gets_a_zero_vector() -> None:
    rows: list[Row] = [(1, 0, 4.0, 1)]
    vectors = als.fold_in(np.ones((3, 4), dtype=np.float32), interactions_of(rows, (3, 3)), SMALL)
    assert vectors.any(axis=1).tolist() == [False, True, False]


def test_no_users_at_all_fold_in_to_no_vectors() -> None:
    assert als.fold_in(np.ones((3, 4), dtype=np.float32), interactions_of([], (0, 3)), SMALL).shape == (0, 4)


@settings(deadline=None)
@given(ratings(min_size=1, max_users=12), st.integers(0, 1000), st.sampled_from(["binary", "rating", "bm25"]))
def test_the_memory_for_batches_changes_no_vector(drawn: Ratings, seed: int, kind: ConfidenceKind) -> None:
    histories, recipe = drawn.interactions(), replace(SMALL, confidence=kind)
    movies = np.random.default_rng(seed).uniform(-1, 1, (drawn.shape[1], recipe.factors)).astype(np.float32)
    confidence = Confidence.of(histories, kind)
    whole = als.fold_in(movies, histories, recipe, confidence)
    reported: list[tuple[int, int]] = []
    parts = als.fold_in(
        movies,
        histories,
        recipe,
        confidence,
        batch_bytes=1,
        progress=lambda *done: reported.append(done),
    )
    # Scores are compared: single precision leaves few digits of a vector that hardly changes them.
    assert parts @ movies.T == pytest.approx(whole @ movies.T, rel=1e-3, abs=1e-3)
    assert reported == [(user + 1, drawn.shape[0]) for user in range(drawn.shape[0])]


def test_fold_in_leaves_the_movie_factors_alone() -> None:
    board, _ = checker_board()
    movies = als.fit(board, SMALL).movies
    before = movies.copy()
    als.fold_in(movies, board, SMALL)
    assert np.array_equal(movies, before)


@pytest.mark.parametrize("shape", [(2, 4), (3, 5)])
def test_movie_factors_of_another_catalogue_or_recipe_are_refused(shape: tuple[int, int]) -> None:
    rows: list[Row] = [(0, 2, 4.0, 1)]
    with pytest.raises(RecsysError, match=r"need \(3, 4\)"):
        als.fold_in(np.ones(shape, dtype=np.float32), interactions_of(rows, (1, 3)), SMALL)


RECIPES = st.builds(
    Recipe,
    alpha=st.floats(0.1, 100),
    regularization=st.floats(0, 100),
    factors=st.integers(1, 512),
    iterations=st.integers(1, 50),
    seed=st.integers(0, 2**32 - 1),
    fold_in=st.builds(FoldIn, floor=st.floats(0, 5), boost=st.floats(0, 5), tau=st.floats(0.1, 50)),
    next_movie=st.builds(
        NextMovie,
        window=st.integers(1, 100),
        decay=st.floats(0.1, 1),
        out_exponent=st.floats(0, 1),
        in_exponent=st.floats(0, 1),
        smoothing=st.floats(1, 1000),
        tau=st.floats(0.1, 50),
        weight=st.floats(0, 5),
        fade_hours=st.floats(0.01, 100),
    ),
)


@settings(deadline=None)
@given(RECIPES)
def test_a_recipe_comes_back_from_its_flat_form_and_from_text(recipe: Recipe) -> None:
    flat = recipe.as_dict()
    assert Recipe.from_dict(flat) == recipe
    assert Recipe.from_dict({name: str(value) for name, value in flat.items()} | {"extra": "ignored"}) == recipe


def test_a_recipe_of_a_release_without_the_next_movie_signal_has_it_switched_off() -> None:
    earlier = {name: value for name, value in Recipe().as_dict().items() if not name.startswith("next_movie_")}
    assert Recipe.from_dict(earlier) == Recipe(next_movie=NO_NEXT_MOVIE)
    assert not Recipe.from_dict(earlier).next_movie.on


def test_a_recipe_of_a_release_without_smoothing_has_the_one_that_its_signal_was_counted_with() -> None:
    earlier = Recipe(next_movie=NextMovie(in_exponent=0.3, smoothing=1.0))
    flat = {name: value for name, value in earlier.as_dict().items() if name != "next_movie_smoothing"}
    assert Recipe.from_dict(flat) == earlier


def test_the_flat_form_names_every_number() -> None:
    assert set(Recipe().as_dict()) == {
        *("confidence", "alpha", "regularization", "factors", "iterations", "seed"),
        *("fold_in_floor", "fold_in_boost", "fold_in_tau"),
        *("next_movie_window", "next_movie_decay", "next_movie_out_exponent", "next_movie_in_exponent"),
        *("next_movie_smoothing", "next_movie_tau", "next_movie_weight", "next_movie_fade_hours"),
    }


@pytest.mark.parametrize("name", [name for name in Recipe().as_dict() if name != "next_movie_smoothing"])
def test_a_missing_field_is_named(name: str) -> None:
    flat = {key: value for key, value in Recipe().as_dict().items() if key != name}
    with pytest.raises(RecsysError, match=rf"KeyError\('{name}'\)"):
        Recipe.from_dict(flat)


@pytest.mark.parametrize("value", ["many", "", None])
def test_a_field_that_is_not_a_number_is_an_error(value: str | None) -> None:
    with pytest.raises(RecsysError, match="Not a recipe"):
        Recipe.from_dict({**Recipe().as_dict(), "factors": value})
