"""Claims about intervals: repeatable, honest about their coverage, and exact where nothing differs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom, t, ttest_1samp

from movierec_assets.recsys import comparison
from movierec_assets.recsys.comparison import (
    FitSpread,
    Interval,
    lead,
    mean_interval,
    mean_intervals,
    paired_difference,
)
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, IntArray

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


COLUMNS = arrays(
    np.float64,
    st.tuples(st.integers(1, 12), st.integers(1, 5)),
    elements=st.sampled_from([0.0, 0.1, 0.63, 1.0, np.nan]),
)


def plain_intervals(columns: FloatArray, resamples: int, seed: int) -> list[Interval]:
    """Draw as many users as there are, and take the mean over those that a column is about."""
    random = np.random.default_rng(seed)
    means: list[list[float]] = [[] for _ in columns.T]
    for _ in range(resamples):
        drawn = columns[random.integers(0, len(columns), len(columns))]
        for column, kept in zip(drawn.T, means, strict=True):
            if not np.isnan(column).all():
                kept.append(float(np.mean(column[~np.isnan(column)])))
    return [
        Interval(float(np.nanmean(column)), *map(float, np.quantile(kept, [0.025, 0.975])))
        for column, kept in zip(columns.T, means, strict=True)
    ]


@settings(deadline=None)
@given(COLUMNS, st.integers(0, 99))
def test_intervals_of_columns_are_those_of_drawing_users_one_by_one(columns: FloatArray, seed: int) -> None:
    assume(not np.isnan(columns).all(axis=0).any())
    found = mean_intervals(columns, resamples=60, seed=seed)
    for each, plain in zip(found, plain_intervals(columns, 60, seed), strict=True):
        assert (each.mean, each.low, each.high) == pytest.approx((plain.mean, plain.low, plain.high), abs=1e-12)


def test_a_column_has_the_same_interval_alone_and_beside_others() -> None:
    columns = np.random.default_rng(3).random((500, 6))
    columns[::3, 1:3], columns[::2, 4] = np.nan, np.nan
    together = mean_intervals(columns, resamples=300)
    for column, each in zip(columns.T, together, strict=True):
        (alone,) = mean_intervals(column[:, None], resamples=300)
        assert (each.mean, each.low, each.high) == pytest.approx((alone.mean, alone.low, alone.high), abs=1e-12)


def test_the_size_of_blocks_does_not_change_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = np.random.default_rng(3).random((50, 2))
    whole = mean_intervals(columns, resamples=100)
    for block in (1, 120, 1000):
        monkeypatch.setattr(comparison, "_BLOCK", block)
        for each, one in zip(mean_intervals(columns, resamples=100), whole, strict=True):
            assert (each.low, each.high) == pytest.approx((one.low, one.high), abs=1e-12)


def test_a_column_about_one_user_is_as_sure_as_it_can_be() -> None:
    columns = np.full((30, 2), np.nan)
    columns[4, 0], columns[:, 1] = 0.75, 0.5
    assert mean_intervals(columns) == [Interval(0.75, 0.75, 0.75), Interval(0.5, 0.5, 0.5)]


def in_groups(columns: FloatArray, data: st.DataObject) -> IntArray:
    return data.draw(arrays(np.int64, len(columns), elements=st.integers(0, 4)))


def plain_intervals_of_groups(columns: FloatArray, groups: IntArray, resamples: int) -> list[tuple[float, float]]:
    """Draw as many groups as there are, and take the mean over all their rows that a column is about."""
    random, of_group = np.random.default_rng(0), [columns[groups == group] for group in np.unique(groups)]
    means: list[list[float]] = [[] for _ in columns.T]
    for _ in range(resamples):
        drawn = np.concatenate([of_group[number] for number in random.integers(0, len(of_group), len(of_group))])
        for column, kept in zip(drawn.T, means, strict=True):
            if not np.isnan(column).all():
                kept.append(float(np.nanmean(column)))
    return [(float(np.quantile(kept, 0.025)), float(np.quantile(kept, 0.975))) for kept in means]


@settings(deadline=None)
@given(COLUMNS, st.data())
def test_all_scores_of_a_user_are_drawn_together(columns: FloatArray, data: st.DataObject) -> None:
    assume(not np.isnan(columns).all(axis=0).any())
    groups = in_groups(columns, data)
    found = mean_intervals(columns, resamples=60, groups=groups)
    for each, plain in zip(found, plain_intervals_of_groups(columns, groups, 60), strict=True):
        assert (each.low, each.high) == pytest.approx(plain, abs=1e-12)
    assert [each.mean for each in found] == pytest.approx(np.nanmean(columns, axis=0).tolist())


def test_the_same_scores_again_for_every_user_make_no_interval_narrower() -> None:
    scores, users = np.random.default_rng(5).random(200), np.arange(200)
    once = mean_interval(scores)
    thrice = mean_interval(np.tile(scores, 3), groups=np.tile(users, 3))
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high), abs=1e-12)


def test_intervals_of_drawn_users_are_those_of_the_linearized_ratio() -> None:
    """See Cochran (1977), Sampling Techniques, chapter 6."""
    random = np.random.default_rng(8)
    users = random.integers(0, 300, 900)
    scores = random.random(900) * 0.5 + random.random(300)[users]
    sums = np.bincount(users, scores - scores.mean())
    one_a_user = scores.mean() + sums[np.unique(users)] * len(np.unique(users)) / len(scores)
    drawn, linear = mean_interval(scores, groups=users), mean_interval(one_a_user)
    assert (linear.low, linear.high) == pytest.approx(
        (drawn.low, drawn.high), abs=0.02 * (drawn.high - drawn.low) + 1e-3
    )
    alone = mean_interval(scores)
    assert drawn.high - drawn.low > 1.2 * (alone.high - alone.low)


@pytest.mark.parametrize(
    ("column", "problem"), [([np.nan, np.nan], "no user"), ([np.inf, 0.0], "not a number"), ([], "no user")]
)
def test_a_column_about_nobody_or_without_a_mean_is_an_error(column: list[float], problem: str) -> None:
    with pytest.raises(RecsysError, match=problem):
        mean_intervals(np.column_stack([np.ones(len(column)), column]))


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


def test_many_users_get_the_intervals_of_drawing_users_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(5)
    columns = random.random((20_000, 3)) ** 6
    columns[::2, 1] = np.nan
    columns[5:, 2] = np.nan  # about five users: how many of them are drawn differs much from draw to draw
    quick = comparison.mean_intervals(columns)
    monkeypatch.setattr(comparison, "_MANY_USERS", 10**9)
    plain = comparison.mean_intervals(columns)
    for one, other in zip(quick, plain, strict=True):
        assert one.mean == other.mean
        width = other.high - other.low
        assert one.low == pytest.approx(other.low, abs=0.1 * width)
        assert one.high == pytest.approx(other.high, abs=0.1 * width)


def test_the_number_of_threads_does_not_change_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = np.random.default_rng(6).random((30_000, 2))
    found = []
    for threads in (1, 5):
        monkeypatch.setattr("os.cpu_count", lambda threads=threads: threads)
        found.append(comparison.mean_intervals(columns, resamples=200))
    assert found[0] == found[1]


def test_progress_of_many_draws_ends_with_all_of_them() -> None:
    reported: list[tuple[int, int]] = []
    comparison.mean_intervals(np.ones((20_000, 1)), resamples=100, progress=lambda *done: reported.append(done))
    assert reported[-1] == (100, 100)
    assert reported == sorted(reported)


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


DIFFERENCES = arrays(
    np.float64,
    st.tuples(st.integers(2, 12), st.integers(2, 5)),
    elements=st.sampled_from([-1.0, -0.37, -0.1, 0.0, 0.1, 0.63, 1.0]),
)


@given(DIFFERENCES)
def test_a_lead_is_around_its_mean_and_turns_around_with_the_sides(differences: FloatArray) -> None:
    found, back = lead(differences), lead(-differences)
    assert found.mean == pytest.approx(differences.mean())
    assert -1 <= found.low <= found.mean + 1e-12
    assert found.mean - 1e-12 <= found.high <= 1
    assert (back.mean, back.low, back.high) == pytest.approx((-found.mean, -found.high, -found.low))


@given(DIFFERENCES, st.integers(0, 99))
def test_neither_the_order_of_users_nor_of_fits_changes_a_lead(differences: FloatArray, seed: int) -> None:
    random = np.random.default_rng(seed)
    found, other = lead(differences), lead(random.permutation(random.permutation(differences), axis=1))
    assert (found.mean, found.low, found.high) == pytest.approx((other.mean, other.low, other.high))


def test_fits_that_agree_leave_the_t_interval_over_users() -> None:
    of_users = np.random.default_rng(1).normal(0.02, 0.1, 40)
    found = lead(np.column_stack([of_users] * 3))
    expected = ttest_1samp(of_users, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_users_that_agree_leave_the_t_interval_over_fits() -> None:
    of_fits = np.random.default_rng(1).normal(0.02, 0.01, 4)
    found = lead(np.tile(of_fits, (30, 1)), confidence=0.9)
    expected = ttest_1samp(of_fits, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_a_bound_stands_in_for_the_spread_of_a_single_pair_of_fits() -> None:
    one = np.random.default_rng(1).normal(0.02, 0.1, (100_000, 1))
    sure, bounded = lead(one, FitSpread(0.0, np.inf, "none")), lead(one, FitSpread(0.003, np.inf, "a bound"))
    error = float(one.std()) / 100_000**0.5
    assert width(sure) == pytest.approx(2 * 1.96 * error, rel=0.001)
    assert width(bounded) == pytest.approx(2 * 1.96 * (error**2 + 0.003**2) ** 0.5, rel=0.001)
    # Users that agree still leave the chance in the fit.
    alike = lead(np.full((10, 1), 0.02), FitSpread(0.003, np.inf, "a bound"))
    assert (alike.low, alike.high) == pytest.approx((0.02 - 1.96 * 0.003, 0.02 + 1.96 * 0.003), rel=0.001)


def test_a_spread_that_is_given_counts_instead_of_the_one_seen() -> None:
    differences = np.random.default_rng(1).normal(0, 0.1, (50, 4))
    assert lead(differences, FitSpread.seen_in(differences)) == lead(differences)
    assert width(lead(differences, FitSpread(0.5, 3, "elsewhere"))) > 2 * width(lead(differences))


def test_few_fits_make_a_wider_interval_than_their_spread_alone() -> None:
    differences = np.tile([0.01, 0.03], (30, 1))
    error = 0.01  # of a mean of two values that are 0.02 apart
    assert width(lead(differences)) == pytest.approx(2 * error * t.ppf(0.975, 1))


@pytest.mark.parametrize(("users", "fits"), [(600, 5), (60, 5), (600, 2), (20, 10)])
@pytest.mark.parametrize(
    ("of_users", "of_fits", "of_both"), [(0.03, 0.003, 0.1), (0.03, 0.03, 0.0), (0.1, 0.0, 0.0), (0.0, 0.0, 0.1)]
)
def test_95_of_100_leads_or_more_are_within_their_intervals(
    users: int, fits: int, of_users: float, of_fits: float, of_both: float
) -> None:
    random = np.random.default_rng(8)
    repeats, truth, inside, above = 400, 0.01, 0, 0
    for _ in range(repeats):
        differences = (
            truth
            + random.normal(0, of_users, (users, 1))
            + random.normal(0, of_fits, fits)
            + random.normal(0, of_both, (users, fits))
        )
        found = lead(differences)
        inside += found.low <= truth <= found.high
        above += found.low > truth
    # If the claim is just true, counts are beyond these once in 10,000 times.
    assert inside >= binom.ppf(1e-4, repeats, 0.95)
    assert above <= binom.isf(1e-4, repeats, 0.025)


def test_equal_scores_are_no_lead_at_all() -> None:
    assert lead(np.zeros((20, 3))) == Interval(0.0, 0.0, 0.0)
    assert lead(np.full((20, 3), 0.25)) == Interval(0.25, 0.25, 0.25)


def test_one_user_says_nothing_about_others() -> None:
    assert lead(np.array([[0.25, 0.75]])) == Interval(0.5, -1.0, 1.0)


def test_a_lead_needs_users_numbers_and_a_spread() -> None:
    with pytest.raises(RecsysError, match="no user"):
        lead(np.zeros((0, 3)))
    with pytest.raises(RecsysError, match="not a number"):
        lead(np.array([[0.1, np.nan], [0.1, 0.2]]))
    with pytest.raises(RecsysError, match="shows no spread"):
        lead(np.zeros((5, 1)))
    with pytest.raises(RecsysError, match="no user"):
        FitSpread.seen_in(np.zeros((0, 3)))


def test_single_precision_is_enough_for_138_000_users() -> None:
    differences = np.random.default_rng(1).normal(0.001, 0.1, (138_000, 2))
    found, single = lead(differences), lead(differences.astype(np.float32))
    assert (single.mean, single.low, single.high) == pytest.approx((found.mean, found.low, found.high), abs=1e-7)
