"""Claims about the promotion rule, one for each row of its table and each edge between rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.recsys.comparison import Interval
from movierec_assets.recsys.promotion import (
    HELD,
    IMPROVEMENT_MARGIN,
    Comparison,
    Decision,
    Margins,
    OnReturn,
    Outcome,
    decide,
    decide_refit,
    is_improvement,
)

STEP = 1e-9
REFRESH = Margins().refresh
CHAMPION_NDCG = 0.1
ABOVE_POPULARITY = Interval(0.05, 0.04, 0.06)
BEHIND_POPULARITY = Interval(0.0, -0.01, 0.01)


def _decide(
    lead: Interval | None = None,
    *,
    champion: bool = True,
    changed_data: bool = False,
    same_recipe: bool = False,
    over_popularity: Interval = ABOVE_POPULARITY,
    held: str | None = None,
    margins: Margins | None = None,
    on_return: OnReturn | None = None,
) -> Decision:
    return decide(
        challenger_ndcg=0.12345,
        over_popularity=over_popularity,
        champion=Comparison(CHAMPION_NDCG, lead, same_recipe, changed_data) if champion else None,
        on_return=on_return,
        held=held,
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
    decision = _decide(champion=False, over_popularity=_from(low))
    assert (decision.promoted, decision.outcome) == (promoted, outcome)
    assert "0.1235" in decision.reason or "0.1234" in decision.reason
    assert f"{low:+.4f}" in decision.reason


def test_the_reason_of_a_first_champion_begins_with_why_there_was_none() -> None:
    decision = decide(
        challenger_ndcg=0.1, over_popularity=ABOVE_POPULARITY, champion=None, why_none="The first champion of films"
    )
    assert decision.reason.startswith("The first champion of films. This version is clearly better than popularity")


@pytest.mark.parametrize(
    ("low", "changed_data", "promoted", "outcome"),
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
def test_another_recipe_is_judged_by_the_low_end_of_its_lead(
    low: float, changed_data: bool, promoted: bool, outcome: Outcome
) -> None:
    decision = _decide(_from(low), changed_data=changed_data)
    assert (decision.promoted, decision.outcome) == (promoted, outcome)


@pytest.mark.parametrize(("share", "improvement"), [(0.0099, False), (0.0101, True)])
def test_a_certain_lead_must_also_matter(share: float, improvement: bool) -> None:
    lead = Interval(share * CHAMPION_NDCG, STEP, 0.01)
    assert is_improvement(lead, CHAMPION_NDCG, 0.01) is improvement
    decision = _decide(lead, margins=Margins(improvement=0.01))
    assert decision.outcome == ("improvement" if improvement else "kept")
    assert improvement or "1.0% that matter" in decision.reason


def test_a_large_lead_that_may_be_chance_is_no_improvement() -> None:
    assert not is_improvement(Interval(0.3, -0.01, 0.6), CHAMPION_NDCG, 0.01)
    assert not _decide(Interval(0.3, -0.01, 0.6), changed_data=True).promoted


def test_an_improvement_need_not_be_compared_with_popularity() -> None:
    assert _decide(_from(0.001), over_popularity=_from(-0.5)).outcome == "improvement"


@pytest.mark.parametrize(
    ("low", "changed_data", "outcome"),
    [(0.1, True, "refresh"), (-0.015, True, "refresh"), (-0.1, True, "kept"), (0.1, False, "kept")],
)
def test_the_champions_recipe_is_never_an_improvement_and_a_refresh_unless_it_got_clearly_worse(
    low: float, changed_data: bool, outcome: Outcome
) -> None:
    assert _decide(_from(low), changed_data=changed_data, same_recipe=True).outcome == outcome


@pytest.mark.parametrize(("same_recipe", "outcome"), [(True, "refresh"), (False, "kept")])
def test_a_model_that_only_lost_what_was_withdrawn_is_not_refused_for_being_worse(
    same_recipe: bool, outcome: Outcome
) -> None:
    worse = Comparison(CHAMPION_NDCG, _from(-0.5), same_recipe, changed_data=True, only_removed=True)
    decision = decide(challenger_ndcg=0.1, over_popularity=ABOVE_POPULARITY, champion=worse)
    assert decision.outcome == outcome


@pytest.mark.parametrize("same_recipe", [True, False])
def test_a_refresh_must_be_ahead_of_popularity(same_recipe: bool) -> None:
    decision = _decide(_from(0.0), changed_data=True, same_recipe=same_recipe, over_popularity=BEHIND_POPULARITY)
    assert (decision.promoted, decision.outcome) == (False, "kept")
    assert "popularity" in decision.reason


def test_a_refresh_need_not_be_clearly_ahead_of_popularity_for_small_data_could_never_show_that() -> None:
    unclear = Interval(0.01, -0.01, 0.03)
    assert _decide(_from(0.0), changed_data=True, same_recipe=True, over_popularity=unclear).outcome == "refresh"


@pytest.mark.parametrize(
    ("changed_data", "same_recipe", "over_popularity", "outcome"),
    [
        (True, True, ABOVE_POPULARITY, "refresh"),
        (True, True, BEHIND_POPULARITY, "kept"),
        (True, False, ABOVE_POPULARITY, "kept"),
        (False, True, ABOVE_POPULARITY, "kept"),
    ],
)
def test_where_the_champion_cannot_be_compared_only_its_own_recipe_on_changed_data_follows_it(
    changed_data: bool, same_recipe: bool, over_popularity: Interval, outcome: Outcome
) -> None:
    decision = _decide(None, changed_data=changed_data, same_recipe=same_recipe, over_popularity=over_popularity)
    assert decision.outcome == outcome


@pytest.mark.parametrize("lead", [_from(0.5), _from(-0.5), None])
def test_what_is_held_is_kept_whatever_its_scores_are(lead: Interval | None) -> None:
    decision = _decide(lead, changed_data=True, held="version 7 was rolled back from")
    assert (decision.promoted, decision.outcome, decision.numbers[HELD]) == (False, "kept", 1.0)
    assert "version 7 was rolled back from" in decision.reason


@pytest.mark.parametrize(("over_popularity", "outcome"), [(ABOVE_POPULARITY, "refresh"), (BEHIND_POPULARITY, "kept")])
def test_the_champions_recipe_serves_changed_data_where_another_did_not_prove_itself(
    over_popularity: Interval, outcome: Outcome
) -> None:
    decision = decide_refit(over_popularity, challenger=12)
    assert decision.outcome == outcome
    assert decision.promoted is (outcome == "refresh")
    assert outcome == "kept" or "version 12" in decision.reason


def test_the_margin_of_a_refresh_can_be_set() -> None:
    difference = Interval(0.0, -0.05, 0.05)
    assert _decide(difference, changed_data=True, margins=Margins(refresh=0.06)).outcome == "refresh"
    assert _decide(difference, changed_data=True, margins=Margins(refresh=0.04)).outcome == "kept"


@pytest.mark.parametrize(("low", "changed"), [(0.0123, False), (-0.0012, True), (-0.0123, True), (-0.0123, False)])
def test_the_reason_gives_the_numbers(low: float, changed: bool) -> None:
    reason = _decide(Interval(0.0234, low, 0.0345), changed_data=changed).reason
    assert f"differs by +0.0234, 95 % {low:+.4f} to +0.0345" in reason


def test_a_kept_champion_says_whether_the_data_has_changed() -> None:
    worse = Interval(-0.1, -0.2, 0.0)
    assert "changed data, but" in _decide(worse, changed_data=True).reason
    assert "the same data" in _decide(worse, changed_data=False).reason


def test_the_numbers_hold_what_the_decision_rests_on() -> None:
    numbers = _decide(Interval(0.02, 0.01, 0.03)).numbers
    assert numbers["champion_ndcg_at_10"] == CHAMPION_NDCG
    assert (numbers["difference_low"], numbers["over_popularity_low"]) == (0.01, 0.04)
    assert (numbers["improvement_margin"], numbers["refresh_margin"]) == (Margins().improvement, REFRESH)


RETURN_NDCG = 0.08
_scores = st.floats(-1, 1, allow_nan=False)


@st.composite
def _intervals(draw: st.DrawFn) -> Interval:
    low, mean, high = sorted(draw(st.tuples(_scores, _scores, _scores)))
    return Interval(mean, low, high)


def _on_return(difference: Interval) -> OnReturn:
    return OnReturn(100, RETURN_NDCG + difference.mean, RETURN_NDCG, difference)


@given(
    lead=st.none() | _intervals(),
    over_popularity=_intervals(),
    changed_data=st.booleans(),
    loss=st.floats(IMPROVEMENT_MARGIN * RETURN_NDCG + STEP, 1),
    certainty=st.floats(STEP, 1),
)
def test_a_recipe_that_is_clearly_worse_on_return_is_never_promoted_whatever_it_gains_in_the_sitting(
    lead: Interval | None, over_popularity: Interval, changed_data: bool, loss: float, certainty: float
) -> None:
    difference = Interval(-loss, -2 * loss, -loss * min(certainty, 1 - STEP))
    decision = _decide(
        lead, changed_data=changed_data, over_popularity=over_popularity, on_return=_on_return(difference)
    )
    assert (decision.promoted, decision.outcome) == (False, "rejected")
    assert f"On return NDCG@10 differs by {difference.signed}" in decision.reason
    assert decision.numbers["return_difference_high"] == difference.high


@given(
    lead=st.none() | _intervals(),
    over_popularity=_intervals(),
    changed_data=st.booleans(),
    same_recipe=st.booleans(),
    difference=_intervals(),
)
def test_what_is_not_clearly_worse_on_return_is_decided_in_the_sitting(
    lead: Interval | None, over_popularity: Interval, changed_data: bool, same_recipe: bool, difference: Interval
) -> None:
    on_return = _on_return(difference)
    if on_return.clearly_worse():
        on_return = OnReturn(3)
    options = {"changed_data": changed_data, "same_recipe": same_recipe, "over_popularity": over_popularity}
    alone, beside = _decide(lead, **options), _decide(lead, on_return=on_return, **options)  # type: ignore[arg-type]
    assert (beside.promoted, beside.outcome) == (alone.promoted, alone.outcome)
    assert beside.reason == (alone.reason if same_recipe else f"{alone.reason} {on_return.sentence}")


def test_the_champions_recipe_on_changed_data_is_not_compared_on_return() -> None:
    worse = _on_return(Interval(-0.05, -0.06, -0.04))
    assert _decide(_from(0.0), changed_data=True, same_recipe=True, on_return=worse).outcome == "refresh"
    assert _decide(champion=False, on_return=worse).outcome == "first"


@pytest.mark.parametrize(
    ("difference", "worse"),
    [
        (Interval(-0.01, -0.02, -STEP), True),
        (Interval(-0.01, -0.02, 0.0), False),
        (Interval(-IMPROVEMENT_MARGIN * RETURN_NDCG, -0.02, -STEP), True),
        (Interval(-IMPROVEMENT_MARGIN * RETURN_NDCG + STEP, -0.02, -STEP), False),
        (Interval(0.0, 0.0, 0.0), False),
        (Interval(0.01, STEP, 0.02), False),
    ],
)
def test_a_loss_on_return_is_both_certain_and_large_enough(difference: Interval, worse: bool) -> None:
    assert _on_return(difference).clearly_worse() is worse
    # The mirror image: seen from the champion, the loss is an improvement.
    mirrored = Interval(-difference.mean, -difference.high, -difference.low)
    assert is_improvement(mirrored, RETURN_NDCG) is worse


@pytest.mark.parametrize("margin", [IMPROVEMENT_MARGIN, 0.05, 0.1, 1.0])
def test_who_asks_for_a_larger_lead_does_not_allow_a_larger_loss_on_return(margin: float) -> None:
    margins = Margins(improvement=margin)
    worse = _on_return(Interval(-0.03 * RETURN_NDCG, -0.003, -0.0018))
    for lead in (_from(0.001), _from(0.0)):
        decision = _decide(lead, changed_data=True, on_return=worse, margins=margins)
        assert (decision.promoted, decision.outcome) == (False, "rejected")
    assert _decide(_from(0.0), changed_data=True, margins=margins).promoted


def test_a_smaller_lead_that_matters_makes_a_smaller_loss_matter() -> None:
    loss = IMPROVEMENT_MARGIN * RETURN_NDCG / 2
    worse = _on_return(Interval(-loss, -2 * loss, -loss / 2))
    assert _decide(_from(0.001), on_return=worse).promoted
    assert not _decide(_from(0.001), on_return=worse, margins=Margins(improvement=IMPROVEMENT_MARGIN / 4)).promoted


def test_where_too_few_users_came_back_nothing_is_worse_and_the_reason_says_so() -> None:
    decision = _decide(_from(0.001), on_return=OnReturn(7))
    assert decision.outcome == "improvement"
    assert decision.reason.endswith("On return the recipes are not compared, because too few users came back (7).")
    assert decision.numbers["return_users"] == 7
