"""Shares of what was shown, with intervals over people."""

from __future__ import annotations

import numpy as np
import pytest

from movierec_assets.recsys.comparison import mean_interval
from movierec_assets.recsys.feedback import MIN_PEOPLE, share_intervals


def test_the_share_is_of_what_was_shown_and_people_are_drawn_with_all_they_saw() -> None:
    random = np.random.default_rng(1)
    shown = random.integers(1, 6, 40)
    clicked = random.binomial(shown, 0.3)
    found, _ = share_intervals(shown, [clicked, shown * 0], np.ones(40, np.int64))
    assert found is not None
    assert found.mean == pytest.approx(clicked.sum() / shown.sum())
    ones = np.concatenate([np.arange(of) < did for of, did in zip(shown, clicked, strict=True)]).astype(float)
    plain = mean_interval(ones, groups=np.repeat(np.arange(40), shown))
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high))


def test_people_with_the_same_counts_may_stand_in_one_row() -> None:
    apart = share_intervals(np.full(30, 2), [np.repeat([0, 1, 2], 10)], np.ones(30, np.int64))
    together = share_intervals(np.full(3, 2), [np.arange(3)], np.full(3, 10))
    assert str(apart[0]) == str(together[0])


def test_what_never_or_always_happened_is_not_certain() -> None:
    never, always = share_intervals(np.ones(1, int), [np.zeros(1, int), np.ones(1, int)], np.array([100]))
    assert never is not None
    assert always is not None
    assert (never.mean, never.low, always.mean, always.high) == (0, 0, 1, 1)
    assert never.high == pytest.approx(0.0362, abs=1e-4)  # Clopper and Pearson's, of 0 in 100
    assert always.low == pytest.approx(1 - never.high)


def test_an_interval_of_shares_is_within_0_and_1() -> None:
    counts = [(people, rare) for people in range(MIN_PEOPLE, MIN_PEOPLE + 20) for rare in (1, 2)]
    for people, rare in counts:
        for found in share_intervals(np.ones(2, int), [np.array([1, 0]), np.array([0, 1])], np.array([rare, people])):
            assert found is not None
            assert 0 <= found.low < found.mean < found.high <= 1


def test_a_few_people_have_no_interval() -> None:
    few = share_intervals(np.array([50]), [np.array([3])], np.array([MIN_PEOPLE - 1]))
    enough = share_intervals(np.array([50]), [np.array([3])], np.array([MIN_PEOPLE]))
    assert few == [None]
    assert enough[0] is not None


def test_one_busy_person_among_many_makes_the_interval_wide() -> None:
    people = np.array([49, 1])
    (even,) = share_intervals(np.array([10, 10]), [np.array([1, 1])], people)
    (uneven,) = share_intervals(np.array([5, 255]), [np.array([0, 50])], people)
    assert even is not None
    assert uneven is not None
    assert even.mean == pytest.approx(uneven.mean)
    assert uneven.high - uneven.low > 0.1 > even.high - even.low
