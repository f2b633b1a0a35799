"""Claims about the promotion rule, one for each row of its table and each edge between rows."""

from __future__ import annotations

import pytest

from movierec_assets.recsys.comparison import Interval
from movierec_assets.recsys.promotion import Decision, Margins, Outcome, decide

STEP = 1e-9
REFRESH = Margins().refresh
ABOVE_POPULARITY = Interval(0.05, 0.04, 0.06)


def _decide(
    over_champion: Interval | None,
    *,
    newer_data: bool = False,
    same_recipe: bool = False,
    over_popularity: Interval = ABOVE_POPULARITY,
    margins: Margins | None = None,
) -> Decision:
    return decide(
        challenger_ndcg=0.12345,
        over_popularity=over_popularity,
        over_champion=over_champion,
        newer_data=newer_data,
        same_recipe=same_recipe,
        margins=margins,
    )


def _from(low: float) -> Interval:
    return Interval(low + 0.01, low, low + 0.02)


@pytest.mark.parametrize(
    ("low", "promoted", "outcome"), [(STEP, True, "first"), (0.0, False, "rejected"), (-0.3, False, "rejected")]
)
def test_without_a_champion_the_challenger_must_be_clearly_better_than_popularity(
    low: float, promoted: bool, outcome: Outcome
) -> None:
    decision = _decide(None, over_popularity=_from(low), newer_data=True)
    assert (decision.promoted, decision.outcome) == (promoted, outcome)
    assert "0.1235" in decision.reason or "0.1234" in decision.reason
    assert f"{low:+.4f}" in decision.reason


@pytest.mark.parametrize(
    ("low", "newer_data", "promoted", "outcome"),
    [
        (0.001, False, True, "improvement"),
        (0.001, True, True, "improvement"),
        (STEP, False, True, "improvement"),
        (0.0, True, True, "refresh"),
        (-REFRESH + STEP, True, True, "refresh"),
        (-REFRESH, True, False, "kept"),
        (-0.5, True, False, "kept"),
        (0.0, False, False, "kept"),
        (-REFRESH + STEP, False, False, "kept"),
        (-0.5, False, False, "kept"),
    ],
)
def test_a_champion_gives_way_by_the_low_end_of_the_difference(
    low: float, newer_data: bool, promoted: bool, outcome: Outcome
) -> None:
    decision = _decide(_from(low), newer_data=newer_data)
    assert (decision.promoted, decision.outcome) == (promoted, outcome)


def test_a_champion_is_compared_with_and_not_popularity() -> None:
    assert _decide(_from(0.001), over_popularity=_from(-0.5)).outcome == "improvement"


@pytest.mark.parametrize(
    ("low", "newer_data", "outcome"),
    [(0.1, True, "refresh"), (-0.015, True, "refresh"), (-0.1, True, "kept"), (0.1, False, "kept")],
)
def test_the_champions_recipe_is_never_an_improvement_and_a_refresh_unless_it_got_clearly_worse(
    low: float, newer_data: bool, outcome: Outcome
) -> None:
    assert _decide(_from(low), newer_data=newer_data, same_recipe=True).outcome == outcome


def test_a_refresh_must_still_be_clearly_better_than_popularity() -> None:
    decision = _decide(_from(0.0), newer_data=True, over_popularity=_from(0.0))
    assert (decision.promoted, decision.outcome) == (False, "kept")
    assert "popularity" in decision.reason


def test_a_better_mean_alone_does_not_promote() -> None:
    assert not _decide(Interval(0.3, -0.01, 0.6), newer_data=True).promoted


def test_the_margin_of_a_refresh_can_be_set() -> None:
    difference = Interval(0.0, -0.05, 0.05)
    assert _decide(difference, newer_data=True, margins=Margins(refresh=0.06)).outcome == "refresh"
    assert _decide(difference, newer_data=True, margins=Margins(refresh=0.04)).outcome == "kept"


@pytest.mark.parametrize(("margin", "outcome"), [(0.02, "first"), (0.03, "rejected")])
def test_the_margin_of_an_improvement_can_be_set(margin: float, outcome: Outcome) -> None:
    margins = Margins(improvement=margin)
    assert _decide(None, over_popularity=_from(0.025), margins=margins).outcome == outcome
    assert _decide(_from(0.025), margins=margins).outcome == ("improvement" if outcome == "first" else "kept")


@pytest.mark.parametrize(("low", "newer_data"), [(0.0123, False), (-0.0012, True), (-0.0123, True), (-0.0123, False)])
def test_the_reason_gives_the_numbers(low: float, newer_data: bool) -> None:
    reason = _decide(Interval(0.0234, low, 0.0345), newer_data=newer_data).reason
    assert f"differs by +0.0234, 95 % {low:+.4f} to +0.0345" in reason


def test_a_kept_champion_says_whether_the_data_was_newer() -> None:
    worse = Interval(-0.1, -0.2, 0.0)
    assert "newer data, but" in _decide(worse, newer_data=True).reason
    assert "the same data" in _decide(worse, newer_data=False).reason


def test_the_numbers_hold_what_the_decision_rests_on() -> None:
    numbers = _decide(Interval(0.02, 0.01, 0.03)).numbers
    assert numbers["champion_ndcg_at_10"] == pytest.approx(0.10345)
    assert (numbers["difference_low"], numbers["over_popularity_low"]) == (0.01, 0.04)
    assert (numbers["improvement_margin"], numbers["refresh_margin"]) == (0.0, REFRESH)
