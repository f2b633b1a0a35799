"""When the registry's file for workers is written again, and the process that writes it.

Belongs here: what changes with the contents, and writing them once. Does not: the contents (`registry_view`).

`python -m movierec_assets.serving.online.registry_watch` writes the file: MLflow's client, which that imports, takes
more memory than everything else of the keeper.
"""

from __future__ import annotations

import time
from typing import Any

from movierec_assets.garbage import collect_rarely
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import CHALLENGER
from movierec_assets.models.version_details import KnownVersions
from movierec_assets.serving.online.errand import end_with_parent, explained
from movierec_assets.serving.online.registry_view import RegistryView
from movierec_assets.settings import get_settings
from movierec_assets.tables.database import SCHEMA, Database

_CHANGES = f"""
    SELECT (SELECT coalesce(max(decision_id), 0) FROM {SCHEMA}.promotion_decisions),
           (SELECT count(*) FROM {SCHEMA}.promotion_decisions WHERE state = 'pending'),
           (SELECT count(*) FROM {SCHEMA}.promotion_holds WHERE released_at IS NULL)
"""


def key(registry: ModelRegistry, database: Database) -> list[Any]:
    """What changes with the contents, besides the champion: the challenger's number, decisions and holds."""
    challenger = registry.by_alias(CHALLENGER)
    return [challenger.number if challenger else None, *database.rows(_CHANGES)[0]]


def main() -> None:
    """Write the file."""
    collect_rarely()
    settings = get_settings()
    promotions = Promotions(ModelRegistry.of(settings), Database(settings.databases.ratings))
    RegistryView.of(KnownVersions(promotions), time.time()).write(settings)


if __name__ == "__main__":
    end_with_parent()
    explained(main)
