"""From matrices to a champion: fit, score, decide.

Belongs here: the assets of the group `training`. The recipe is in `recsys.als`, the metrics in `recsys.metrics`, the
rule in `recsys.promotion`; MLflow is spoken to through `resources`.

Dagster concept: resources in assets, https://docs.dagster.io/guides/build/external-resources
"""

import json

import pandas as pd
from dagster import (
    AssetExecutionContext,
    MetadataValue,
    Output,
    asset,
)

from movierec_assets.defs.preprocessing import ids_from
from movierec_assets.defs.presentation import (
    MODEL_TEAM,
    TRAINING,
    learning_curve,
)
from movierec_assets.defs.provenance import require_one_split
from movierec_assets.defs.tuning import hyperparameters
from movierec_assets.recsys import als
from movierec_assets.recsys.als import Iteration
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.recsys.split import Split
from movierec_assets.resources.challenger import Challenger
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.resources.model_package import log_version
from movierec_assets.resources.provenance import code, libraries
from movierec_assets.resources.recipes import latest_recipe
from movierec_assets.resources.registry import MODEL_NAME
from movierec_assets.resources.tracking import MlflowTrackingResource


@asset(
    group_name=TRAINING,
    deps=[hyperparameters],
    io_manager_key="npz",
    kinds={"mlflow", "implicit"},
    owners=[MODEL_TEAM],
    code_version="1",
)
def als_model(
    context: AssetExecutionContext,
    train_matrix: Interactions,
    validation_matrix: Interactions,
    test_matrix: Interactions,
    id_maps: pd.DataFrame,
    postgres: PostgresResource,
    registry: RegistryResource,
    tracking: MlflowTrackingResource,
) -> Output[Challenger]:
    """The recipe of the last search, or the built-in one, fitted without the test part and on all positives.

    The first fit is stored, to be scored by `model_evaluation`. The second is registered in MLflow as a new version,
    to be served, and carries the alias `challenger`.
    """
    split_id, sources = require_one_split(
        context.instance,
        "als_model",
        train_matrix=train_matrix,
        validation_matrix=validation_matrix,
        test_matrix=test_matrix,
        id_maps=id_maps,
    )
    chosen = latest_recipe(postgres.open())
    recipe = chosen.recipe
    context.log.info(f"Recipe ({chosen.source}): {recipe.as_dict()}")
    split = Split(train_matrix, validation_matrix, test_matrix)
    history = split.before("test")
    positives = history.union(test_matrix)
    versions = registry.open()
    with tracking.run(context) as mlflow:
        run_id = mlflow.active_run().info.run_id
        mlflow.set_tags({"attempt": str(context.retry_number + 1), "dagster_job": context.job_name})
        mlflow.log_params(
            recipe.as_dict()
            | {"split": "leave-latest-out", "positives": len(positives), "recipe_source": chosen.source}
        )
        losses: list[float] = []

        def progress(iteration: Iteration) -> None:
            loss = "" if iteration.loss is None else f", loss {iteration.loss:.6f}"
            context.log.info(f"Iteration {iteration.number} of {iteration.of}: {iteration.seconds:.2f} s{loss}")
            mlflow.log_metric("iteration_seconds", iteration.seconds, step=iteration.number)
            if iteration.loss is not None:
                losses.append(iteration.loss)
                mlflow.log_metric("training_loss", iteration.loss, step=iteration.number)

        context.log.info(f"Fit to be scored: {len(history):,} positives before the test")
        scored = als.fit(history, recipe, progress, loss=True)
        context.log.info(f"Fit to be served: {len(positives):,} positives")
        served = als.fit(positives, recipe)
        provenance = {"split": split_id, "positives": positives.fingerprint()}
        tags = {
            "dagster_run_id": context.run.run_id,
            **code(),
            **{f"{name}_fingerprint": value for name, value in provenance.items()},
            "libraries": json.dumps(libraries()),
            "made_from": json.dumps(sources),
            "recipe": json.dumps(recipe.as_dict()),
            "recipe_source": chosen.source,
        }
        mlflow.set_tags(tags)
        ids = ids_from(id_maps)
        recommender = Recommender.of(served, positives, ids, recipe)
        version = log_version(
            mlflow,
            recommender,
            id_maps,
            tags=tags,
        )
        versions.name_challenger(version)
    context.log.info(f"Registered {MODEL_NAME} version {version}")
    return Output(
        Challenger(version, run_id, recipe, scored, provenance),
        metadata={
            "model": MetadataValue.text(MODEL_NAME),
            "model_version": MetadataValue.int(version),
            "mlflow_run_id": MetadataValue.text(run_id),
            "recipe": MetadataValue.json(recipe.as_dict()),
            "recipe_source": MetadataValue.text(chosen.source),
            "positives": MetadataValue.int(len(positives)),
            "users": MetadataValue.int(positives.shape[0]),
            "movies": MetadataValue.int(positives.shape[1]),
            "training_loss": MetadataValue.float(losses[-1]),
            "learning_curve": learning_curve(losses),
        },
    )
