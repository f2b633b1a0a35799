"""Claims about the promotion rule, one for each row of its table and each edge between rows."""

from __future__ import annotations

import pytest

from movierec_assets.recsys.comparison import Interval
from movierec_assets.recsys.promotion import MARGIN, Outcome, decide

STEP = 1e-9


def test_without_a_champion_the_challenger_is_the_first() -> None:
    decision = decide(challenger_ndcg=0.12345, difference=None, newer_data=False)
    assert (decision.promoted, decision.outcome) == (True, "first")
    assert "0.1235" in decision.reason or "0.1234" in decision.reason


@pytest.mark.parametrize(
    ("low", "newer_data", "promoted", "outcome"),
    [
        (0.001, False, True, "improvement"),
        (0.001, True, True, "improvement"),
        (STEP, False, True, "improvement"),
        (0.0, True, True, "refresh"),
        (-MARGIN + STEP, True, True, "refresh"),
        (-MARGIN, True, False, "kept"),
        (-0.5, True, False, "kept"),
        (0.0, False, False, "kept"),
        (-MARGIN + STEP, False, False, "kept"),
        (-0.5, False, False, "kept"),
    ],
)
def test_a_champion_gives_way_by_the_low_end_of_the_difference(
    low: float, newer_data: bool, promoted: bool, outcome: Outcome
) -> None:
    decision = decide(challenger_ndcg=0.1, difference=Interval(low + 0.01, low, low + 0.02), newer_data=newer_data)
    assert (decision.promoted, decision.outcome) == (promoted, outcome)


def test_a_better_mean_alone_does_not_promote() -> None:
    assert not decide(challenger_ndcg=0.9, difference=Interval(0.3, -0.01, 0.6), newer_data=True).promoted


def test_the_margin_of_a_refresh_can_be_set() -> None:
    difference = Interval(0.0, -0.05, 0.05)
    assert decide(challenger_ndcg=0.1, difference=difference, newer_data=True, margin=0.06).outcome == "refresh"
    assert decide(challenger_ndcg=0.1, difference=difference, newer_data=True, margin=0.04).outcome == "kept"


@pytest.mark.parametrize(("low", "newer_data"), [(0.0123, False), (-0.0012, True), (-0.0123, True), (-0.0123, False)])
def test_the_reason_gives_the_numbers(low: float, newer_data: bool) -> None:
    reason = decide(challenger_ndcg=0.1, difference=Interval(0.0234, low, 0.0345), newer_data=newer_data).reason
    assert f"differs by +0.0234, 95 % {low:+.4f} to +0.0345" in reason


def test_a_kept_champion_says_whether_the_data_was_newer() -> None:
    worse = Interval(-0.1, -0.2, 0.0)
    assert "newer data, but" in decide(challenger_ndcg=0.1, difference=worse, newer_data=True).reason
    assert "the same data" in decide(challenger_ndcg=0.1, difference=worse, newer_data=False).reason
