"""The search for a recipe: an asset with a schedule of its own.

Belongs here: `hyperparameters`. It is upstream of `als_model`, which takes the last winner, but no daily job waits for
a search. Does not: how a search works (`recsys.search`).

Dagster concept: run configuration, https://docs.dagster.io/guides/operate/configuration/run-configuration
"""

import hashlib
from dataclasses import asdict
from typing import Any

from dagster import AssetExecutionContext, AssetIn, Config, DataVersion, MaterializeResult, MetadataValue, asset
from pydantic import Field

from movierec_assets.defs.presentation import (
    MODEL_TEAM,
    TRAINING,
    embedded,
    parallel_coordinates,
    peak_memory,
    search_history,
    table,
)
from movierec_assets.defs.run_limits import POOL
from movierec_assets.defs.sources import dataset_of, require_of_loaded
from movierec_assets.models.recipes import record_search, trials_url
from movierec_assets.models.search_log import log_search
from movierec_assets.models.version import POSITIVE_THRESHOLD
from movierec_assets.recsys import als
from movierec_assets.recsys import search as searching
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.search import Budget, SearchObjective, Trial
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.resources.provenance import SOURCES, record

SEARCH_VERSION = "5"
"""Raise it when the same data and seed are searched in another way: unfinished studies are then not resumed."""


class SearchConfig(Config):
    """How long to search."""

    trials: int = Field(default=600, description="Recipes to try at most.")
    seconds: float = Field(default=300.0, description="Stop after this, in seconds.")
    seed: int = Field(default=0, description="Same seed, data and number of trials: same winner.")


@asset(
    group_name=TRAINING,
    pool=POOL,
    # The search never sees the test part.
    ins={"train_matrix": AssetIn(), "validation_matrix": AssetIn()},
    kinds={"optuna", "postgres"},
    owners=[MODEL_TEAM],
    code_version="1",
    metadata={"table": "movierec.searches"},
)
def hyperparameters(
    context: AssetExecutionContext,
    config: SearchConfig,
    train_matrix: Interactions,
    validation_matrix: Interactions,
    postgres: PostgresResource,
    registry: RegistryResource,
) -> MaterializeResult[None]:
    """The recipe that ranks best on likes held out from training, found by Optuna.

    A recipe replaces the built-in one only when it is better for the same users beyond chance. A next-movie signal that
    clearly harms people who come back is weakened. A search that was interrupted is resumed; its trials are in
    Postgres.
    """
    database, versions = postgres.open(), registry.open()
    sources = record(context.instance, "train_matrix").get(SOURCES, {})
    require_of_loaded(database, "hyperparameters", sources)
    objective = SearchObjective.latest(train_matrix, validation_matrix)
    data = (train_matrix.fingerprint() + validation_matrix.fingerprint()).encode()
    study = f"{SEARCH_VERSION}-{config.seed}-{hashlib.sha256(data).hexdigest()[:24]}"

    def progress(trial: Trial, best: float) -> None:
        context.log.info(f"Trial {trial}, best {best:.4f}")

    found = searching.search(
        objective,
        als.engine(),
        budget=Budget(config.trials, config.seconds),
        built_in=Recipe(),
        seed=config.seed,
        storage=trials_url(database),
        name=study,
        progress=progress,
        log=context.log.info,
    )
    details: dict[str, Any] = {
        "lead": asdict(found.lead),
        "on_return": found.on_return.as_dict(),
        "trials": len(found.trials),
        "study": study,
        "seed": config.seed,
    }
    best = max(trial.value for trial in found.trials if trial.value is not None)
    won = "better than the built-in recipe" if found.lead.low > 0 else "not clearly better; the built-in recipe stays"
    pictures = {"history": search_history(found.trials), "parallel_coordinates": parallel_coordinates(found.trials)}
    dataset = dataset_of(sources)
    mlflow_run_id = log_search(
        versions, found.recipe, found.trials, pictures, dagster_run_id=context.run.run_id, dataset=dataset
    )
    # Recorded last, because from then on training takes it.
    number = record_search(
        database, found.recipe, details, context.run.run_id, dataset, sources.get(POSITIVE_THRESHOLD)
    )
    context.log.info(f"Search {number}: best {best:.4f} is {won}")
    return MaterializeResult(
        data_version=DataVersion(str(number)),
        metadata={
            "search": MetadataValue.int(number),
            "dataset": MetadataValue.text(str(dataset)),
            "recipe": MetadataValue.json(found.recipe.as_dict()),
            "best_validation_ndcg_at_10": MetadataValue.float(best),
            "outcome": MetadataValue.text(won),
            "lead": MetadataValue.json(details["lead"]),
            "on_return": MetadataValue.text(str(found.on_return)),
            "trials": MetadataValue.int(len(found.trials)),
            "pruned": MetadataValue.int(sum(trial.state == "pruned" for trial in found.trials)),
            "mlflow_run_id": MetadataValue.text(mlflow_run_id),
            **{name: embedded(image) for name, image in pictures.items()},
            **peak_memory(),
            "best_trials": table(*_best_trials(found.trials)),
        },
    )


def _best_trials(trials: list[Trial], count: int = 10) -> tuple[list[str], list[list[Any]]]:
    complete = sorted((t for t in trials if t.value is not None), key=lambda t: -(t.value or 0.0))[:count]
    names = list(complete[0].recipe)
    return ["trial", "NDCG@10", *names], [
        [t.number, t.value, *(f"{v:.4g}" if isinstance(v, float) else str(v) for v in t.recipe.values())]
        for t in complete
    ]
