"""One platform over several datasets and days: the champion belongs to the loaded dataset."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from movierec_assets.models.recipes import record_search
from movierec_assets.recsys.recipe import Recipe, without_signal
from movierec_assets.tables.database import SCHEMA
from movierec_assets.tables.known_datasets import loaded_dataset
from movierec_tests.journeys.conftest import DAY, Traveller, new_ratings, rewrite

pytestmark = pytest.mark.slow


def test_demo_other_demo_other_each_is_served_by_its_own_champion(
    traveller: Traveller, demo_files: Path, other_files: Path
) -> None:
    first = traveller.days[0]["champion_model"]
    assert (first["outcome"], traveller.champion.number) == ("first", 1)
    traveller.require_right_lists(demo_files)

    second = traveller.run(other_files)
    assert second["als_model"]["start"].startswith("cold")
    assert second["champion_model"]["outcome"] == "first"
    assert (
        "The first champion of other (dataset 2); version 1 is of demo (dataset 1)"
        in second["champion_model"]["reason"]
    )
    assert traveller.champion.number == 2
    traveller.require_right_lists(other_files)

    third = traveller.run(demo_files)["champion_model"]
    assert (third["outcome"], third["challenger_version"]) == ("returned", 1)
    assert "instead of version 2 of other (dataset 2). Nothing has changed since it was trained" in third["reason"]
    assert traveller.champion.number == 1
    traveller.require_right_lists(demo_files)

    fourth = traveller.run(other_files)["champion_model"]
    assert (fourth["outcome"], traveller.champion.number) == ("returned", 2)
    traveller.require_right_lists(other_files)


def test_another_definition_of_a_like_is_another_learning_problem(
    traveller: Traveller, demo_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIEREC_POSITIVE_THRESHOLD", "3")
    second = traveller.run(demo_files)
    assert second["als_model"]["start"].startswith("cold")
    assert second["champion_model"]["outcome"] == "first"
    assert "where 3 stars are a like" in second["champion_model"]["reason"]
    assert traveller.champion.positive_threshold == 3.0
    monkeypatch.setenv("MOVIEREC_POSITIVE_THRESHOLD", "4")
    # Histories are read by the served version's definition of a like, not by the setting.
    likes = traveller.platform.database.scalar(
        f"SELECT count(DISTINCT user_id) FROM {SCHEMA}.ratings WHERE rating >= 3"
    )
    published = traveller.run(demo_files, "publish")["user_recommendations"]
    assert published["users"] - published["users_without_likes"] == likes
    third = traveller.run(demo_files)["champion_model"]
    assert (third["outcome"], traveller.champion.number) == ("returned", 1)
    traveller.require_right_lists(demo_files)


def test_five_days_of_appended_withdrawn_and_corrected_ratings_are_served_day_by_day(
    traveller: Traveller, demo_copy: Path
) -> None:
    def appended(day: int, lines: list[str]) -> list[str]:
        return [*lines, *new_ratings(demo_copy, 25, day=day)]

    def day_after(change: Callable[[list[str]], list[str]]) -> None:
        """Run on the changed file; its ratings are learned and served."""
        rewrite(demo_copy, change)
        after = traveller.run(demo_copy)
        assert after["champion_model"]["outcome"] == "refresh", after["champion_model"]["reason"]
        assert traveller.champion.number == after["als_model"]["model_version"]
        traveller.require_right_lists(demo_copy)

    def withdraw(lines: list[str]) -> list[str]:
        return [line for line in lines if int(line.split(",")[0]) > 6]

    def correct(lines: list[str]) -> list[str]:
        """Make the latest like ten years older."""
        rows = [line.split(",") for line in lines]
        wrong = max((row for row in rows if float(row[2]) >= 4), key=lambda row: int(row[3]))
        wrong[3] = str(int(wrong[3]) - 3650 * DAY)
        return [",".join(row) for row in rows]

    for day in (1, 2):
        day_after(partial(appended, day))
    day_after(withdraw)
    model = traveller.platform.registry.load(traveller.champion)
    assert not {1, 2, 3, 4, 5, 6} & set(model.ids.user_ids.tolist())
    assert traveller.served(3) == []
    day_after(correct)
    day_after(partial(appended, 5))


def test_new_ratings_are_served_although_a_searched_recipe_does_not_prove_itself(
    traveller: Traveller, demo_copy: Path
) -> None:
    database = traveller.platform.database
    # Without the next-movie signal, a recipe is no better in the sitting, and the same for people who come back.
    record_search(database, without_signal(Recipe()), {}, "run", loaded_dataset(database), 4.0)
    rewrite(demo_copy, lambda lines: [*lines, *new_ratings(demo_copy, 25, day=1)])
    first = traveller.run(demo_copy)
    assert first["als_model"]["recipe_source"] == "search 1"
    assert first["champion_model"]["challenger_outcome"] == "kept"
    assert first["champion_model"]["outcome"] == "refresh"
    assert "did not prove itself" in first["champion_model"]["reason"]
    assert traveller.champion.number == first["champion_refit"]["model_version"]
    assert traveller.champion.recipe == Recipe()
    traveller.require_right_lists(demo_copy)
    # The searched recipe was tried once. From the next day on, the champion's recipe is trained.
    rewrite(demo_copy, lambda lines: [*lines, *new_ratings(demo_copy, 25, day=2)])
    second = traveller.run(demo_copy)
    assert second["als_model"]["recipe_source"].startswith("champion 3, for the recipe of search 1 did not prove")
    assert second["champion_model"]["outcome"] == "refresh"
    assert traveller.champion.number == second["als_model"]["model_version"]
    traveller.require_right_lists(demo_copy)
