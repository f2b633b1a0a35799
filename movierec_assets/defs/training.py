"""From matrices to a registered version.

Belongs here: the asset `als_model`. What a recipe is, is in `recsys.als`; where a fit starts from, in
`recsys.warm_start`; MLflow is spoken to through `resources`.

Dagster concept: resources in assets, https://docs.dagster.io/guides/build/external-resources
"""

import json
from typing import Any

import pandas as pd
from dagster import AssetExecutionContext, MetadataValue, Output, asset

from movierec_assets.defs.preprocessing import ids_from
from movierec_assets.defs.presentation import MODEL_TEAM, TRAINING, courses, learning_curve, table
from movierec_assets.defs.progress import telling
from movierec_assets.defs.provenance import FINGERPRINT, SOURCES, SPLIT, fingerprint, require_one_split
from movierec_assets.defs.tuning import hyperparameters
from movierec_assets.recsys import warm_start
from movierec_assets.recsys.als import Iteration
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.recsys.split import Split
from movierec_assets.recsys.warm_start import Fits, Predecessor
from movierec_assets.resources.challenger import Challenger
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.resources.model_package import log_version
from movierec_assets.resources.predecessor import log_legacy, predecessor_of
from movierec_assets.resources.provenance import code, libraries
from movierec_assets.resources.recipes import latest_recipe
from movierec_assets.resources.registry import CHAMPION, MODEL_NAME, ModelRegistry
from movierec_assets.resources.tracking import MlflowTrackingResource
from movierec_assets.settings import get_settings

MOST_POSITIVES_FOR_EVERY_LOSS = 1_000_000
"""Beyond, a loss after each pass would make training noticeably longer."""


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
    to be served, and carries the alias `challenger`. When the data is newer and the recipe is still the champion's,
    both go on from the champion's training, and a fit on the training part alone says when to stop.
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
    split, ids = Split(train_matrix, validation_matrix, test_matrix), ids_from(id_maps)
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
        losses: dict[int, float] = {}

        def report(which: warm_start.Fit, iteration: Iteration, ndcg: float | None) -> None:
            noted = "" if iteration.loss is None else f", loss {iteration.loss:.6f}"
            noted += "" if ndcg is None else f", validation NDCG@10 {ndcg:.4f}"
            context.log.info(
                f"{which} fit, iteration {iteration.number} of {iteration.of}: {iteration.seconds:.2f} s{noted}"
            )
            if ndcg is not None:
                mlflow.log_metric("validation_ndcg_at_10", ndcg, step=iteration.number)
            if which == "scored":
                mlflow.log_metric("iteration_seconds", iteration.seconds, step=iteration.number)
            if iteration.loss is not None:
                losses[iteration.number] = iteration.loss
                mlflow.log_metric("training_loss", iteration.loss, step=iteration.number)

        provenance = {"split": split_id, "positives": positives.fingerprint()}
        predecessor = _predecessor(versions, provenance["positives"])
        context.log.info(f"Fitting {len(history):,} positives before the test, and all {len(positives):,}")
        loss_every = 1 if len(positives) < MOST_POSITIVES_FOR_EVERY_LOSS else 5
        fits = warm_start.train(
            split, ids, recipe, predecessor, report, loss_every=loss_every, history=history, positives=positives
        )
        context.log.info(f"Started {'warm' if fits.warm else 'cold'}: {fits.why}")
        tags = {
            "dagster_run_id": context.run.run_id,
            **code(),
            **{f"{name}_fingerprint": value for name, value in provenance.items()},
            "libraries": json.dumps(libraries()),
            "made_from": json.dumps(sources),
            "recipe": json.dumps(recipe.as_dict()),
            "recipe_source": chosen.source,
            "positives": str(len(positives)),
            "latest_like": str(int(positives.rated_at.max())),
            "start": f"{'warm' if fits.warm else 'cold'}: {fits.why}",
        }
        mlflow.set_tags(tags)
        log_legacy(mlflow, fits.legacy)
        recommender = telling(
            context.log,
            "Solving the vectors of users",
            lambda say: Recommender.of(
                fits.served,
                positives,
                ids,
                recipe,
                batch_bytes=get_settings().batch_bytes,
                progress=lambda done, of: say(f"Solved the vectors of {done:,} of {of:,} users"),
            ),
        )
        context.log.info(f"Registering the next version of {MODEL_NAME}")
        version = log_version(mlflow, recommender, id_maps, tags=tags)
        versions.name_challenger(version)
    context.log.info(f"Registered {MODEL_NAME} version {version}")
    challenger = Challenger(version, run_id, recipe, fits.scored, provenance)
    return Output(
        challenger,
        metadata={
            FINGERPRINT: MetadataValue.text(fingerprint(challenger)),
            SPLIT: MetadataValue.text(split_id),
            SOURCES: MetadataValue.json(sources),
            "model": MetadataValue.text(MODEL_NAME),
            "model_version": MetadataValue.int(version),
            "mlflow_run_id": MetadataValue.text(run_id),
            "recipe": MetadataValue.json(recipe.as_dict()),
            "recipe_source": MetadataValue.text(chosen.source),
            "positives": MetadataValue.int(len(positives)),
            "users": MetadataValue.int(positives.shape[0]),
            "movies": MetadataValue.int(positives.shape[1]),
            "training_loss": MetadataValue.float(losses[max(losses)]),
            "learning_curve": learning_curve(losses),
            "start": MetadataValue.text(tags["start"]),
            "iterations": MetadataValue.int(max(losses)),
            "evaluation_fit_seconds": MetadataValue.float(fits.seconds["scored"]),
            "serving_fit_seconds": MetadataValue.float(fits.seconds["served"]),
            **_course(fits),
        },
    )


def _predecessor(versions: ModelRegistry, positives: str) -> Predecessor | None:
    """The champion's training, unless it was on the same data."""
    champion = versions.by_alias(CHAMPION) if get_settings().warm_start else None
    if champion is None or champion.tags.get("positives_fingerprint") == positives:
        return None
    return predecessor_of(versions, champion)


def _course(fits: Fits) -> dict[str, MetadataValue[Any]]:
    """Validation NDCG@10 of a warm start beside that of the last cold one, which was scored on its own day's data."""
    if fits.course is None:
        return {}
    shown: dict[str, MetadataValue[Any]] = {"validation_ndcg_at_10": MetadataValue.float(fits.course.ndcg[-1])}
    cold = fits.legacy.cold
    if cold is None or cold == fits.course:  # the first one after a cold training is a cold start itself
        return shown
    name = "the last cold start"
    rows = [["this one", fits.course.iterations, fits.course.ndcg[-1]], [name, cold.iterations, cold.ndcg[-1]]]
    return shown | {
        "warm_and_cold": table(["fit on the training part", "iterations", "validation NDCG@10"], rows),
        "courses": courses({"this one": fits.course.ndcg, name: cold.ndcg}),
    }
