"""Claims about cuts in time: nothing from after a cut is known before it, and every late like is asked for once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys.few_users import nobody_returns
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.split import (
    MIN_LIKES_BEFORE_CUT,
    Task,
    Window,
    last_time_window,
    pooled,
    strong_generalization,
    time_windows,
)
from movierec_tests.recsys.strategies import Ratings, Row, interactions_of, ratings

MANY = ratings(min_size=12, max_size=60, max_users=4, max_movies=20, times=30)
WINDOWS = st.integers(1, 6)


def rows_of(part: Interactions, users: list[int] | None = None) -> set[Row]:
    """Interactions as plain rows; the rows of the matrix are those of some users."""
    own, movies, stars, times = part.triplets()
    return {
        (user if users is None else users[user], movie, star, time)
        for user, movie, star, time in zip(*(each.tolist() for each in (own, movies, stars, times)), strict=True)
    }


def windows_of(drawn: Ratings, windows: int) -> list[Window]:
    return list(time_windows(drawn.interactions(), windows=windows))


@settings(deadline=None)
@given(MANY, WINDOWS)
def test_nothing_that_is_known_is_as_late_as_the_cut_and_all_that_is_earlier_is_known(
    drawn: Ratings, windows: int
) -> None:
    for window in windows_of(drawn, windows):
        task, users = window.task, window.task.users.tolist()
        known = {row for row in drawn.rows if row[3] < window.cut}
        assert rows_of(task.train) == known
        assert rows_of(task.histories, users) == {row for row in known if row[0] in users}


@settings(deadline=None)
@given(MANY, WINDOWS)
def test_targets_are_all_likes_of_the_window_by_users_with_enough_likes_before_it(drawn: Ratings, windows: int) -> None:
    for window in windows_of(drawn, windows):
        within = {row for row in drawn.rows if window.cut <= row[3] < window.end}
        enough = {
            user
            for user in range(drawn.shape[0])
            if sum(row[0] == user and row[3] < window.cut for row in drawn.rows) >= MIN_LIKES_BEFORE_CUT
        }
        users = window.task.users.tolist()
        assert users == sorted(enough & {row[0] for row in within})
        assert users
        assert rows_of(window.task.held_out, users) == {row for row in within if row[0] in enough}


@settings(deadline=None)
@given(MANY)
def test_the_last_window_is_found_without_those_before_it(drawn: Ratings) -> None:
    found, last = list(time_windows(drawn.interactions())), last_time_window(drawn.interactions())
    assert (last is None) == (not found)
    if last is not None:
        assert (last.cut, last.end) == (found[-1].cut, found[-1].end)
        assert all(rows_of(each.task.train) <= rows_of(last.task.train) for each in found)


@settings(deadline=None)
@given(MANY, WINDOWS)
def test_windows_follow_each_other_and_leave_out_no_like_that_somebody_returned_for(
    drawn: Ratings, windows: int
) -> None:
    found = windows_of(drawn, windows)
    assert all(one.cut < one.end <= other.cut for one, other in pairwise(found))
    if not found:
        return
    asked = [row for each in found for row in rows_of(each.task.held_out, each.task.users.tolist())]
    assert len(asked) == len(set(asked))
    for row in drawn.rows:
        if row in asked or row[3] < found[0].cut:
            continue
        # Its user had too few likes when the window of the like began, or when the window before that ended.
        began = max(time for each in found for time in (each.cut, each.end) if time <= row[3])
        earlier = sum(other[0] == row[0] and other[3] < began for other in drawn.rows)
        assert earlier < MIN_LIKES_BEFORE_CUT


@settings(deadline=None)
@given(MANY, WINDOWS, st.randoms(use_true_random=False))
def test_what_is_liked_after_a_window_changes_nothing_for_it(drawn: Ratings, windows: int, random: object) -> None:
    for number, window in enumerate(windows_of(drawn, windows)):
        kept = [row for row in drawn.rows if row[3] < window.end]
        pairs = {(user, movie) for user in range(drawn.shape[0]) for movie in range(drawn.shape[1])}
        free = sorted(pairs - {row[:2] for row in kept})
        random.shuffle(free)  # type: ignore[attr-defined]
        times = [row[3] for row in drawn.rows if row[3] >= window.end]  # the cuts follow from the times of all likes
        others: list[Row] = [(*pair, 5.0, time) for pair, time in zip(free, times, strict=False)]
        again = windows_of(Ratings([*kept, *others], drawn.shape), windows)[number]
        assert (again.cut, again.end) == (window.cut, window.end)
        assert fingerprints(again.task) == fingerprints(window.task)


def fingerprints(task: Task) -> list[str | list[int]]:
    parts = (task.train, task.histories, task.held_out)
    return [*(part.fingerprint() for part in parts), task.users.tolist()]


def regular(users: int, times: list[int]) -> Ratings:
    """Users who like another movie at each of the times."""
    rows = [(user, movie, 4.0, time) for user in range(users) for movie, time in enumerate(times)]
    return Ratings(rows, (users, len(times)))


def test_cuts_lie_between_equal_shares_of_the_late_half_of_the_likes() -> None:
    found = windows_of(regular(3, list(range(0, 200, 10))), 5)
    assert [each.cut for each in found] == [90, 110, 130, 150, 170]
    assert [each.end for each in found] == [110, 130, 150, 170, 191]
    assert [each.task.users.tolist() for each in found] == [[0, 1, 2]] * 5
    assert [len(each.task.held_out) for each in found] == [6, 6, 6, 6, 9]


@pytest.mark.parametrize("drawn", [regular(3, []), regular(3, [7] * 9), regular(9, [1, 2, 3, 4])], ids=str)
def test_nobody_returns_where_all_times_are_equal_or_likes_are_few(drawn: Ratings) -> None:
    assert windows_of(drawn, 10) == []


def test_nobody_returning_is_explained_by_equal_times_or_by_few_users_who_come_back() -> None:
    equal = str(nobody_returns(regular(3, [7] * 9).interactions()))
    assert "nobody has 5 likes before a cut in time and one after it. All 27 likes are of one time" in equal
    assert "Load ratings with the time at which each was made" in equal
    few = str(nobody_returns(regular(9, [1, 2, 3, 4]).interactions()))
    assert "Nobody has more than 5 likes at all" in few
    once = str(nobody_returns(regular(9, [1, 2, 3, 4, 5, 6]).interactions()))
    assert "9 of 9 users have more than 5 likes" in once
    assert "more ratings, of a longer time" in once


@settings(deadline=None)
@given(MANY, WINDOWS)
def test_pooled_windows_have_a_row_for_each_user_of_each_window(drawn: Ratings, windows: int) -> None:
    found = windows_of(drawn, windows)
    if not found:
        return
    tasks = [window.task for window in found]
    together = pooled(tasks)
    assert together.train.fingerprint() == tasks[-1].train.fingerprint()
    assert together.users.tolist() == [user for task in tasks for user in task.users.tolist()]
    assert together.elapsed.tolist() == [seconds for task in tasks for seconds in task.elapsed.tolist()]
    first = 0
    for task in tasks:
        rows = np.arange(first, first := first + len(task.users))
        assert together.histories.rows(rows).fingerprint() == task.histories.fingerprint()
        assert together.held_out.rows(rows).fingerprint() == task.held_out.fingerprint()


@settings(deadline=None)
@given(ratings(max_users=6), ratings(max_users=6))
def test_elapsed_time_is_that_from_the_latest_known_like_to_the_first_like_to_find(
    known: Ratings, wanted: Ratings
) -> None:
    shape = (6, 8)
    histories, held_out = (interactions_of(each.rows, shape) for each in (known, wanted))
    found = Task(histories, np.arange(6), histories, held_out).elapsed.tolist()
    for user in range(6):
        before = [row[3] for row in known.rows if row[0] == user]
        after = [row[3] for row in wanted.rows if row[0] == user]
        assert found[user] == (max(0, min(after) - max(before)) if before and after else 0)


def test_likes_that_are_held_out_at_random_say_nothing_about_the_time_of_a_request() -> None:
    known, wanted = (interactions_of([(0, 0, 5.0, at)], (1, 8)) for at in (100, 500))
    task = Task(known, np.arange(1), known, wanted, in_time=False)
    assert task.elapsed.tolist() == task.without(np.zeros(1, dtype=bool)).elapsed.tolist() == [0]
    assert pooled([task, task]).elapsed.tolist() == [0, 0]
    users = np.repeat(np.arange(40), 5)
    times = np.random.default_rng(2).permutation(200)
    columns = RatingColumns.cast(users, np.tile(np.arange(5), 40), np.full(200, 5.0), times)
    assert not any(
        strong_generalization(columns, seed=1)[0].task(part).elapsed.any() for part in ("validation", "test")
    )


def test_nobody_has_no_elapsed_time() -> None:
    nobody = interactions_of([], (0, 4))
    assert Task(nobody, np.empty(0, dtype=int), nobody, nobody).elapsed.tolist() == []
