"""Holds: training does not promote a recipe again that a person replaced, on the same likes.

Belongs here: the rows of holds, and what a hold covers. Does not: when holds are added and released
(`promotion_transaction`), the decision about a challenger on hold (`gate`, `recsys.promotion`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.models.version import POSITIVES_FINGERPRINT, Version
from movierec_assets.recsys.promotion import same_recipe
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.tables.database import SCHEMA

_TABLE = f"{SCHEMA}.promotion_holds"
_NAMES = (
    *("hold_id", "created_at", "decision_id", "model_version", "recipe", "positives_fingerprint", "dataset_id"),
    *("reason", "held_by"),
)
"""Columns of the table, in the order of the fields of `Hold`."""


@dataclass(frozen=True)
class Hold:
    """A recipe that training does not promote on the likes of the held version.

    Attributes
    ----------
    id : int
    created_at : datetime
    decision_id : int
        The rollback or the promotion by hand that replaced the version.
    version : int
        Champion that was replaced.
    recipe : Recipe
        Its recipe; the seed does not count.
    positives_fingerprint : str
        Hash of the likes it was trained on.
    dataset_id : int or None
        None where the version's dataset was not recorded.
    reason : str
    held_by : str
    """

    id: int
    created_at: datetime
    decision_id: int
    version: int
    recipe: Recipe
    positives_fingerprint: str
    dataset_id: int | None
    reason: str
    held_by: str

    def covers(self, recipe: Recipe, positives_fingerprint: str) -> bool:
        """Whether a model of this recipe and these likes is on hold."""
        return self.positives_fingerprint == positives_fingerprint and self.covers_recipe(recipe)

    def covers_recipe(self, recipe: Recipe) -> bool:
        """Whether this recipe is on hold for some likes."""
        return same_recipe(self.recipe, recipe)

    def covers_version(self, version: Version) -> bool:
        """Whether a version is on hold; False where its recipe or likes were not recorded."""
        fingerprint = version.tags.get(POSITIVES_FINGERPRINT)
        return version.has_recipe and fingerprint is not None and self.covers(version.recipe, fingerprint)

    def as_dict(self) -> dict[str, Any]:
        """Plain values under the table's names."""
        found = dict(zip(_NAMES, vars(self).values(), strict=True))
        return found | {"created_at": self.created_at.isoformat(), "recipe": self.recipe.as_dict()}


def unreleased(cursor: Cursor, dataset_id: int | None = None) -> list[Hold]:
    """Holds that nobody released, oldest first; only those on one dataset when it is given."""
    cursor.execute(
        f"SELECT {', '.join(_NAMES)} FROM {_TABLE} WHERE released_at IS NULL "
        "AND (%(dataset)s::integer IS NULL OR dataset_id IS NULL OR dataset_id = %(dataset)s) ORDER BY hold_id",
        {"dataset": dataset_id},
    )
    return [
        Hold(number, created, decision, version, Recipe.from_dict(recipe), *rest)
        for number, created, decision, version, recipe, *rest in cursor.fetchall()
    ]


def add(cursor: Cursor, version: Version, decision_id: int, reason: str, held_by: str) -> None:
    """Put a version on hold, unless it is already, or its recipe or likes were not recorded."""
    fingerprint = version.tags.get(POSITIVES_FINGERPRINT)
    if fingerprint is None or "recipe" not in version.tags:
        return
    if any(hold.covers_version(version) for hold in unreleased(cursor)):
        return
    dataset_id = version.dataset.id if version.dataset else None
    recipe = json.dumps(version.recipe.as_dict())
    cursor.execute(
        f"INSERT INTO {_TABLE} (decision_id, model_version, recipe, positives_fingerprint, dataset_id, reason, held_by)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [decision_id, version.number, recipe, fingerprint, dataset_id, reason, held_by],
    )


def release(cursor: Cursor, holds: Sequence[Hold], released_by: str) -> None:
    """Mark holds as released."""
    cursor.execute(
        f"UPDATE {_TABLE} SET released_at = clock_timestamp(), released_by = %s "
        "WHERE hold_id = ANY(%s) AND released_at IS NULL",
        [released_by, [hold.id for hold in holds]],
    )
