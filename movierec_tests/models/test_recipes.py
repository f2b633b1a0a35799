"""Winners of searches stay with the dataset and the definition of a like that they were found on."""

from __future__ import annotations

from movierec_assets.models.recipes import latest_recipe, record_search
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.tables.database import Database
from movierec_assets.tables.known_datasets import DatasetRef

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
