"""A warm start gets where a cold one gets, sooner, and never from what it is scored on."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movierec_assets.datasets.demo import make_demo
from movierec_assets.datasets.movielens import MovieLensFiles, read_movies, read_ratings
from movierec_assets.recsys import als, warm_start
from movierec_assets.recsys.als import Recipe
from movierec_assets.recsys.interactions import FloatArray, IdMaps, IntArray, Interactions
from movierec_assets.recsys.lineage import Legacy, Predecessor, leaking_users, was_trained_on, withdrawn
from movierec_assets.recsys.split import Split, Task, leave_latest_out
from movierec_assets.recsys.warm_start import (
    MOST_IN_A_ROW,
    Fits,
    fit_and_watch,
    matched,
    sampled,
    third,
    train,
    why_not,
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
    reached = third_.course.reaches(cold.ndcg[-1] * 0.92)  # over 400 users, two fits differ by 2 %, one sigma
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


def _again(columns: Columns, *places: int) -> Columns:
    """The same likes, of which some are made again now: old favourites that are the latest likes of their users."""
    again = columns[3].copy()
    again[list(places)] = columns[3].max() + 1
    return *columns[:3], again


@pytest.mark.usefixtures("_no_bad_luck")
def test_who_rates_an_old_favourite_again_is_not_scored_until_the_next_like(
    columns: Columns, yesterday: Predecessor
) -> None:
    oldest = int(np.argmin(columns[3]))
    user, movie = (int(column[oldest]) for column in columns[:2])
    today = _again(columns, oldest)
    split, ids, fits, predecessor = _trained(today, yesterday)
    assert fits.warm, fits.why
    assert ids.user_ids[fits.left_out].tolist() == [user]
    assert user not in ids.user_ids[split.task("test").without(fits.left_out).users]
    pairs = np.array([[user, movie], [user, 10**6], [10**6, movie]])
    assert was_trained_on(yesterday, pairs, yesterday.legacy.test_pairs).tolist() == [True, False, False]
    assert not was_trained_on(yesterday, yesterday.legacy.test_pairs, yesterday.legacy.test_pairs).any()
    # The next day knows it still, although the pair was held out today.
    assert [user, movie] not in fits.legacy.test_pairs.tolist()
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
    split, ids = leave_latest_out(*columns)
    users = len(split.evaluated_users("test"))
    pairs = np.stack(columns[:2], axis=1)
    trained = np.flatnonzero(was_trained_on(yesterday, pairs, yesterday.legacy.test_pairs))
    known = ids.user_ids[split.evaluated_users("test")]
    first = [int(trained[columns[0][trained] == user][0]) for user in np.intersect1d(known, columns[0][trained])]
    few, many = users // 10 - 1, users // 10 + 2
    for count, cold in ((few, False), (many, True)):
        parts, ids = leave_latest_out(*_again(columns, *first[:count]))
        why = why_not(yesterday, RECIPE, ids, parts)
        assert (why is not None) == cold, why
        if cold:
            assert why == f"the held-out likes of {many} of {users} users to score were trained on before"
            assert not train(parts, ids, RECIPE, yesterday).left_out.any()
    parts, ids = leave_latest_out(*_again(columns, *first[:1]))
    assert why_not(yesterday, RECIPE, ids, parts, users - 1) is None
    assert why_not(yesterday, RECIPE, ids, parts, users) is not None


@pytest.mark.usefixtures("_no_bad_luck")
def test_a_like_that_was_withdrawn_and_comes_back_leaves_its_user_out(columns: Columns, yesterday: Predecessor) -> None:
    oldest = int(np.argmin(columns[3]))
    rest = np.arange(len(columns[3])) != oldest
    without = (columns[0][rest], columns[1][rest], columns[2][rest], columns[3][rest])
    _, _, second, predecessor = _trained(_until(without, 0.995), yesterday)
    assert second.warm, second.why
    assert [columns[0][oldest], columns[1][oldest]] in second.legacy.withdrawn.tolist()
    split, ids = leave_latest_out(*_again(columns, oldest))
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
    split, ids = leave_latest_out(*added)
    assert ids.user_ids[leaking_users(yesterday, split.test, ids)].tolist() == [user]


@pytest.mark.usefixtures("_no_bad_luck")
def test_a_challenger_that_is_kept_leaves_its_watched_fit_for_the_next_day(
    columns: Columns, yesterday: Predecessor
) -> None:
    _, _, second, kept = _trained(_until(columns, 0.995), yesterday)
    assert yesterday.legacy.trained is None
    _, _, alone, _ = _trained(columns, yesterday)
    _, _, fits, _ = _trained(columns, replace(yesterday, kept=kept))
    assert fits.warm, fits.why
    assert alone.course is not None
    assert fits.course is not None
    assert (alone.course.iterations, alone.legacy.cold) == (RECIPE.iterations, alone.course), "a cold start of its own"
    assert fits.course.iterations < RECIPE.iterations
    assert fits.legacy.cold == second.legacy.cold
    assert (alone.legacy.in_a_row, fits.legacy.in_a_row) == (1, 2)
    tired = replace(kept, legacy=replace(kept.legacy, in_a_row=MOST_IN_A_ROW))
    split, ids = leave_latest_out(*columns)
    assert "in a row" in str(why_not(replace(yesterday, kept=tired), RECIPE, ids, split))


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
        for name in ("movie_ids", "scored", "served", "unwatched_pairs", "test_pairs", "user_ids", "withdrawn"):
            np.testing.assert_array_equal(getattr(back, name), getattr(legacy, name))


def test_what_an_earlier_version_of_the_platform_left_is_read(yesterday: Predecessor) -> None:
    legacy = yesterday.legacy
    arrays = dict(legacy.to_arrays())
    arrays["validation_pairs"] = arrays.pop("unwatched_pairs")[len(legacy.test_pairs) :]
    read = Legacy.from_arrays(arrays).unwatched_pairs.tolist()
    assert [pair for pair in legacy.test_pairs.tolist() if pair not in read] == []


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


class _Fit:
    """A stand-in for fitting: factors are the number of a fit, of which is known what it and those before it saw."""

    def __init__(self) -> None:
        self.pairs: list[set[tuple[int, int]]] = [set()]
        self.latest: list[dict[int, int]] = [{}]
        self.ids = IdMaps(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int32))
        self.watched: list[tuple[int, Task]] = []

    def fit(self, positives: Interactions, recipe: Recipe, told: Any = None, **options: Any) -> als.Factors:
        start = options.get("start")
        before = 0 if start is None else round(float(start.max()))
        pairs, latest = set(self.pairs[before]), dict(self.latest[before])
        for user, movie, _, at in zip(*(each.tolist() for each in positives.triplets()), strict=True):
            owner = int(self.ids.user_ids[user])
            pairs.add((owner, int(self.ids.movie_ids[movie])))
            latest[owner] = max(latest.get(owner, at), at)
        self.pairs.append(pairs)
        self.latest.append(latest)
        factors = np.full((positives.shape[1], recipe.factors), len(self.pairs) - 1, dtype=np.float32)
        with contextlib.suppress(als.EnoughIterations):
            for number in range(recipe.iterations if told is not None else 0):
                told(als.Iteration(number + 1, recipe.iterations, 0.0, None, factors))
        return als.Factors(factors[:0], factors, als.Confidence.of(positives, recipe.confidence))

    def ndcg(self, movies: FloatArray, task: Task, *_: object) -> float:
        self.watched.append((round(float(movies.max())), task))
        return 0.5

    def knows(self, number: int, task: Task) -> int:
        """Held-out likes that a fit knows, or that are not later than what it knows of their user."""
        users, movies, _, rated_at = task.held_out.triplets()
        found = 0
        for user, movie, at in zip(users.tolist(), movies.tolist(), rated_at.tolist(), strict=True):
            owner = int(self.ids.user_ids[task.users[user]])
            found += (owner, int(self.ids.movie_ids[movie])) in self.pairs[number]
            found += at <= self.latest[number].get(owner, at - 1)
        return found


@settings(max_examples=200)
@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_happens_no_fit_is_scored_on_what_it_or_an_earlier_one_was_fitted_to(seed: int) -> None:
    """Days of new likes, old favourites, withdrawals and returns; challengers are promoted, kept, or lost."""
    random = np.random.default_rng(seed)
    recipe, stand_in = Recipe(factors=2, iterations=3), _Fit()
    likes = {(int(u), int(m)): int(t) for u, m, t in zip(*random.integers(1, [[9], [15], [40]], (3, 70)), strict=True)}
    gone: dict[tuple[int, int], int] = {}
    champion: Predecessor | None = None
    left = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(als, "fit", stand_in.fit)
        patch.setattr(warm_start, "validation_ndcg", stand_in.ndcg)
        patch.setattr(warm_start, "MOST_LEFT_OUT", float(random.choice([0.3, 1.0])))
        for day in range(6):
            now = 50 + 10 * day
            for movie in random.integers(1, 16, 8):  # who left comes back with what they liked long ago
                if left:
                    likes.setdefault((left, int(movie)), int(random.integers(20, now)))
            left, corrected, reviver = (int(user) for user in random.integers(1, [18, 9, 9]))
            middle = int(np.median([at for (user, _), at in likes.items() if user == corrected] or [now]))
            for pair in [
                pair for pair, at in likes.items() if pair[0] == left or (pair[0] == corrected and at > middle)
            ]:
                gone[pair] = likes.pop(pair)
            likes.setdefault((corrected, int(random.integers(1, 16))), middle + 1)
            for pair in [pair for pair in gone if pair[0] == reviver and random.random() < 0.5]:
                likes[pair] = gone.pop(pair) if random.random() < 0.5 else now + int(random.integers(10))
            for pair in [pair for pair in likes if random.random() < 0.06]:
                likes[pair] = now + int(random.integers(10))
            for user, movie, at in random.integers([1, 1, now], [9, 16, now + 10], (4, 3)).tolist():
                likes.setdefault((user, movie), at)
            pairs = np.array(list(likes), dtype=np.int32)
            split, ids = leave_latest_out(
                pairs[:, 0], pairs[:, 1], np.full(len(likes), 4.0), np.array(list(likes.values()))
            )
            stand_in.ids, stand_in.watched = ids, []
            fits = train(split, ids, recipe, champion)
            scored = split.task("test").without(fits.left_out)
            assert stand_in.knows(round(float(fits.scored.movies.max())), scored) == 0
            assert all(stand_in.knows(number, task) == 0 for number, task in stand_in.watched)
            if champion is not None:  # which is scored beside the challenger
                known = leaking_users(champion, split.test, ids)
                beside = round(float(champion.legacy.scored.max()))
                assert stand_in.knows(beside, split.task("test").without(known)) == 0
                assert not fits.warm or (known == fits.left_out).all()
            positives = split.train.union(split.validation, split.test)
            made = Predecessor(recipe, ids, positives.stars, fits.legacy)
            chance = random.random()
            if champion is None or chance < 0.4:
                champion = made
            elif chance < 0.8:
                champion = replace(champion, kept=made)
