"""The last warm start and a cold start on the same ratings, scored on the validation of all users.

Belongs here: the yardstick for training that goes on. Training itself watches a sample of the users: enough to see
whether another iteration gains anything, but two fits that went different ways can be told apart only by all of them.

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
class Courses:
    """Validation NDCG@10 of all users, of fits on the training part alone.

    Attributes
    ----------
    warm : list of float
        After each iteration from where the training before ended, until there is nothing more to gain.
    cold : float
        After all iterations of a cold start.
    cold_iterations : int
    """

    warm: list[float]
    cold: float
    cold_iterations: int

    @property
    def iterations_to_cold(self) -> int | None:
        """Iterations after which the warm fit was as good as the cold one at its end; None when it never was."""
        return LearningCurve(tuple(self.warm)).reaches(self.cold)


def compare(split: Split, ids: IdMaps, recipe: Recipe, before: TrainingState, last: TrainingState) -> Courses | None:
    """Repeat the last training's fit on the training part, and make a cold one beside it.

    Parameters
    ----------
    split : Split
        Of the last training.
    ids : IdMaps
    recipe : Recipe
    before, last : TrainingState
        Of the training before and of the last one.

    Returns
    -------
    Courses or None
        None where the last training did not go on from the one before, or that made no such fit itself.
    """
    if before.validation is None or last.warm_in_a_row != before.warm_in_a_row + 1:
        return None
    task = split.task("validation")
    _, warm = fit_and_score(
        task, ids, recipe, matched(before, before.validation, ids, recipe), als.fit, max_users=len(task.users)
    )
    cold = als.fit(task.train, recipe)
    return Courses([*warm.ndcg], validation_ndcg(cold, task, recipe), recipe.iterations)


def _last_two() -> tuple[Recipe, TrainingState, TrainingState]:
    with running_databases(get_settings()) as settings:
        registry = ModelRegistry.of(settings)
        number = max(version.number for version in registry.versions())
        before, last = (predecessor_of(registry, registry.version(each)) for each in (number - 1, number))
    assert before is not None
    assert last is not None
    return last.recipe, before.state, last.state


def main(storage: str, result: str) -> None:
    """Fit both and write how good they were, or null."""
    place = Path(storage)
    ids = ids_from(pd.read_parquet(place / "id_maps.parquet"))
    courses = compare(stored_split(place), ids, *_last_two())
    Path(result).write_text(json.dumps(courses and asdict(courses)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
