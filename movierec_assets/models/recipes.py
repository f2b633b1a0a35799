"""Recipes that searches found, and the recipe of the next training.

Belongs here: the table of winners, the choice between a winner and the champion's recipe, and the schema of Optuna's
tables. Does not: searching (`recsys.search`), a search in MLflow (`search_log`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import make_url

from movierec_assets.models.decisions import Promotions
from movierec_assets.models.version import Version
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.promotion import same_recipe
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.known_datasets import DatasetRef

TRIALS_SCHEMA = "optuna"


@dataclass(frozen=True)
class ChosenRecipe:
    """A recipe and its source.

    Attributes
    ----------
    recipe : Recipe
    source : str
        `built-in`, `search N`, or `champion N` with the reason why it is tried again; then numbers chosen by hand.
    """

    recipe: Recipe
    source: str


def latest_recipe(database: Database, dataset: DatasetRef | None, threshold: float | None) -> ChosenRecipe:
    """The winner of the last search on this dataset and definition of a like; the built-in recipe without a search."""
    found = database.rows(
        f"""SELECT search_id, recipe FROM {SCHEMA}.searches
            WHERE dataset_id IS NOT DISTINCT FROM %s AND positive_threshold IS NOT DISTINCT FROM %s::real
            ORDER BY search_id DESC LIMIT 1""",
        [dataset.id if dataset else None, threshold],
    )
    if not found:
        return ChosenRecipe(Recipe(), "built-in")
    search_id, recipe = found[0]
    return ChosenRecipe(Recipe.from_dict(recipe), f"search {search_id}")


def recipe_to_try(
    database: Database,
    promotions: Promotions,
    champion: Version | None,
    dataset: DatasetRef | None,
    threshold: float | None,
) -> ChosenRecipe:
    """The recipe of the next training.

    It is the winner of the last search, or the built-in recipe without a search. It is the champion's recipe when that
    winner is held back, or was scored beside the champion's recipe before and not promoted: until another search finds
    a better recipe, trainings refresh the champion.
    """
    chosen = latest_recipe(database, dataset, threshold)
    if champion is None or same_recipe(champion.recipe, chosen.recipe):
        return chosen
    if any(hold.covers_recipe(chosen.recipe) for hold in promotions.holds(dataset.id if dataset else None)):
        return ChosenRecipe(champion.recipe, f"champion {champion.number}, for the recipe of {chosen.source} is held")
    champions = promotions.kept_by_score()
    for version in promotions.registry.versions():
        # The number of a search stands for its dataset and definition of a like as well. A release may bring another
        # built-in recipe, which was not tried yet.
        tried = version.tags.get("recipe_source") == chosen.source and same_recipe(version.recipe, chosen.recipe)
        against = champions.get(version.number) if tried else None
        beside = None if against is None else promotions.registry.find(against)
        if beside is not None and same_recipe(beside.recipe, champion.recipe):
            return ChosenRecipe(
                champion.recipe,
                f"champion {champion.number}, for the recipe of {chosen.source} did not prove itself as version "
                f"{version.number}",
            )
    return chosen


def changed_by_hand(chosen: ChosenRecipe, numbers: Mapping[str, Any]) -> ChosenRecipe:
    """A recipe with some numbers of a person's choice, named as in `Recipe.as_dict`; the recipe itself without any.

    Raises
    ------
    RecsysError
        When a recipe has no such number, or it has a wrong value.
    """
    if not numbers:
        return chosen
    flat = chosen.recipe.as_dict()
    unknown = sorted(numbers.keys() - flat.keys())
    if unknown:
        raise RecsysError(f"A recipe has no {', '.join(unknown)}; it has {', '.join(sorted(flat))}.")
    listed = ", ".join(f"{name} {value}" for name, value in sorted(numbers.items()))
    return ChosenRecipe(Recipe.from_dict(flat | dict(numbers)), f"{chosen.source}, by hand {listed}")


def record_search(
    database: Database,
    recipe: Recipe,
    details: Mapping[str, Any],
    dagster_run_id: str,
    dataset: DatasetRef | None = None,
    threshold: float | None = None,
) -> int:
    """Store a winner with the dataset and the definition of a like of its search; returns the number of the search."""
    found = database.rows(
        f"""INSERT INTO {SCHEMA}.searches (recipe, details, dagster_run_id, dataset_id, positive_threshold)
            VALUES (%s, %s, %s, %s, %s) RETURNING search_id""",
        [
            json.dumps(recipe.as_dict()),
            json.dumps(dict(details)),
            dagster_run_id,
            dataset.id if dataset else None,
            threshold,
        ],
    )
    return int(found[0][0])


def trials_url(database: Database) -> str:
    """SQLAlchemy URL for Optuna's storage: tables of their own schema in the same database."""
    url = make_url(database.url).set(drivername="postgresql+psycopg2")
    return url.update_query_dict({"options": f"-csearch_path={TRIALS_SCHEMA}"}).render_as_string(hide_password=False)
