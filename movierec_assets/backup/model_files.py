"""The model files that a backup needs: those of versions that have an alias, or that a decision or a hold names.

Belongs here: finding their directories in MLflow's database, as it is at one moment. Does not: the files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movierec_assets.models.artifact_locations import local_path
from movierec_assets.models.decision_history import SINCE_DELETION, TABLE
from movierec_assets.models.version import CHAMPION, DATASET, MODEL_NAME
from movierec_assets.sql import SCHEMA

Rows = Callable[[str, Any], list[tuple[Any, ...]]]

_NAMED = f"""
SELECT model_version FROM {TABLE} WHERE {SINCE_DELETION}
UNION SELECT previous_champion FROM {TABLE} WHERE {SINCE_DELETION} AND previous_champion IS NOT NULL
UNION SELECT model_version FROM {SCHEMA}.promotion_holds
"""
_NEEDED = """
SELECT v.version, v.run_id, v.source, v.storage_location FROM model_versions v
WHERE v.name = %(model)s AND coalesce(v.current_stage, '') <> 'Deleted_Internal' AND (
    v.version = ANY(%(named)s)
    OR EXISTS (SELECT FROM registered_model_aliases a WHERE a.name = v.name AND a.version = v.version)
)
ORDER BY v.version
"""
_LOGGED = "SELECT artifact_location FROM logged_models WHERE model_id = ANY(%s)"
_RUNS = """
SELECT r.artifact_uri FROM runs r WHERE r.artifact_uri IS NOT NULL AND (
    r.run_uuid = ANY(%s)
    OR NOT EXISTS (SELECT FROM logged_models l WHERE l.source_run_id = r.run_uuid)
    AND NOT EXISTS (SELECT FROM model_versions v WHERE v.run_id = r.run_uuid)
)
"""
_CHAMPION = """
SELECT a.version, t.value FROM registered_model_aliases a
LEFT JOIN model_version_tags t ON t.name = a.name AND t.version = a.version AND t.key = %s
WHERE a.name = %s AND a.alias = %s
"""
_LOGGED_MODEL = "models:/"


@dataclass(frozen=True)
class ModelFiles:
    """Places of needed model files.

    Attributes
    ----------
    versions : tuple of int
    uris : tuple of str
        Of the directories of these versions and their runs, and of runs without a model.
    champion : int or None
    champion_dataset : str or None
    """

    versions: tuple[int, ...] = ()
    uris: tuple[str, ...] = ()
    champion: int | None = None
    champion_dataset: str | None = None

    def directories(self, artifacts: Path) -> list[Path]:
        """The directories that are in the directory of artifacts."""
        found = {local_path(uri, artifacts) for uri in self.uris}
        return sorted(
            path for path in found if path is not None and path != artifacts and path.is_relative_to(artifacts)
        )


def model_files(ratings: Rows, mlflow: Rows | None) -> ModelFiles:
    """Find the needed model files.

    Parameters
    ----------
    ratings, mlflow : callable
        Run a query on the ratings database and on MLflow's; None where MLflow is a server of one's own, which has the
        files.
    """
    if mlflow is None:
        return ModelFiles()
    named = [number for (number,) in ratings(_NAMED, ())]
    needed = mlflow(_NEEDED, {"model": MODEL_NAME, "named": named})
    logged = [
        source.removeprefix(_LOGGED_MODEL) for _, _, source, _ in needed if source and source.startswith(_LOGGED_MODEL)
    ]
    uris = [uri for _, _, *places in needed for uri in places if uri and not uri.startswith(_LOGGED_MODEL)]
    uris += [uri for (uri,) in mlflow(_LOGGED, [logged])]
    uris += [uri for (uri,) in mlflow(_RUNS, [[run_id for _, run_id, _, _ in needed]])]
    champion = mlflow(_CHAMPION, [DATASET, MODEL_NAME, CHAMPION])
    version, dataset = champion[0] if champion else (None, None)
    return ModelFiles(tuple(version for version, *_ in needed), tuple(dict.fromkeys(uris)), version, dataset)
