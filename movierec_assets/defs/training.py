"""From matrices to registered versions: the challenger, and the champion it is compared with.

Belongs here: the assets `als_model` and `champion_refit`. How a version is trained is in `versions`; which recipe is
tried, in `models.recipes`.

Dagster concept: resources in assets, https://docs.dagster.io/guides/build/external-resources
"""

from typing import Any

import numpy as np
import pandas as pd
from dagster import AssetExecutionContext, Config, MetadataValue, Output, asset
from pydantic import Field

from movierec_assets.defs.presentation import MODEL_TEAM, TRAINING, courses, learning_curve, table
from movierec_assets.defs.provenance import (
    FINGERPRINT,
    SOURCES,
    SPLIT,
    UNCHANGED,
    fingerprint,
    require_of_loaded,
    require_recorded,
)
from movierec_assets.defs.tuning import hyperparameters
from movierec_assets.defs.versions import (
    Order,
    TrainedVersion,
    Training,
    TrainingData,
    has_changed,
    own_fit,
    train_version,
    trained_before,
)
from movierec_assets.models.challenger import Challenger, ChampionFit
from movierec_assets.models.champion import recognize_champion
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.predecessor import predecessor_of
from movierec_assets.models.recipes import ChosenRecipe, recipe_to_try
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import MODEL_NAME, Version
from movierec_assets.recsys.als import implicit_engine
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.leakage import leaking_users, only_removes
from movierec_assets.recsys.promotion import opponent, same_recipe
from movierec_assets.recsys.warm_start import Fits
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.resources.tracking import MlflowTrackingResource


class TrainingConfig(Config):
    """What `als_model` does with data and a recipe that it has trained before."""

    retrain: bool = Field(
        default=False,
        description="Train and register a version although one with the same likes, recipe, seed and code is there.",
    )


@asset(
    group_name=TRAINING,
    deps=[hyperparameters],
    io_manager_key="npz",
    kinds={"mlflow", "implicit"},
    owners=[MODEL_TEAM],
    code_version="3",
)
def als_model(
    context: AssetExecutionContext,
    config: TrainingConfig,
    train_matrix: Interactions,
    validation_matrix: Interactions,
    test_matrix: Interactions,
    id_maps: pd.DataFrame,
    postgres: PostgresResource,
    registry: RegistryResource,
    tracking: MlflowTrackingResource,
) -> Output[Challenger]:
    """A recipe fitted without the test part and on all positives: the last search's, the champion's, or the built-in.

    The first fit is stored, to be scored by `model_evaluation`. The second is registered in MLflow as a new version,
    to be served, and carries the alias `challenger`. When the data has changed and the recipe is still the champion's,
    both go on from the champion's training, and a fit on the training part alone says when to stop. When a version of
    the same likes, recipe, seed and code is there, that one is the challenger, and nothing is trained.
    """
    data = TrainingData.of(context, "als_model", train_matrix, validation_matrix, test_matrix, id_maps)
    database, versions = postgres.open(), registry.open()
    require_of_loaded(database, "als_model", data.sources)
    recognize_champion(versions, database)
    promotions = Promotions(versions, database)
    champion = promotions.incumbent(data.dataset.id if data.dataset else None, data.positive_threshold)
    chosen = recipe_to_try(database, promotions, champion, data.dataset, data.positive_threshold)
    if champion is None and (broken := promotions.broken_champion()) is not None:
        context.log.warning(broken)
    order = Order.of(data, chosen, database)
    versions.ensure_experiment(context.log.warning)  # deleted in MLflow, it would take the earlier trainings with it
    trained = None if config.retrain else trained_before(context, versions, order)
    if trained is None:
        with tracking.run(context, order.run_name("train")) as mlflow:
            trained = train_version(
                context, mlflow, versions, order, data.predecessor(versions, promotions, champion), implicit_engine()
            )
    versions.name_challenger(trained.challenger.version)
    return Output(trained.challenger, metadata=_shown(data, chosen, trained))


@asset(
    group_name=TRAINING,
    io_manager_key="npz",
    kinds={"mlflow", "implicit"},
    owners=[MODEL_TEAM],
    code_version="1",
)
def champion_refit(
    context: AssetExecutionContext,
    als_model: Challenger,
    train_matrix: Interactions,
    validation_matrix: Interactions,
    test_matrix: Interactions,
    id_maps: pd.DataFrame,
    postgres: PostgresResource,
    registry: RegistryResource,
    tracking: MlflowTrackingResource,
) -> Output[ChampionFit]:
    """The champion as the challenger is compared with it; only a champion of the same dataset and kind of likes counts.

    Where both have one recipe, that is the champion's own scored fit. Where the challenger has another one, the
    champion's recipe is fitted again. If the data has changed, that fit is registered as well, so that new ratings are
    served even when the challenger does not prove itself.
    """
    require_recorded(context.instance, "champion_refit", "als_model", als_model)
    data = TrainingData.of(context, "champion_refit", train_matrix, validation_matrix, test_matrix, id_maps)
    database, versions = postgres.open(), registry.open()
    promotions = Promotions(versions, database)
    champion = promotions.incumbent(data.dataset.id if data.dataset else None, data.positive_threshold)
    users = train_matrix.shape[0]
    changed = champion is not None and has_changed(champion, als_model.provenance["positives"])
    if champion is None:
        context.log.info("There is no champion of this dataset and kind of likes to compare with")
        fit = ChampionFit.none(users)
    elif same_recipe(champion.recipe, als_model.recipe):
        fit = _own_fit(context, versions, champion, data, als_model, changed)
    elif changed:
        context.log.info(f"Training the recipe of champion {champion.number} on today's data")
        order = Order.of(data, ChosenRecipe(champion.recipe, f"champion {champion.number}"), database)
        trained = trained_before(context, versions, order)
        if trained is None:
            with tracking.second_run(context, order.run_name("refit")) as mlflow:
                trained = train_version(
                    context,
                    mlflow,
                    versions,
                    order,
                    data.predecessor(versions, promotions, champion),
                    implicit_engine(),
                )
        refit = trained.challenger
        fit = ChampionFit(champion.number, champion.recipe, False, True, refit.scored, refit.unseen, refit)
    else:
        context.log.info(f"Fitting the recipe of champion {champion.number} again, from the challenger's start values")
        recipe = opponent(champion.recipe, als_model.recipe)
        scored = implicit_engine()(data.history, recipe)
        fit = ChampionFit(champion.number, recipe, False, False, scored, np.ones(users, dtype=bool), None)
    return Output(
        fit,
        metadata={
            FINGERPRINT: MetadataValue.text(fingerprint(fit)),
            "champion_version": MetadataValue.text("none" if fit.champion is None else str(fit.champion)),
            "challenger_version": MetadataValue.int(als_model.version),
            "same_recipe": MetadataValue.bool(fit.same_recipe),
            "changed_data": MetadataValue.bool(fit.changed_data),
            "users_to_compare_on": MetadataValue.int(int(fit.unseen.sum())),
            **({} if fit.refit is None else {"model_version": MetadataValue.int(fit.refit.version)}),
        },
    )


def _own_fit(
    context: AssetExecutionContext,
    versions: ModelRegistry,
    champion: Version,
    data: TrainingData,
    challenger: Challenger,
    changed: bool,
) -> ChampionFit:
    """The champion's own scored fit, for users whose held-out likes it has not seen.

    A refit of its recipe would be the challenger again.
    """
    before = predecessor_of(versions, champion)
    if before is None:
        context.log.info(f"Champion {champion.number} left no fit to compare with")
        return ChampionFit(
            champion.number,
            challenger.recipe,
            True,
            changed,
            None,
            np.zeros(data.split.train.shape[0], dtype=bool),
            None,
        )
    unseen = ~leaking_users(before, data.split.test, data.ids)
    context.log.info(f"Comparing with the scored fit of champion {champion.number}, which has the same recipe")
    if not unseen.all():
        context.log.info(f"Leaving out {int((~unseen).sum()):,} users whose held-out likes it has seen")
    scored = own_fit(before, data, challenger.recipe)
    only_removed = changed and only_removes(before, data.positives, data.ids)
    return ChampionFit(champion.number, challenger.recipe, True, changed, scored, unseen, None, only_removed)


def _shown(data: TrainingData, chosen: ChosenRecipe, trained: TrainedVersion) -> dict[str, Any]:
    """Metadata of als_model."""
    challenger = trained.challenger
    return {
        FINGERPRINT: MetadataValue.text(fingerprint(challenger)),
        SPLIT: MetadataValue.text(data.split_id),
        SOURCES: MetadataValue.json(data.sources),
        "dataset": MetadataValue.text(str(data.dataset)),
        "model": MetadataValue.text(MODEL_NAME),
        "model_version": MetadataValue.int(challenger.version),
        "mlflow_run_id": MetadataValue.text(challenger.run_id),
        "recipe": MetadataValue.json(challenger.recipe.as_dict()),
        "recipe_source": MetadataValue.text(chosen.source),
        "positives": MetadataValue.int(len(data.positives)),
        "users": MetadataValue.int(data.positives.shape[0]),
        "users_left_out": MetadataValue.int(int((~trained.challenger.unseen).sum())),
        "movies": MetadataValue.int(data.positives.shape[1]),
        UNCHANGED: MetadataValue.bool(trained.training is None),
        **({} if trained.training is None else _training(trained.training)),
    }


def _training(training: Training) -> dict[str, Any]:
    fits, losses = training.fits, training.losses
    return {
        "training_loss": MetadataValue.float(losses[max(losses)]),
        "learning_curve": learning_curve(losses),
        "start": MetadataValue.text(training.start),
        "iterations": MetadataValue.int(max(losses)),
        "evaluation_fit_seconds": MetadataValue.float(fits.seconds["scored"]),
        "serving_fit_seconds": MetadataValue.float(fits.seconds["served"]),
        **_course(fits),
    }


def _course(fits: Fits) -> dict[str, MetadataValue[Any]]:
    """Validation NDCG@10 of a warm start beside that of the last cold one, which was scored on its own day's data."""
    if fits.curve is None:
        return {}
    shown: dict[str, MetadataValue[Any]] = {"validation_ndcg_at_10": MetadataValue.float(fits.curve.ndcg[-1])}
    cold = fits.state.cold_curve
    if cold is None or cold == fits.curve:  # the first one after a cold training is a cold start itself
        return shown
    name = "the last cold start"
    rows = [["this one", fits.curve.iterations, fits.curve.ndcg[-1]], [name, cold.iterations, cold.ndcg[-1]]]
    return shown | {
        "warm_and_cold": table(["fit on the training part", "iterations", "validation NDCG@10"], rows),
        "courses": courses({"this one": fits.curve.ndcg, name: cold.ndcg}),
    }
