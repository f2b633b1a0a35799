"""Learning curves of the last warm start and of a cold start on the same ratings, scored on all validation users.

Belongs here: the comparison for a continued fit. Training itself scores a sample of the users. That is enough to see
whether another iteration gains anything, but only all users show which of two fits is better.

    python -m movierec_tests.benchmarks.learning_curves STORAGE_DIR RESULT_JSON
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from movierec_assets.defs.preprocessing import ids_from
from movierec_assets.host.environment import running_databases
from movierec_assets.models.predecessor import predecessor_of
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.recsys import als
from movierec_assets.recsys.interactions import IdMaps
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.split import Split
from movierec_assets.recsys.training_state import LearningCurve, TrainingState
from movierec_assets.recsys.warm_start import fit_and_score, matched, validation_ndcg
from movierec_assets.settings import get_settings
from movierec_tests.benchmarks.bare_fit import stored_split


@dataclass(frozen=True)
class WarmStartComparison:
    """Validation NDCG@10 of all users, for fits on the training part.

    Attributes
    ----------
    warm : list of float
        After each iteration of the warm start, until no iteration gains anything.
    cold : float
        After the last iteration of the cold start.
    cold_iterations : int
    """

    warm: list[float]
    cold: float
    cold_iterations: int

    @property
    def iterations_to_cold(self) -> int | None:
        """Iterations after which the warm start is as good as the cold one at its end; None when it never is."""
        return LearningCurve(tuple(self.warm)).reaches(self.cold)


def compare(
    split: Split, ids: IdMaps, recipe: Recipe, before: TrainingState, last: TrainingState
) -> WarmStartComparison | None:
    """Repeat the last training's fit on the training part, and fit the same part from a cold start.

    Parameters
    ----------
    split : Split
        Of the last training.
    ids : IdMaps
    recipe : Recipe
    before, last : TrainingState
        Left by the training before and by the last one.

    Returns
    -------
    WarmStartComparison or None
        None when the last training did not continue the one before, or the one before made no fit on the training
        part.
    """
    if before.validation is None or last.warm_in_a_row != before.warm_in_a_row + 1:
        return None
    task = split.task("validation")
    _, warm = fit_and_score(
        task, ids, recipe, matched(before, before.validation, ids, recipe), als.fit, max_users=len(task.users)
    )
    cold = als.fit(task.train, recipe)
    return WarmStartComparison([*warm.ndcg], validation_ndcg(cold, task, recipe), recipe.iterations)


def _last_two() -> tuple[Recipe, TrainingState, TrainingState]:
    with running_databases(get_settings()) as settings:
        registry = ModelRegistry.of(settings)
        number = max(version.number for version in registry.versions())
        before, last = (predecessor_of(registry, registry.version(each)) for each in (number - 1, number))
    assert before is not None
    assert last is not None
    return last.recipe, before.state, last.state


def main(storage: str, result: str) -> None:
    """Fit both in the workspace and write their curves, or null."""
    directory = Path(storage)
    ids = ids_from(pd.read_parquet(directory / "id_maps.parquet"))
    curves = compare(stored_split(directory), ids, *_last_two())
    Path(result).write_text(json.dumps(curves and asdict(curves)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
