"""Claims about bootstrap intervals: repeatable, honest about their coverage, and exact where nothing differs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from movierec_assets.recsys.comparison import Interval, mean_interval, paired_difference
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray

SCORES = arrays(np.float64, st.integers(1, 40), elements=st.sampled_from([0.0, 0.1, 0.25, 0.63, 1.0]))


@settings(deadline=None)
@given(SCORES)
def test_the_interval_is_around_the_mean_and_within_the_scores(values: FloatArray) -> None:
    interval = mean_interval(values)
    assert interval.mean == pytest.approx(values.mean())
    assert values.min() - 1e-9 <= interval.low <= interval.mean + 1e-9
    assert interval.mean - 1e-9 <= interval.high <= values.max() + 1e-9


def test_the_interval_is_that_of_plain_resampling() -> None:
    values = np.random.default_rng(3).random(50)
    random = np.random.default_rng(17)
    means = sorted(np.mean(random.choice(values, 50)) for _ in range(4000))
    interval = mean_interval(values, resamples=4000)
    assert interval.low == pytest.approx(means[100], abs=0.01)
    assert interval.high == pytest.approx(means[3900], abs=0.01)


def test_four_times_the_users_halve_the_interval() -> None:
    values = np.random.default_rng(1).random(4000)
    few, many = mean_interval(values[:1000]), mean_interval(values)
    assert 0.4 < width(many) / width(few) < 0.6


def test_more_confidence_makes_a_wider_interval() -> None:
    values = np.random.default_rng(1).random(200)
    widths = [width(mean_interval(values, confidence=confidence)) for confidence in (0.5, 0.8, 0.95, 0.99)]
    assert widths == sorted(widths)
    # For a normal mean, 50 % lie within 0.674 and 95 % within 1.96 standard errors.
    assert widths[2] / widths[0] == pytest.approx(1.96 / 0.674, rel=0.15)


def width(interval: Interval) -> float:
    return interval.high - interval.low


def test_the_same_seed_repeats_the_interval_and_another_seed_does_not() -> None:
    values = np.random.default_rng(1).random(100)
    assert mean_interval(values) == mean_interval(values)
    assert mean_interval(values, seed=1) == mean_interval(values, seed=1)
    assert mean_interval(values, seed=1) != mean_interval(values)


def test_many_users_are_resampled_in_blocks_to_the_same_precision() -> None:
    values = np.random.default_rng(2).normal(size=300_000)
    interval = mean_interval(values, resamples=200)
    assert width(interval) == pytest.approx(2 * 1.96 / 300_000**0.5, rel=0.25)
    assert interval.low < interval.mean < interval.high


@pytest.mark.parametrize("kind", ["even", "skewed"])
def test_about_95_of_100_intervals_hold_the_true_mean(kind: str) -> None:
    random = np.random.default_rng(7)
    repeats, users = 400, 150
    # Skewed as NDCG is: most users have no hit at all. True means: 0.5, and 0.3 * 0.5.
    truth = 0.5 if kind == "even" else 0.15
    inside = 0
    for repeat in range(repeats):
        values = random.random(users)
        if kind == "skewed":
            values *= random.random(users) < 0.3
        interval = mean_interval(values, resamples=500, seed=repeat)
        inside += interval.low <= truth <= interval.high
    assert 0.91 <= inside / repeats <= 0.98


@pytest.mark.parametrize("values", [[0.1, np.nan], [np.inf, 0.0]])
def test_a_score_that_is_not_a_number_is_an_error(values: list[float]) -> None:
    with pytest.raises(RecsysError, match="not a number"):
        mean_interval(np.array(values))


def test_no_user_is_an_error() -> None:
    with pytest.raises(RecsysError, match="no user"):
        mean_interval(np.array([]))
    with pytest.raises(RecsysError, match="no user"):
        paired_difference(np.array([]), np.array([]))


@settings(deadline=None)
@given(SCORES)
def test_identical_scores_differ_by_exactly_nothing(values: FloatArray) -> None:
    assert paired_difference(values, values.copy()) == Interval(0.0, 0.0, 0.0)


def test_a_difference_is_challenger_minus_other_user_by_user() -> None:
    random = np.random.default_rng(5)
    easy_or_hard = random.random(300) * 10
    gain = 0.02 + random.normal(0, 0.01, 300)
    found = paired_difference(easy_or_hard + gain, easy_or_hard)
    # Far narrower than the spread between users: pairing takes that out.
    assert found.mean == pytest.approx(gain.mean())
    assert 0.015 < found.low < found.high < 0.025
    back = paired_difference(easy_or_hard, easy_or_hard + gain)
    assert (back.mean, back.low, back.high) == pytest.approx((-found.mean, -found.high, -found.low), abs=1e-3)


def test_options_reach_the_interval() -> None:
    random = np.random.default_rng(5)
    one, other = random.random(50), random.random(50)
    expected = mean_interval(one - other, confidence=0.5, resamples=100, seed=9)
    assert paired_difference(one, other, confidence=0.5, resamples=100, seed=9) == expected


def test_scores_of_different_users_are_not_compared() -> None:
    with pytest.raises(RecsysError, match=r"\(3,\) and \(2,\)"):
        paired_difference(np.zeros(3), np.zeros(2))
