"""The training that the next one goes on from, kept beside the model in MLflow.

Belongs here: writing and reading `recsys.warm_start.Legacy` as an artifact of the run that made a version. Whether it
is used is decided in `recsys.warm_start`.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from movierec_assets.recsys.warm_start import Legacy, Predecessor
from movierec_assets.resources.registry import DAMAGED, ModelRegistry, Version

LEGACY_FILE = "warm_start.npz"

_log = logging.getLogger(__name__)


def log_legacy(mlflow: Any, legacy: Legacy) -> None:
    """Keep what the next training needs with the active MLflow run."""
    with tempfile.TemporaryDirectory(prefix="movierec-") as scratch:
        path = Path(scratch) / LEGACY_FILE
        with path.open("wb") as file:
            arrays: dict[str, Any] = dict(legacy.to_arrays())
            np.savez(file, **arrays)
        mlflow.log_artifact(str(path))


def predecessor_of(registry: ModelRegistry, champion: Version) -> Predecessor | None:
    """The training that made the champion; None when its run kept nothing to go on from, or that is damaged."""
    if not any(item.path == LEGACY_FILE for item in registry.client.list_artifacts(champion.run_id)):
        return None
    with tempfile.TemporaryDirectory(prefix="movierec-") as scratch:
        path = registry.client.download_artifacts(champion.run_id, LEGACY_FILE, scratch)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                legacy = Legacy.from_arrays(arrays)
        except DAMAGED as error:
            _log.warning("%s of version %d is damaged (%s); nothing is continued.", LEGACY_FILE, champion.number, error)
            return None
    model = registry.load(champion)
    return Predecessor(champion.recipe, model.ids, model.seen, legacy)
