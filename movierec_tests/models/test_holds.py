"""A version that a person replaced is not promoted again by training, until the hold is released."""

from __future__ import annotations

from dataclasses import replace

import pytest

from movierec_assets.models.decisions import Promotions
from movierec_assets.models.errors import (
    NoSuchVersionError,
)
from movierec_assets.models.version import MODEL_NAME
from movierec_assets.recsys.promotion import Decision
from movierec_tests.defs.harness import Platform
from movierec_tests.models.harness import (
    BETTER,
    FIRST,
    KEPT,
    BreakingRegistry,
    carry_out,
    move_alias,
    promote_in_order,
    promotions_of,
    register,
)

pytestmark = pytest.mark.slow  # every test has a real MLflow and Postgres


def test_a_rollback_holds_back_the_recipe_it_went_back_from_on_its_data(platform: Platform) -> None:
    first, second = promote_in_order(platform, FIRST, BETTER)
    promotions = promotions_of(platform)
    assert promotions.holds() == []
    record = promotions.rollback("the lists are bad", "me")
    (hold,) = promotions.holds()
    assert (hold.version, hold.decision_id, hold.reason, hold.held_by) == (second, record.id, "the lists are bad", "me")
    recipe = platform.registry.version(second).recipe
    assert hold.covers(recipe, "2" * 8)
    assert hold.covers(replace(recipe, seed=77), "2" * 8), "a seed makes no other recipe"
    assert hold.covers_recipe(recipe)
    assert not hold.covers(recipe, "newer")
    assert not hold.covers(replace(recipe, factors=5), "2" * 8)
    assert not hold.covers_version(platform.registry.version(first))
    with promotions.transaction("test") as transaction:
        assert transaction.holds() == [hold]


def test_a_promotion_by_hand_and_a_move_in_mlflow_hold_back_the_replaced_version_and_decisions_of_the_gate_do_not(
    platform: Platform,
) -> None:
    first, second, third = promote_in_order(platform, FIRST, BETTER, BETTER)
    promotions = promotions_of(platform)
    carry_out(platform, register(platform), KEPT)
    assert promotions.holds() == []
    promotions.promote(first, "it was nicer", "me")
    move_alias(platform, second)
    promotions.note_outside_changes("sensor")
    assert [hold.version for hold in promotions.holds()] == [third, first]
    assert "moved to version 2 in MLflow" in promotions.holds()[1].reason


def test_a_version_on_hold_is_not_held_twice_and_a_promotion_by_hand_ends_the_hold(platform: Platform) -> None:
    one, other, again = (register(platform, seed=seed, data="same") for seed in (1, 2, 3))
    two = register(platform, data="newer")
    promotions = promotions_of(platform)
    for number in (one, two):
        carry_out(platform, number, BETTER)
    promotions.rollback("two is bad", "me")
    carry_out(platform, two, BETTER)
    promotions.rollback("two is still bad", "me")
    assert [(hold.version, hold.reason) for hold in promotions.holds()] == [(two, "two is bad")]
    promotions.promote(two, "two is good after all", "me")
    assert [hold.version for hold in promotions.holds()] == [one]
    promotions.promote(other, "the same as one but for the seed", "me")
    assert [hold.version for hold in promotions.holds()] == [two]
    promotions.release("me")
    promotions.promote(again, "a third seed", "me")
    assert promotions.holds() == [], "it replaced the recipe and data that it has itself"


def test_holds_are_released_all_or_by_version_or_by_a_version_that_they_cover(platform: Platform) -> None:
    first, second, third = promote_in_order(platform, FIRST, BETTER, BETTER)
    promotions = promotions_of(platform)
    for reason in ("third", "second"):
        promotions.rollback(reason, "me")
    assert promotions.release("me", first) == []
    twin = register(platform, seed=9, data="2" * 8)
    assert [hold.version for hold in promotions.release("me", twin)] == [second]
    with pytest.raises(NoSuchVersionError):
        promotions.release("me", 99)
    assert [hold.version for hold in promotions.release("you")] == [third]
    assert promotions.release("me") == promotions.holds() == []
    rows = platform.database.rows("SELECT model_version, released_by FROM movierec.promotion_holds ORDER BY hold_id")
    assert rows == [(third, "you"), (second, "me")]


def test_a_hold_is_written_with_the_decision_also_when_a_killed_process_left_that_pending(platform: Platform) -> None:
    first, second = promote_in_order(platform, FIRST, BETTER)
    registry = BreakingRegistry.of(platform.settings)
    registry.breaks = "tags"
    with pytest.raises(ConnectionError), Promotions(registry, platform.database).transaction("me") as transaction:
        transaction.carry_out(first, Decision(True, "rollback", "bad"))
    assert promotions_of(platform).holds() == []
    with promotions_of(platform).transaction("next") as transaction:
        assert [(hold.version, hold.reason) for hold in transaction.holds()] == [(second, "bad")]


def test_a_hold_outlives_the_version(platform: Platform) -> None:
    first, second = promote_in_order(platform, FIRST, BETTER)
    recipe = platform.registry.version(second).recipe
    move_alias(platform, first)
    platform.registry.client.delete_model_version(MODEL_NAME, str(second))
    promotions = promotions_of(platform)
    promotions.note_outside_changes("sensor")
    (hold,) = promotions.holds()
    assert hold.covers(recipe, "2" * 8)
