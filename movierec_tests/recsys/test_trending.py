"""Movies that are liked more now than before."""

from __future__ import annotations

from collections import Counter

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy import stats

from movierec_assets.recsys.trending import (
    CAUTION,
    ENOUGH_LIKES,
    MIN_LIKES,
    PRIOR,
    STEP_DAYS,
    YEAR_DAYS,
    Periods,
    likes_by_day,
    likes_in_periods,
    periods_of,
    trending,
)

_counts = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 5000)), max_size=30)


@given(_counts)
def test_scores_are_quantiles_of_the_posterior_and_movies_come_in_their_order(counts: list[tuple[int, int]]) -> None:
    likes, before = np.array(counts, np.int64).reshape(-1, 2).T
    found = trending(likes, before)
    share = likes.sum() / max(before.sum(), 1)
    plain = {
        movie: stats.gamma.ppf(CAUTION, now + PRIOR, scale=1 / (past * share + PRIOR))
        for movie, (now, past) in enumerate(counts)
        if now >= MIN_LIKES and now > past * share
    }
    assert set(found.movies.tolist()) == set(plain)
    np.testing.assert_allclose(found.scores, [plain[movie] for movie in found.movies.tolist()], rtol=1e-6)
    assert (np.diff(found.scores) <= 0).all()
    np.testing.assert_allclose(found.expected, before[found.movies] * share)


def test_a_hundred_likes_at_three_times_the_rate_are_more_certain_than_three_at_ten_times() -> None:
    likes = np.array([100, 3, 1000, 1])
    before = np.array([400, 4, 12_000, 0])
    found = trending(likes, before)
    assert found.movies.tolist() == [0, 1]
    assert found.scores[0] > 1 > found.scores[1]


def test_a_movie_with_as_many_likes_as_before_does_not_trend() -> None:
    assert trending(np.array([50, 50]), np.array([650, 650])).movies.tolist() == []


def test_now_is_four_weeks_and_before_is_a_year_where_there_are_enough_likes() -> None:
    assert periods_of(np.array([10_000, 10_027]), np.array([ENOUGH_LIKES, ENOUGH_LIKES])) == Periods(
        10_000 - YEAR_DAYS, 10_000, 10_028
    )


@given(st.dictionaries(st.integers(9_000, 12_000), st.integers(1, 400), min_size=1, max_size=40))
def test_now_is_the_shortest_multiple_of_four_weeks_with_enough_likes_and_ends_with_the_data(
    by_day: dict[int, int],
) -> None:
    """Of a pause of more than four weeks, four count."""
    found = periods_of(np.array(list(by_day)), np.array(list(by_day.values())))
    assert found is not None
    assert found.until == max(by_day) + 1
    enough = min(ENOUGH_LIKES, sum(by_day.values()) / 10)
    latest_first = sorted(by_day, reverse=True)
    counted, days, pauses = 0, 0, 0
    for later, day in zip([latest_first[0], *latest_first], latest_first, strict=False):
        days += min(later - day, STEP_DAYS)
        pauses += later - day - min(later - day, STEP_DAYS)
        counted += by_day[day]
        if counted >= enough:
            break
    length = STEP_DAYS * (days // STEP_DAYS + 1)
    assert found.until - found.since == length + pauses
    assert found.since - found.before == max(YEAR_DAYS, length)
    assert sum(count for day, count in by_day.items() if day >= found.since) >= enough


def test_a_few_likes_years_after_the_others_do_not_stretch_now_and_before() -> None:
    """As when people begin to rate in the app, years after the file ends."""
    found = periods_of(np.array([10_000, 10_010, 13_000]), np.array([5000, 600, 3]))
    assert found == Periods(10_010 - STEP_DAYS + 1 - YEAR_DAYS, 10_010 - STEP_DAYS + 1, 13_001)


@pytest.mark.parametrize("none", [np.empty(0, np.int64)])
def test_without_likes_there_is_no_period_and_nothing_trends(none: np.ndarray) -> None:
    assert periods_of(none, none) is None
    assert trending(none, none).movies.tolist() == []


_likes = st.lists(st.tuples(st.integers(1, 5), st.integers(-3 * 86_400, 4 * 86_400)), max_size=40)


@given(_likes)
def test_likes_of_a_day_are_those_from_midnight_to_midnight_in_utc(likes: list[tuple[int, int]]) -> None:
    counted = Counter(at // 86_400 for _, at in likes)
    days, found = likes_by_day(np.array([at for _, at in likes], np.int64))
    assert dict(zip(days.tolist(), found.tolist(), strict=True)) == counted


@given(_likes, st.integers(-3, 0), st.integers(1, 2), st.integers(1, 2))
def test_a_like_counts_in_the_period_of_its_day(likes: list[tuple[int, int]], before: int, past: int, now: int) -> None:
    periods = Periods(before, before + past, before + past + now)
    movies, found_now, found_before = likes_in_periods(
        np.array([movie for movie, _ in likes], np.int32), np.array([at for _, at in likes], np.int64), periods
    )
    for counted, first, end in (
        (found_now, periods.since, periods.until),
        (found_before, periods.before, periods.since),
    ):
        plain = Counter(movie for movie, at in likes if first <= at // 86_400 < end)
        assert {movie: n for movie, n in zip(movies.tolist(), counted.tolist(), strict=True) if n} == plain
    assert sorted(movies.tolist()) == sorted(
        {movie for movie, at in likes if periods.before <= at // 86_400 < periods.until}
    )
