"""A warm start gets where a cold one gets, sooner, and never from what it is scored on."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movierec_assets.datasets.demo import make_demo
from movierec_assets.datasets.movielens import MovieLensFiles, read_movies, read_ratings
from movierec_assets.recsys import warm_start
from movierec_assets.recsys.als import Recipe
from movierec_assets.recsys.interactions import FloatArray, IdMaps, IntArray, Interactions
from movierec_assets.recsys.split import Split, leave_latest_out
from movierec_assets.recsys.warm_start import (
    MOST_IN_A_ROW,
    Fits,
    Legacy,
    Predecessor,
    fit_and_watch,
    matched,
    sampled,
    third,
    train,
    was_trained_on,
    why_not,
    withdrawn,
)

RECIPE = Recipe(factors=16, iterations=12)
Columns = tuple[IntArray, IntArray, FloatArray, IntArray]


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Columns:
    files = MovieLensFiles.at(make_demo(tmp_path_factory.mktemp("warm") / "demo", users=400))
    ratings = read_ratings(files, read_movies(files).movie_id)
    liked = ratings.rating >= 4
    return ratings.user_id[liked], ratings.movie_id[liked], ratings.rating[liked], ratings.rated_at[liked]


def three_trainings(columns: Columns) -> tuple[Split, IdMaps, list[Legacy]]:
    """Three trainings, each on newer data; split and ids of the last."""
    predecessor, legacies = None, []
    for share in (0.985, 0.99, 0.995):
        split, ids, _, predecessor = _trained(_until(columns, share), predecessor)
        legacies.append(predecessor.legacy)
    return split, ids, legacies


def _until(columns: Columns, share: float) -> Columns:
    earlier = columns[3] <= np.quantile(columns[3], share)
    return columns[0][earlier], columns[1][earlier], columns[2][earlier], columns[3][earlier]


def _trained(columns: Columns, before: Predecessor | None = None) -> tuple[Split, IdMaps, Fits, Predecessor]:
    split, ids = leave_latest_out(*columns)
    fits = train(split, ids, RECIPE, before)
    positives = split.train.union(split.validation, split.test)
    return split, ids, fits, Predecessor(RECIPE, ids, positives.stars, fits.legacy)


@pytest.fixture(scope="module")
def yesterday(columns: Columns) -> Predecessor:
    _, _, first, predecessor = _trained(_until(columns, 0.99))
    assert not first.warm
    assert first.course is None
    return predecessor


@pytest.fixture
def _no_bad_luck(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a warm start fall far behind before it becomes cold: of 400 users, one swapped tie is half of what it may."""
    monkeypatch.setattr(warm_start, "LOST", 0.2)


@pytest.mark.usefixtures("_no_bad_luck")
def test_with_half_a_percent_of_new_ratings_a_third_of_the_iterations_is_enough(
    columns: Columns, yesterday: Predecessor
) -> None:
    _, _, second, predecessor = _trained(_until(columns, 0.995), yesterday)
    assert (second.warm, second.legacy.in_a_row) == (True, 1)
    assert second.course == second.legacy.cold, "the first of its kind is cold, and later ones are held against it"
    split, ids, third_, _ = _trained(columns, predecessor)
    assert third_.warm
    _, cold = fit_and_watch(split.task("validation"), ids, RECIPE, None)
    assert third_.course is not None
    reached = third_.course.reaches(cold.ndcg[-1] * 0.98)
    assert reached is not None
    assert reached <= third(RECIPE)
    assert third_.legacy.cold == second.legacy.cold


def test_new_movies_start_small_and_known_ones_where_they_were(yesterday: Predecessor) -> None:
    legacy = yesterday.legacy
    known = legacy.movie_ids[::2]
    ids = IdMaps(np.array([1]), np.union1d(known, [10**6, 10**6 + 1]))
    found = matched(legacy, legacy.served, ids, RECIPE)
    np.testing.assert_array_equal(found[:-2], legacy.served[::2])
    assert 0 < np.abs(found[-2:]).max() < 0.01


def test_a_held_out_like_that_was_trained_on_makes_the_start_cold(columns: Columns, yesterday: Predecessor) -> None:
    split, ids = leave_latest_out(*columns)
    assert why_not(yesterday, RECIPE, ids, split) is None
    # Somebody rates again what they liked long ago: the old like is their latest one now.
    user, movie = (column[np.argmin(columns[3])] for column in columns[:2])
    again = columns[3].copy()
    again[np.argmin(columns[3])] = columns[3].max() + 1
    split, ids = leave_latest_out(*columns[:3], again)
    assert why_not(yesterday, RECIPE, ids, split) == "1 likes that are held out now were trained on before"
    pairs = np.array([[user, movie], [user, 10**6], [10**6, movie]])
    assert was_trained_on(yesterday, pairs, yesterday.legacy.test_pairs).tolist() == [True, False, False]
    assert not was_trained_on(yesterday, yesterday.legacy.test_pairs, yesterday.legacy.test_pairs).any()
    assert not train(split, ids, RECIPE, yesterday).warm


def test_a_like_that_was_withdrawn_and_comes_back_makes_the_start_cold(
    columns: Columns, yesterday: Predecessor
) -> None:
    oldest = int(np.argmin(columns[3]))
    rest = np.arange(len(columns[3])) != oldest
    without = (columns[0][rest], columns[1][rest], columns[2][rest], columns[3][rest])
    _, _, second, predecessor = _trained(_until(without, 0.995), yesterday)
    assert second.warm, second.why
    assert [columns[0][oldest], columns[1][oldest]] in second.legacy.withdrawn.tolist()
    again = columns[3].copy()
    again[oldest] = columns[3].max() + 1
    split, ids = leave_latest_out(*columns[:3], again)
    assert "were trained on before" in str(why_not(predecessor, RECIPE, ids, split))


def test_a_held_out_like_before_one_that_was_trained_on_makes_the_start_cold(
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
    split, ids = leave_latest_out(*added)
    assert "not later than what was trained on" in str(why_not(yesterday, RECIPE, ids, split))


def test_the_start_is_cold_without_a_predecessor_with_another_recipe_or_after_many_warm_ones(
    columns: Columns, yesterday: Predecessor
) -> None:
    split, ids = leave_latest_out(*columns)
    assert "no champion" in str(why_not(None, RECIPE, ids, split))
    assert "recipe" in str(why_not(yesterday, replace(RECIPE, alpha=2.0), ids, split))
    tired = replace(yesterday, legacy=replace(yesterday.legacy, in_a_row=MOST_IN_A_ROW))
    assert "in a row" in str(why_not(tired, RECIPE, ids, split))
    strange = replace(yesterday, legacy=replace(yesterday.legacy, movie_ids=yesterday.legacy.movie_ids + 10**6))
    assert "knows only 0 %" in str(why_not(strange, RECIPE, ids, split)).replace("0%", "0 %")


def test_a_warm_start_that_is_worse_than_the_cold_one_was_becomes_cold(
    columns: Columns, yesterday: Predecessor
) -> None:
    _, _, second, predecessor = _trained(_until(columns, 0.995), yesterday)
    assert second.legacy.cold is not None
    proud = replace(second.legacy, cold=replace(second.legacy.cold, ndcg=(0.9,)))
    _, _, fits, _ = _trained(columns, replace(predecessor, legacy=proud))
    assert not fits.warm
    assert "fell to" in fits.why
    assert (fits.legacy.in_a_row, fits.legacy.trained, fits.legacy.cold) == (0, None, None)


def test_what_is_left_for_the_next_training_comes_back_from_a_file(columns: Columns, yesterday: Predecessor) -> None:
    _, _, second, _ = _trained(columns, yesterday)
    for legacy in (yesterday.legacy, second.legacy):
        file = io.BytesIO()
        np.savez(file, **legacy.to_arrays())  # type: ignore[arg-type]
        file.seek(0)
        with np.load(file) as arrays:
            back = Legacy.from_arrays(arrays)
        assert (back.cold, back.in_a_row) == (legacy.cold, legacy.in_a_row)
        assert (back.trained is None) == (legacy.trained is None)
        for name in ("movie_ids", "scored", "served", "validation_pairs", "test_pairs", "user_ids", "withdrawn"):
            np.testing.assert_array_equal(getattr(back, name), getattr(legacy, name))


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_was_withdrawn_is_what_a_predecessor_had_and_nobody_has_now(seed: int) -> None:
    random = np.random.default_rng(seed)

    def some() -> tuple[Interactions, IdMaps]:
        ids = IdMaps(*(np.sort(random.choice(12, random.integers(1, 9), replace=False)) for _ in range(2)))
        users, movies = np.nonzero(random.random(ids.shape) < 0.4)
        return Interactions.from_triplets(users, movies, np.ones(len(users)), np.ones_like(users), ids.shape), ids

    def pairs(positives: Interactions, ids: IdMaps) -> set[tuple[int, int]]:
        users, movies, _, _ = positives.triplets()
        return set(zip(ids.user_ids[users].tolist(), ids.movie_ids[movies].tolist(), strict=True))

    (had, ids_then), (has, ids) = some(), some()
    nobody = np.empty(0, dtype=np.int64)
    before = random.integers(20, 30, (3, 2))
    legacy = Legacy(
        *(nobody, np.empty((0, 2)), np.empty((0, 2)), None, before[:0], before[:0], nobody, nobody, nobody),
        withdrawn=before,
        cold=None,
        in_a_row=1,
    )
    found = withdrawn(Predecessor(Recipe(), ids_then, had.stars, legacy), has, ids)
    assert {(user, movie) for user, movie in found.tolist()} == (
        pairs(had, ids_then) - pairs(has, ids) | set(map(tuple, before.tolist()))
    )
    assert len(found) == len(np.unique(found, axis=0))


@settings(deadline=None)
@given(
    ids=st.sets(st.integers(1, 2**31 - 1), min_size=1, max_size=60),
    newcomers=st.sets(st.integers(1, 2**31 - 1), max_size=5),
    most=st.integers(1, 40),
)
def test_the_sample_of_users_stays_when_others_join(ids: set[int], newcomers: set[int], most: int) -> None:
    today, tomorrow = np.array(sorted(ids)), np.array(sorted(ids | newcomers))
    before, after = today[sampled(today, most)], tomorrow[sampled(tomorrow, most)]
    assert len(before) == len(set(before.tolist())) == min(len(today), most)
    assert len(set(before.tolist()) - set(after.tolist())) <= len(newcomers - ids)
    assert (np.diff(sampled(today, most)) > 0).all()
