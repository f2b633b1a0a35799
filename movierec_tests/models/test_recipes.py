"""Winners of searches stay with the dataset and the definition of a like that they were found on."""

from __future__ import annotations

import json

import pytest

from movierec_assets.models.recipes import (
    ChosenRecipe,
    changed_by_hand,
    latest_recipe,
    recipe_to_try,
    record_search,
)
from movierec_assets.models.version import MODEL_NAME
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.tables.database import Database
from movierec_assets.tables.known_datasets import DatasetRef
from movierec_tests.defs.harness import Platform
from movierec_tests.models.harness import FIRST, KEPT, carry_out, promotions_of, register

OURS, THEIRS = DatasetRef(1, "ours"), DatasetRef(2, "theirs")


def test_without_a_search_the_built_in_recipe_is_tried(database: Database) -> None:
    assert latest_recipe(database, OURS, 4.0).recipe == Recipe()


def test_the_last_winner_is_tried_on_its_own_dataset_and_kind_of_likes_only(database: Database) -> None:
    first, second, third = (Recipe(factors=factors) for factors in (16, 24, 32))
    record_search(database, first, {}, "run", OURS, 4.0)
    record_search(database, second, {}, "run", OURS, 4.0)
    record_search(database, third, {}, "run", THEIRS, 4.0)
    found = latest_recipe(database, OURS, 4.0)
    assert (found.recipe, found.source) == (second, "search 2")
    assert latest_recipe(database, THEIRS, 4.0).recipe == third
    assert latest_recipe(database, OURS, 3.0).source == "built-in"
    assert latest_recipe(database, DatasetRef(3, "others"), 4.0).source == "built-in"


def test_a_recipe_with_numbers_chosen_by_hand_says_so_and_keeps_the_others() -> None:
    chosen = ChosenRecipe(Recipe(factors=24, seed=3), "search 2")
    assert changed_by_hand(chosen, {}) is chosen
    found = changed_by_hand(chosen, {"next_movie_weight": 0, "factors": 16})
    assert found.source == "search 2, by hand factors 16, next_movie_weight 0"
    assert found.recipe.as_dict() == chosen.recipe.as_dict() | {"factors": 16, "next_movie_weight": 0.0}
    with pytest.raises(RecsysError, match="A recipe has no epochs; it has alpha"):
        changed_by_hand(chosen, {"epochs": 3})
    with pytest.raises(RecsysError, match="Not a recipe"):
        changed_by_hand(chosen, {"factors": "many"})


@pytest.mark.slow
def test_a_built_in_recipe_that_was_kept_is_tried_again_only_when_a_release_changes_it(platform: Platform) -> None:
    promotions, client = promotions_of(platform), platform.registry.client
    champion, challenger = register(platform, seed=1), register(platform, seed=2)
    carry_out(platform, champion, FIRST)
    carry_out(platform, challenger, KEPT)
    found = platform.registry.version(champion)

    def next_recipe(tried: Recipe) -> str:
        client.set_model_version_tag(MODEL_NAME, str(challenger), "recipe_source", "built-in")
        client.set_model_version_tag(MODEL_NAME, str(challenger), "recipe", json.dumps(tried.as_dict()))
        return recipe_to_try(platform.database, promotions, found, None, None).source

    assert "the recipe of built-in did not prove itself as version 2" in next_recipe(Recipe(seed=9))
    assert next_recipe(Recipe(alpha=77.0)) == "built-in"
