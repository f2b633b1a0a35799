"""Versions that a person rolled back, in the next runs of the platform."""

from __future__ import annotations

from pathlib import Path

import pytest

from movierec_assets.models.decisions import Promotions
from movierec_assets.models.recipes import record_search
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.tables.known_datasets import loaded_dataset
from movierec_tests.journeys.conftest import Traveller, new_ratings, rewrite

pytestmark = pytest.mark.slow


def _promotions(traveller: Traveller) -> Promotions:
    return Promotions(traveller.platform.registry, traveller.platform.database)


def test_a_model_that_was_rolled_back_is_not_back_the_night_after(traveller: Traveller, demo_copy: Path) -> None:
    rewrite(demo_copy, lambda lines: [*lines, *new_ratings(demo_copy, 25, day=1)])
    assert traveller.run(demo_copy)["champion_model"]["outcome"] == "refresh"
    _promotions(traveller).rollback("the lists are bad", "Ann")
    assert traveller.champion.number == 1

    night = traveller.run(demo_copy)["champion_model"]
    assert (night["challenger_outcome"], traveller.champion.number) == ("kept", 1)
    assert "version 2, of the same recipe, is held back" in night["challenger_reason"]
    assert "the lists are bad" in night["challenger_reason"]
    assert "movierec model release 2" in night["challenger_reason"]
    traveller.require_right_lists(demo_copy)

    # After a search, the champion's recipe on changed data is the held version; it does not come back.
    database = traveller.platform.database
    record_search(database, Recipe(factors=24, iterations=6), {}, "run", loaded_dataset(database), 4.0)
    searched = traveller.run(demo_copy)
    assert searched["champion_refit"]["model_version"] == 2
    assert "version 2, of the same recipe, is held back" in searched["champion_model"]["reason"]
    assert traveller.champion.number == 1

    rewrite(demo_copy, lambda lines: [*lines, *new_ratings(demo_copy, 25, day=2)])
    newer = traveller.run(demo_copy)["champion_model"]
    assert newer["outcome"] == "refresh"
    assert "Version 2 of the same recipe is held back, but the data has changed since" in newer["reason"]
    traveller.require_right_lists(demo_copy)


def test_a_recipe_that_was_rolled_back_stays_away_until_it_is_released_and_new_ratings_are_served_all_the_same(
    traveller: Traveller, demo_copy: Path
) -> None:
    database = traveller.platform.database
    found = Recipe(factors=32, alpha=3.0)
    record_search(database, found, {}, "run", loaded_dataset(database), 4.0)
    second = traveller.run(demo_copy)["als_model"]["model_version"]
    promotions = _promotions(traveller)
    if traveller.champion.number != second:
        promotions.promote(second, "to try it", "Ann")
        promotions.release("Ann")
    promotions.rollback("the lists are bad", "Ann")
    assert traveller.champion.number == 1

    rewrite(demo_copy, lambda lines: [*lines, *new_ratings(demo_copy, 25, day=1)])
    night = traveller.run(demo_copy)
    assert "the recipe of search 1 is held" in night["als_model"]["recipe_source"]
    assert night["champion_model"]["outcome"] == "refresh"
    assert traveller.champion.recipe == Recipe()
    traveller.require_right_lists(demo_copy)

    promotions.release("Ann")
    assert promotions.holds() == []


def test_a_rollback_to_another_definition_of_a_like_holds(
    traveller: Traveller, demo_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIEREC_POSITIVE_THRESHOLD", "3")
    assert traveller.run(demo_files)["champion_model"]["outcome"] == "first"
    _promotions(traveller).rollback("three stars is bad", "Ann")
    night = traveller.run(demo_files)["champion_model"]
    assert (night["outcome"], traveller.champion.number) == ("kept", 1)
    traveller.require_right_lists(demo_files)
