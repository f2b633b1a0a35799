"""A warm start gets where a cold one gets, sooner, and never from the likes it is scored on."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movierec_assets.datasets.demo import make_demo
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.movies import read_movies
from movierec_assets.datasets.ratings import read_ratings
from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys import als, warm_start
from movierec_assets.recsys.interactions import FloatArray, IdMaps, IntArray
from movierec_assets.recsys.leakage import leaking_users, was_trained_on
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.recipe import NO_NEXT_MOVIE, Recipe
from movierec_assets.recsys.settling import MIN_PASSES
from movierec_assets.recsys.split import Split, leave_latest_out
from movierec_assets.recsys.training_state import Predecessor, TrainingState
from movierec_assets.recsys.warm_start import (
    MAX_WARM_IN_A_ROW,
    Fits,
    fit_and_score,
    matched,
    max_warm_iterations,
    sampled,
    train,
    why_cold,
)

RECIPE = Recipe(factors=16, iterations=12)
Columns = tuple[IntArray, IntArray, FloatArray, IntArray]


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Columns:
    files = MovieLensFiles.at(make_demo(tmp_path_factory.mktemp("warm") / "demo", users=400))
    ratings = read_ratings(files, read_movies(files).movie_id).columns
    liked = ratings.chosen(ratings.rating >= 4)
    return liked.user_id, liked.movie_id, liked.rating, liked.rated_at


def three_trainings(columns: Columns) -> tuple[Split, IdMaps, list[TrainingState]]:
    """Three trainings, each on newer data; split and ids of the last."""
    predecessor, states = None, []
    for share in (0.985, 0.99, 0.995):
        split, ids, _, predecessor = _trained(_until(columns, share), predecessor)
        states.append(predecessor.state)
    return split, ids, states


def _until(columns: Columns, share: float) -> Columns:
    earlier = columns[3] <= np.quantile(columns[3], share)
    return columns[0][earlier], columns[1][earlier], columns[2][earlier], columns[3][earlier]


def _trained(columns: Columns, before: Predecessor | None = None) -> tuple[Split, IdMaps, Fits, Predecessor]:
    split, ids = leave_latest_out(RatingColumns.cast(*columns))
    fits = train(split, ids, RECIPE, before, als.fit)
    return split, ids, fits, Predecessor(RECIPE, ids, split.positives.stars, fits.state)


@pytest.fixture(scope="module")
def yesterday(columns: Columns) -> Predecessor:
    _, _, first, predecessor = _trained(_until(columns, 0.99))
    assert not first.warm
    assert first.curve is None
    return predecessor


@pytest.fixture
def _any_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a warm start fall far behind before it becomes cold: among 400 users, a swapped tie is half of the limit."""
    monkeypatch.setattr(warm_start, "MAX_NDCG_LOSS", 0.2)


@pytest.mark.usefixtures("_any_loss")
def test_with_half_a_percent_of_new_ratings_a_third_of_the_iterations_is_enough(
    columns: Columns, yesterday: Predecessor
) -> None:
    _, _, second, predecessor = _trained(_until(columns, 0.995), yesterday)
    assert (second.warm, second.state.warm_in_a_row) == (True, 1)
    assert second.curve == second.state.cold_curve, "the first of its kind is cold; later ones are compared with it"
    split, ids, last, _ = _trained(columns, predecessor)
    assert last.warm
    _, cold = fit_and_score(split.task("validation"), ids, RECIPE, None, als.fit)
    assert last.curve is not None
    reached = last.curve.reaches(cold.ndcg[-1] * 0.98)
    assert reached is not None
    assert reached <= max_warm_iterations(RECIPE)
    assert last.state.cold_curve == second.state.cold_curve


def test_the_served_fit_continues_the_scored_one_until_it_has_settled_as_well(columns: Columns) -> None:
    split, ids = leave_latest_out(RatingColumns.cast(*columns))
    passes: dict[str, list[FloatArray]] = {"scored": [], "served": []}
    fits = train(
        split, ids, RECIPE, None, als.fit, lambda name, iteration, _: passes[name].append(iteration.movies.copy())
    )
    assert len(passes["scored"]) == RECIPE.iterations
    assert MIN_PASSES <= len(passes["served"]) < RECIPE.iterations
    np.testing.assert_array_equal(passes["served"][-1], fits.served.movies)

    def change(before: FloatArray, after: FloatArray) -> float:
        return float(np.linalg.norm(after - before) / np.linalg.norm(after))

    enough = change(*passes["scored"][-2:])
    served = [passes["scored"][-1], *passes["served"]]
    little = [change(before, after) <= enough for before, after in pairwise(served)]
    assert little[-1]
    assert not any(little[MIN_PASSES - 1 : -1])


def test_new_movies_start_small_and_known_ones_where_they_were(yesterday: Predecessor) -> None:
    state = yesterday.state
    known = state.movie_ids[::2]
    ids = IdMaps(np.array([1]), np.union1d(known, [10**6, 10**6 + 1]))
    found = matched(state, state.served, ids, RECIPE)
    np.testing.assert_array_equal(found[:-2], state.served[::2])
    assert 0 < np.abs(found[-2:]).max() < 0.01


def test_both_fits_have_a_matrix_of_their_own_likes_and_the_state_has_that_of_the_scored_fit(columns: Columns) -> None:
    split, _, fits, _ = _trained(columns)
    for factors, likes in ((fits.scored, split.history), (fits.served, split.positives)):
        assert factors.next_movies is not None
        assert abs(factors.next_movies.matrix - NextMovies.of(likes, RECIPE.next_movie).matrix).max() < 1e-6
    assert fits.state.next_movies is fits.scored.next_movies


def test_a_training_without_a_signal_leaves_the_arrays_of_earlier_releases_and_is_continued(
    columns: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_start, "MAX_NDCG_LOSS", 0.2)
    recipe = replace(RECIPE, next_movie=NO_NEXT_MOVIE)
    split, ids = leave_latest_out(RatingColumns.cast(*_until(columns, 0.99)))
    first = train(split, ids, recipe, None, als.fit)
    arrays = first.state.to_arrays()
    assert not [name for name in arrays if name.startswith("next")]
    before = Predecessor(recipe, ids, split.positives.stars, TrainingState.from_arrays(arrays))
    second = train(*leave_latest_out(RatingColumns.cast(*columns)), recipe, before, als.fit)
    assert second.warm
    assert (first.scored.next_movies, second.served.next_movies, second.state.next_movies) == (None, None, None)


def _again(columns: Columns, *rows: int) -> Columns:
    """The same likes, of which some are made again now: old favourites that are the latest likes of their users."""
    again = columns[3].copy()
    again[list(rows)] = columns[3].max() + 1
    return *columns[:3], again


@pytest.mark.usefixtures("_any_loss")
def test_who_rates_an_old_favourite_again_is_not_scored_until_the_next_like(
    columns: Columns, yesterday: Predecessor
) -> None:
    oldest = int(np.argmin(columns[3]))
    user, movie = (int(column[oldest]) for column in columns[:2])
    today = _again(columns, oldest)
    split, ids, fits, predecessor = _trained(today, yesterday)
    assert fits.warm, fits.reason
    assert ids.user_ids[fits.left_out].tolist() == [user]
    assert user not in ids.user_ids[split.task("test").without(fits.left_out).users]
    pairs = np.array([[user, movie], [user, 10**6], [10**6, movie]])
    held_out = yesterday.state.known_to_scored.held_out
    assert was_trained_on(yesterday, pairs, held_out).tolist() == [True, False, False]
    assert not was_trained_on(yesterday, held_out, held_out).any()
    # The next day knows it still, although the pair was held out today.
    assert [user, movie] not in fits.state.known_to_scored.held_out.tolist()
    _, ids, fits, _ = _trained(today, predecessor)
    assert ids.user_ids[fits.left_out].tolist() == [user]
    unseen = np.setdiff1d(np.unique(columns[1]), columns[1][columns[0] == user])[0]
    more = [
        np.append(column, value) for column, value in zip(today, (user, unseen, 5.0, today[3].max() + 1), strict=True)
    ]
    _, _, fits, _ = _trained((more[0], more[1], more[2], more[3]), predecessor)
    assert fits.warm
    assert not fits.left_out.any()


def test_when_many_rated_old_favourites_again_the_start_is_cold(columns: Columns, yesterday: Predecessor) -> None:
    split, ids = leave_latest_out(RatingColumns.cast(*columns))
    users = len(split.evaluated_users("test"))
    pairs = np.stack(columns[:2], axis=1)
    trained = np.flatnonzero(was_trained_on(yesterday, pairs, yesterday.state.known_to_scored.held_out))
    known = ids.user_ids[split.evaluated_users("test")]
    first = [int(trained[columns[0][trained] == user][0]) for user in np.intersect1d(known, columns[0][trained])]
    few, many = users // 10 - 1, users // 10 + 2
    for count, cold in ((few, False), (many, True)):
        parts, ids = leave_latest_out(RatingColumns.cast(*_again(columns, *first[:count])))
        why = why_cold(yesterday, RECIPE, ids, parts)
        assert (why is not None) == cold, why
        if cold:
            assert why == f"the held-out likes of {many} of {users} users to score were trained on before"
            assert not train(parts, ids, RECIPE, yesterday, als.fit).left_out.any()
    parts, ids = leave_latest_out(RatingColumns.cast(*_again(columns, *first[:1])))
    assert why_cold(yesterday, RECIPE, ids, parts, users - 1) is None
    assert why_cold(yesterday, RECIPE, ids, parts, users) is not None


@pytest.mark.usefixtures("_any_loss")
def test_a_like_that_was_withdrawn_and_comes_back_leaves_its_user_out(columns: Columns, yesterday: Predecessor) -> None:
    oldest = int(np.argmin(columns[3]))
    rest = np.arange(len(columns[3])) != oldest
    without = (columns[0][rest], columns[1][rest], columns[2][rest], columns[3][rest])
    _, _, second, predecessor = _trained(_until(without, 0.995), yesterday)
    assert second.warm, second.reason
    assert [columns[0][oldest], columns[1][oldest]] in second.state.withdrawn.tolist()
    split, ids = leave_latest_out(RatingColumns.cast(*_again(columns, oldest)))
    assert ids.user_ids[leaking_users(predecessor, split.test, ids)].tolist() == [columns[0][oldest]]


def test_a_held_out_like_before_one_that_was_trained_on_leaves_its_user_out(
    columns: Columns, yesterday: Predecessor
) -> None:
    user = columns[0][0]
    own = np.flatnonzero(columns[0] == user)
    early = own[np.argsort(columns[3][own])[: len(own) // 3]]
    kept = (columns[0] != user) | np.isin(np.arange(len(columns[0])), early)
    new = [column[kept] for column in columns]
    # All later likes are gone, and a new one lies before them.
    unseen = np.setdiff1d(np.unique(columns[1]), columns[1][own])[:1]
    time = columns[3][early].max() + 1
    added = [np.append(new[0], user), np.append(new[1], unseen), np.append(new[2], 5.0), np.append(new[3], time)]
    split, ids = leave_latest_out(RatingColumns.cast(*added))
    assert ids.user_ids[leaking_users(yesterday, split.test, ids)].tolist() == [user]


@pytest.mark.usefixtures("_any_loss")
def test_a_challenger_that_is_kept_leaves_its_validation_fit_for_the_next_day(
    columns: Columns, yesterday: Predecessor
) -> None:
    _, _, second, kept = _trained(_until(columns, 0.995), yesterday)
    assert yesterday.state.validation is None
    _, _, alone, _ = _trained(columns, yesterday)
    _, _, fits, _ = _trained(columns, replace(yesterday, kept=kept))
    assert fits.warm, fits.reason
    assert alone.curve is not None
    assert fits.curve is not None
    assert (alone.curve.iterations, alone.state.cold_curve) == (RECIPE.iterations, alone.curve), "it starts cold"
    assert fits.curve.iterations < RECIPE.iterations
    assert fits.state.cold_curve == second.state.cold_curve
    assert (alone.state.warm_in_a_row, fits.state.warm_in_a_row) == (1, 2)
    tired = replace(kept, state=replace(kept.state, warm_in_a_row=MAX_WARM_IN_A_ROW))
    split, ids = leave_latest_out(RatingColumns.cast(*columns))
    assert "in a row" in str(why_cold(replace(yesterday, kept=tired), RECIPE, ids, split))


def test_the_start_is_cold_without_a_predecessor_with_another_recipe_or_after_many_warm_ones(
    columns: Columns, yesterday: Predecessor
) -> None:
    split, ids = leave_latest_out(RatingColumns.cast(*columns))
    assert "no champion" in str(why_cold(None, RECIPE, ids, split))
    assert "recipe" in str(why_cold(yesterday, replace(RECIPE, alpha=2.0), ids, split))
    tired = replace(yesterday, state=replace(yesterday.state, warm_in_a_row=MAX_WARM_IN_A_ROW))
    assert "in a row" in str(why_cold(tired, RECIPE, ids, split))
    strange = replace(yesterday, state=replace(yesterday.state, movie_ids=yesterday.state.movie_ids + 10**6))
    assert "knows only 0 %" in str(why_cold(strange, RECIPE, ids, split)).replace("0%", "0 %")


def test_a_warm_start_that_is_worse_than_the_cold_one_was_becomes_cold(
    columns: Columns, yesterday: Predecessor
) -> None:
    _, _, second, predecessor = _trained(_until(columns, 0.995), yesterday)
    assert second.state.cold_curve is not None
    proud = replace(second.state, cold_curve=replace(second.state.cold_curve, ndcg=(0.9,)))
    _, _, fits, _ = _trained(columns, replace(predecessor, state=proud))
    assert not fits.warm
    assert "fell to" in fits.reason
    assert (fits.state.warm_in_a_row, fits.state.validation, fits.state.cold_curve) == (0, None, None)


def test_a_training_state_comes_back_from_a_file(columns: Columns, yesterday: Predecessor) -> None:
    _, _, second, _ = _trained(columns, yesterday)
    for state in (yesterday.state, second.state):
        file = io.BytesIO()
        np.savez(file, **state.to_arrays())  # type: ignore[arg-type]
        file.seek(0)
        with np.load(file) as arrays:
            back = TrainingState.from_arrays(arrays)
        assert (back.cold_curve, back.warm_in_a_row) == (state.cold_curve, state.warm_in_a_row)
        assert back.next_movies is not None
        assert (back.next_movies.matrix != state.next_movies.matrix).nnz == 0  # type: ignore[union-attr]
        assert (back.validation is None) == (state.validation is None)
        stored = state.to_arrays()
        assert {"movie_ids", "scored", "served", "unwatched_pairs", "test_pairs", "user_ids", "withdrawn"} < set(stored)
        for name, array in back.to_arrays().items():
            np.testing.assert_array_equal(array, stored[name])


def test_the_training_state_of_an_earlier_release_is_read(yesterday: Predecessor) -> None:
    held_out = yesterday.state.known_to_scored.held_out
    arrays = dict(yesterday.state.to_arrays())
    arrays["validation_pairs"] = arrays.pop("unwatched_pairs")[len(held_out) :]
    read = TrainingState.from_arrays(arrays).known_to_validation.held_out.tolist()
    assert [pair for pair in held_out.tolist() if pair not in read] == []


@settings(deadline=None)
@given(
    ids=st.sets(st.integers(1, 2**31 - 1), min_size=1, max_size=60),
    newcomers=st.sets(st.integers(1, 2**31 - 1), max_size=5),
    max_users=st.integers(1, 40),
)
def test_the_sample_of_users_stays_when_others_join(ids: set[int], newcomers: set[int], max_users: int) -> None:
    today, tomorrow = np.array(sorted(ids)), np.array(sorted(ids | newcomers))
    before, after = today[sampled(today, max_users)], tomorrow[sampled(tomorrow, max_users)]
    assert len(before) == len(set(before.tolist())) == min(len(today), max_users)
    assert len(set(before.tolist()) - set(after.tolist())) <= len(newcomers - ids)
    assert (np.diff(sampled(today, max_users)) > 0).all()
