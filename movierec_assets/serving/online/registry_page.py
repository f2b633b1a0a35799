"""Versions of the model, decisions and holds, as a file for workers, who do not import MLflow.

Belongs here: the contents of `registry.json`, and when they change. Does not: when they are written (`keeper`).

`python -m movierec_assets.serving.online.registry_page` writes the file once.
"""

from __future__ import annotations

import time
from typing import Any

from movierec_assets.models.decisions import Promotions
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import CHALLENGER, CHAMPION
from movierec_assets.models.version_summaries import VersionSummaries
from movierec_assets.serving.online import stored
from movierec_assets.serving.online.errand import end_with_parent, explained
from movierec_assets.settings import get_settings
from movierec_assets.tables.database import SCHEMA, Database

VERSIONS, DECISIONS = 100, 200
"""The newest of each that are listed; versions with an alias are listed always."""

_CHANGES = f"""
    SELECT (SELECT coalesce(max(decision_id), 0) FROM {SCHEMA}.promotion_decisions),
           (SELECT count(*) FROM {SCHEMA}.promotion_decisions WHERE state = 'pending'),
           (SELECT count(*) FROM {SCHEMA}.promotion_holds WHERE released_at IS NULL)
"""


def key(registry: ModelRegistry, database: Database) -> list[Any]:
    """What changes with the contents: the challenger's number, decisions and holds."""
    challenger = registry.by_alias(CHALLENGER)
    return [challenger.number if challenger else None, *database.rows(_CHANGES)[0]]


def contents(registry: ModelRegistry, promotions: Promotions) -> dict[str, Any]:
    """The contents of the file.

    Returns
    -------
    dict
        `written_at` in Unix seconds; `champion`, the number of a version or None; `loss`, how it was lost, for people,
        or None; `versions`, newest first, each as `movierec model show --json` prints it; `decisions` and `holds`,
        as their tables name the columns.
    """
    summaries = VersionSummaries(registry, promotions)
    with registry.reachable():
        champion, loss = registry.by_alias(CHAMPION), promotions.loss()
        versions = [summaries.details_of(summary).as_dict() for summary in summaries.newest(VERSIONS)]
    return {
        "written_at": time.time(),
        "champion": champion.number if champion else None,
        "loss": None if loss is None else str(loss),
        "versions": versions,
        "decisions": [record.as_dict() for record in promotions.history(DECISIONS)],
        "holds": [hold.as_dict() for hold in promotions.holds()],
    }


def main() -> None:
    """Write the file."""
    settings = get_settings()
    registry = ModelRegistry.of(settings)
    promotions = Promotions(registry, Database(settings.databases.ratings))
    path = stored.directory_of(settings.state) / stored.REGISTRY
    stored.write_json(path, contents(registry, promotions))


if __name__ == "__main__":
    end_with_parent()
    explained(main)
