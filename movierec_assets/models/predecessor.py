"""The training state that the next training continues, as an artifact in MLflow.

Belongs here: writing the state to the run of a version and reading it, and which versions the next training continues.
Does not: whether a state is used (`recsys.warm_start`).
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from movierec_assets.models.decisions import Promotions
from movierec_assets.models.errors import VersionFilesError
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import Version
from movierec_assets.models.version_files import DAMAGED
from movierec_assets.recsys.training_state import Predecessor, TrainingState

STATE_FILE = "warm_start.npz"

_log = logging.getLogger(__name__)


def log_training_state(mlflow: Any, state: TrainingState) -> None:
    """Store a training state with the active MLflow run."""
    with tempfile.TemporaryDirectory(prefix="movierec-") as scratch:
        path = Path(scratch) / STATE_FILE
        np.savez(path, **cast(Any, state.to_arrays()))
        mlflow.log_artifact(str(path))


def predecessor_of(registry: ModelRegistry, version: Version) -> Predecessor | None:
    """The training that made a version; None when its run has no training state, or a damaged one."""
    if not any(item.path == STATE_FILE for item in registry.client.list_artifacts(version.run_id)):
        return None
    with tempfile.TemporaryDirectory(prefix="movierec-") as scratch:
        path = registry.file_of(version.run_id, STATE_FILE, scratch)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                state = TrainingState.from_arrays(arrays)
        except DAMAGED as error:
            _log.warning("%s of version %d is damaged (%s); nothing is continued.", STATE_FILE, version.number, error)
            return None
    model = registry.load(version)
    return Predecessor(version.recipe, model.ids, model.seen, state)


def kept_after(registry: ModelRegistry, promotions: Promotions, champion: Version) -> Version | None:
    """The latest version after the champion with its recipe, dataset and definition of a like, if it was kept.

    None without such a version, and where a check rejected it or it was promoted and rolled back.
    """

    def alike(version: Version) -> bool:
        return (
            version.number > champion.number
            and version.has_recipe
            and version.recipe == champion.recipe
            and version.dataset == champion.dataset
            and version.positive_threshold == champion.positive_threshold
        )

    latest = next(filter(alike, registry.versions()), None)
    if latest is None:
        return None
    decisions = [each for each in promotions.history(version=latest.number) if each.version == latest.number]
    return latest if decisions and all(each.outcome == "kept" for each in decisions) else None


def training_to_continue(registry: ModelRegistry, promotions: Promotions, champion: Version) -> Predecessor | None:
    """The champion's training, with the latest kept challenger's; None when the champion has no state."""
    before = predecessor_of(registry, champion)
    kept = None if before is None else kept_after(registry, promotions, champion)
    if before is None or kept is None:
        return before
    try:
        return replace(before, kept=predecessor_of(registry, kept))
    except (OSError, VersionFilesError):  # its files are gone, and it is not the version that is served
        return before
