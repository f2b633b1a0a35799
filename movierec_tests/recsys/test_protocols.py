"""Claims about strong generalization, and about the tasks that both protocols set."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import IdMaps, Interactions
from movierec_assets.recsys.split import (
    MIN_POSITIVES_TO_HOLD_OUT,
    Part,
    StrongSplit,
    leave_latest_out,
    strong_generalization,
)
from movierec_tests.recsys.strategies import Row, columns_of

PARTS: tuple[Part, ...] = ("validation", "test")
N_MOVIES = 25
SHARES = st.sampled_from([0.05, 0.1, 0.3])
FOLD_IN = st.sampled_from([0.1, 0.5, 0.8, 0.9])


def rows_with(counts: list[int], seed: int) -> list[Row]:
    """That many likes of each user, under ids with gaps."""
    random = np.random.default_rng(seed)
    return [
        (10 * user + 3, 7 * int(movie) + 1, float(random.integers(8, 11) / 2), int(random.integers(6)))
        for user, count in enumerate(counts)
        for movie in random.choice(N_MOVIES, count, replace=False)
    ]


@st.composite
def likes(draw: st.DrawFn) -> list[Row]:
    """At least three users with five likes and more, and others with fewer."""
    many = draw(st.lists(st.integers(MIN_POSITIVES_TO_HOLD_OUT, N_MOVIES), min_size=3, max_size=14))
    few = draw(st.lists(st.integers(1, MIN_POSITIVES_TO_HOLD_OUT - 1), max_size=6))
    return rows_with(draw(st.permutations(many + few)), draw(st.integers(0, 99)))


def split_of(rows: list[Row], seed: int = 1, share: float = 0.1, fold_in: float = 0.8) -> tuple[StrongSplit, IdMaps]:
    return strong_generalization(
        RatingColumns.cast(*columns_of(rows)), held_out_share=share, fold_in_share=fold_in, seed=seed
    )


def rows_of(part: Interactions, ids: IdMaps) -> set[Row]:
    users, movies, stars, times = part.triplets()
    columns = (ids.user_ids[users], ids.movie_ids[movies], stars, times)
    return set(zip(*(column.tolist() for column in columns), strict=True))


def parts_of(split: StrongSplit) -> list[Interactions]:
    return [getattr(split, field.name) for field in fields(split)]


def users_of(*parts: Interactions) -> set[int]:
    return {int(user) for part in parts for user in np.flatnonzero(part.per_user)}


@given(likes(), st.integers(0, 50), SHARES, FOLD_IN)
def test_parts_are_disjoint_of_one_shape_and_cover_everything(
    rows: list[Row], seed: int, share: float, fold_in: float
) -> None:
    split, ids = split_of(rows, seed, share, fold_in)
    assert {part.shape for part in parts_of(split)} == {ids.shape}
    assert sum(map(len, parts_of(split))) == len(rows)
    assert set().union(*(rows_of(part, ids) for part in parts_of(split))) == set(rows)


@given(likes(), st.integers(0, 50), SHARES, FOLD_IN)
def test_no_pair_of_a_held_out_user_reaches_a_fit_that_is_scored_on_that_user(
    rows: list[Row], seed: int, share: float, fold_in: float
) -> None:
    split, _ = split_of(rows, seed, share, fold_in)
    trained = users_of(split.train)
    validated = users_of(split.validation_fold_in, split.validation_target)
    tested = users_of(split.test_fold_in, split.test_target)
    assert trained
    assert trained.isdisjoint(validated | tested)
    assert validated.isdisjoint(tested)
    assert users_of(split.before("validation")) == trained
    assert users_of(split.before("test")) == trained | validated
    for part in PARTS:
        task = split.task(part)
        assert task.train.per_user[task.users].sum() == 0


@given(likes(), st.integers(0, 50), SHARES)
def test_as_many_users_with_enough_positives_are_held_out_for_each_part(
    rows: list[Row], seed: int, share: float
) -> None:
    split, ids = split_of(rows, seed, share)
    counts = {user: sum(row[0] == user for row in rows) for user in ids.user_ids.tolist()}
    enough = [user for user, count in counts.items() if count >= MIN_POSITIVES_TO_HOLD_OUT]
    for part in PARTS:
        held_out = ids.user_ids[split.evaluated_users(part)].tolist()
        assert len(held_out) == max(1, round(share * len(enough)))
        assert set(held_out) <= set(enough)


@given(likes(), st.integers(0, 50), FOLD_IN)
def test_the_share_of_each_users_positives_is_told_and_something_is_left_on_both_sides(
    rows: list[Row], seed: int, fold_in: float
) -> None:
    split, _ = split_of(rows, seed, fold_in=fold_in)
    for part in PARTS:
        task = split.task(part)
        folded_in, target = task.histories.per_user, task.held_out.per_user
        assert folded_in.min() >= 1
        assert target.min() >= 1
        within_one = np.abs(folded_in - fold_in * (folded_in + target)) <= 1
        assert np.all(within_one)


@given(likes(), st.data())
def test_the_order_of_rows_never_matters(rows: list[Row], data: st.DataObject) -> None:
    (one, ids), (other, other_ids) = split_of(rows), split_of(data.draw(st.permutations(rows)))
    assert np.array_equal(ids.user_ids, other_ids.user_ids)
    assert np.array_equal(ids.movie_ids, other_ids.movie_ids)
    for part, same in zip(parts_of(one), parts_of(other), strict=True):
        assert part.fingerprint() == same.fingerprint()


def test_another_seed_holds_out_other_users_and_other_movies_of_them() -> None:
    rows = rows_with([20] * 60, seed=1)
    splits = [split_of(rows, seed)[0] for seed in range(8)]
    assert len({split.test_target.fingerprint() for split in splits}) == 8
    assert len({tuple(split.evaluated_users("test")) for split in splits}) == 8
    both = [(one, other) for one in splits for other in splits if one is not other]
    shared = [
        (one, other, user) for one, other in both for user in users_of(one.test_target) & users_of(other.test_target)
    ]
    targets = [
        (one.test_target.rows(np.array([user])), other.test_target.rows(np.array([user])))
        for one, other, user in shared
    ]
    assert any(one.fingerprint() != other.fingerprint() for one, other in targets)


def test_every_user_and_every_movie_of_a_user_is_held_out_by_some_seed() -> None:
    rows = rows_with([8] * 6, seed=1)
    ids = split_of(rows)[1]
    targets = set().union(*(rows_of(split_of(rows, seed)[0].test_target, ids) for seed in range(150)))
    assert targets == set(rows)


def test_time_plays_no_part() -> None:
    rows = rows_with([10] * 20, seed=1)
    later = [(user, movie, stars, 1000 - time) for user, movie, stars, time in rows]
    for one, other in zip(parts_of(split_of(rows)[0]), parts_of(split_of(later)[0]), strict=True):
        assert np.array_equal(one.stars.toarray(), other.stars.toarray())


def test_a_movie_that_only_held_out_users_rated_keeps_its_column() -> None:
    rows = rows_with([8] * 6, seed=1)
    split, ids = split_of(rows)
    stranger = int(ids.user_ids[split.evaluated_users("test")][0])
    with_rare, more = split_of([*rows, (stranger, 9999, 5.0, 1)])
    assert more.movie_ids[-1] == 9999
    assert {part.shape[1] for part in parts_of(with_rare)} == {len(ids.movie_ids) + 1}
    assert users_of(with_rare.test_target) == {int(more.users_at(np.array([stranger]))[0])}
    assert with_rare.train.per_movie[-1] == 0


@pytest.mark.parametrize("counts", [[9], [9, 9], [9, 4, 4, 4], [4] * 9], ids=str)
def test_too_few_users_are_an_error_that_counts_them(counts: list[int]) -> None:
    with pytest.raises(RecsysError, match=rf"held out of {len(counts)}, of whom {sum(c > 4 for c in counts)} have"):
        split_of(rows_with(counts, seed=1))


def test_one_user_to_train_on_is_enough() -> None:
    split, _ = split_of(rows_with([9, 9, 3], seed=1))
    assert split.train.per_user.max() == 3


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_impossible_shares_are_refused_by_name(share: float) -> None:
    rows = rows_with([9] * 20, seed=1)
    with pytest.raises(RecsysError, match=r"held_out_share is .* less than 1"):
        split_of(rows, share=share)
    with pytest.raises(RecsysError, match=r"fold_in_share is .* less than 1"):
        split_of(rows, fold_in=share)


def test_a_share_that_leaves_nobody_to_train_on_is_refused() -> None:
    with pytest.raises(RecsysError, match=r"lower held_out_share \(0.5\)"):
        split_of(rows_with([9] * 20, seed=1), share=0.5)


def test_no_positive_at_all_and_repeated_pairs_are_errors() -> None:
    with pytest.raises(RecsysError, match="no positive rating to split"):
        split_of([])
    rows = rows_with([9] * 20, seed=1)
    with pytest.raises(RecsysError, match="1 interactions repeat"):
        split_of([*rows, (*rows[0][:3], 77)])


@settings(deadline=None)
@given(likes())
def test_a_task_of_leave_latest_out_is_the_split_for_its_evaluated_users(rows: list[Row]) -> None:
    split, _ = leave_latest_out(RatingColumns.cast(*columns_of(rows)))
    for part, held_out in (("validation", split.validation), ("test", split.test)):
        task = split.task(part)  # type: ignore[arg-type]
        history = split.before(part)  # type: ignore[arg-type]
        assert task.train.fingerprint() == history.fingerprint()
        assert task.users.tolist() == split.evaluated_users(part).tolist()  # type: ignore[arg-type]
        assert task.histories.fingerprint() == history.rows(task.users).fingerprint()
        assert task.held_out.fingerprint() == held_out.rows(task.users).fingerprint()


@given(likes(), st.integers(0, 50))
def test_a_task_of_strong_generalization_tells_what_is_folded_in_and_asks_for_the_target(
    rows: list[Row], seed: int
) -> None:
    split, _ = split_of(rows, seed)
    for part, fold_in, target in (
        (PARTS[0], split.validation_fold_in, split.validation_target),
        (PARTS[1], split.test_fold_in, split.test_target),
    ):
        task = split.task(part)
        assert len(task.histories) == len(fold_in)
        assert len(task.held_out) == len(target)
        assert np.array_equal(task.histories.stars.toarray(), fold_in.stars[task.users].toarray())
        assert np.array_equal(task.held_out.stars.toarray(), target.stars[task.users].toarray())
