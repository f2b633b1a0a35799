"""Recipes that searches found: where the winner is kept, and where trials are.

Belongs here: the table of winners and the place of Optuna's tables. Searching is in `recsys.search`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import make_url

from movierec_assets.recsys.als import Recipe
from movierec_assets.resources.database import SCHEMA, Database

TRIALS_SCHEMA = "optuna"


@dataclass(frozen=True)
class ChosenRecipe:
    """A recipe and where it comes from.

    Attributes
    ----------
    recipe : Recipe
    source : str
        `built-in`, or `search N`.
    """

    recipe: Recipe
    source: str


def latest_recipe(database: Database) -> ChosenRecipe:
    """The winner of the last search, or the built-in recipe when there was none."""
    found = database.rows(f"SELECT search_id, recipe FROM {SCHEMA}.searches ORDER BY search_id DESC LIMIT 1")
    if not found:
        return ChosenRecipe(Recipe(), "built-in")
    search_id, recipe = found[0]
    return ChosenRecipe(Recipe.from_dict(recipe), f"search {search_id}")


def record_search(database: Database, recipe: Recipe, details: Mapping[str, Any], dagster_run_id: str) -> int:
    """Keep a winner; returns the number of the search."""
    found = database.rows(
        f"INSERT INTO {SCHEMA}.searches (recipe, details, dagster_run_id) VALUES (%s, %s, %s) RETURNING search_id",
        [json.dumps(recipe.as_dict()), json.dumps(dict(details)), dagster_run_id],
    )
    return int(found[0][0])


def trials_url(database: Database) -> str:
    """SQLAlchemy URL for Optuna's storage: tables of their own schema in the same database, made if need be."""
    with database.transaction() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('movierec.optuna'))")
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {TRIALS_SCHEMA}")
    url = make_url(database.url).set(drivername="postgresql+psycopg2")
    return url.update_query_dict({"options": f"-csearch_path={TRIALS_SCHEMA}"}).render_as_string(hide_password=False)
