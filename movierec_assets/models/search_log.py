"""A finished search in MLflow: the winner, every trial, and the pictures.

Belongs here: the run by which people compare searches in MLflow. Does not: the trials (Optuna has them), the winner for
the next training (`recipes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version_page import recipe_line, run_name
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.search import Trial
from movierec_assets.tables.known_datasets import DatasetRef


def log_search(
    registry: ModelRegistry,
    recipe: Recipe,
    trials: Sequence[Trial],
    pictures: Mapping[str, bytes],
    *,
    dagster_run_id: str,
    dataset: DatasetRef | None = None,
) -> str:
    """Log a finished search as a run of its own; returns the run's id.

    `runs_of` does not find it, because only runs of training steps have the tag `dagster_run_id`.
    """
    client = registry.client
    run_id = str(
        client.create_run(
            registry.ensure_experiment(),
            run_name=run_name("search", dataset, f"best of {len(trials)} {recipe_line(recipe)}"),
            tags={"searched_by_dagster_run_id": dagster_run_id},
        ).info.run_id
    )
    for name, value in recipe.as_dict().items():
        client.log_param(run_id, name, value)
    best = float("-inf")
    for trial in trials:
        if trial.value is not None:
            best = max(best, trial.value)
            client.log_metric(run_id, "validation_ndcg_at_10", trial.value, step=trial.number)
            client.log_metric(run_id, "best_validation_ndcg_at_10", best, step=trial.number)
    client.log_table(
        run_id,
        {
            name: [trial.recipe.get(name, getattr(trial, name, None)) for trial in trials]
            for name in ("number", "state", "value", "seconds", *trials[0].recipe)
        },
        "trials.json",
    )
    registry.log_files(run_id, "search", {f"{name}.png": image for name, image in pictures.items()})
    client.set_terminated(run_id, status="FINISHED")
    return run_id
