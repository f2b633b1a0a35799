"""From matrices to registered versions: the challenger, and the champion it is compared with.

Belongs here: the assets `als_model` and `champion_refit`. Does not: how a version is trained (`versions`), or which
recipe is tried (`models.recipes`).

Dagster concept: resources in assets, https://docs.dagster.io/guides/build/external-resources
"""

from typing import Any

import numpy as np
import pandas as pd
from dagster import AssetExecutionContext, Config, MetadataValue, Output, asset
from pydantic import Field

from movierec_assets.defs.presentation import MODEL_TEAM, TRAINING, learning_curves, loss_curve, table
from movierec_assets.defs.run_limits import POOL
from movierec_assets.defs.training_inputs import TrainingData, TrainingInputs, has_changed
from movierec_assets.defs.tuning import hyperparameters
from movierec_assets.defs.versions import TrainedVersion, Training, TrainingStep, find_or_train, own_fit
from movierec_assets.models.challenger import Challenger, ChampionFit
from movierec_assets.models.champion import recognize_champion
from movierec_assets.models.predecessor import predecessor_of
from movierec_assets.models.recipes import ChosenRecipe, changed_by_hand, recipe_to_try
from movierec_assets.models.version import MODEL_NAME, Version
from movierec_assets.recsys import als
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.leakage import leaking_users, only_removes
from movierec_assets.recsys.next_movies_of_split import NextMoviesOfSplit
from movierec_assets.recsys.promotion import opponent, same_recipe
from movierec_assets.recsys.split import Split
from movierec_assets.recsys.warm_start import Fits
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.resources.provenance import SOURCES, SPLIT, UNCHANGED
from movierec_assets.resources.tracking import MlflowTrackingResource


class TrainingConfig(Config):
    """What `als_model` trains."""

    retrain: bool = Field(
        default=False,
        description="Train and register a version although one with the same likes, recipe, seed and code is there.",
    )
    recipe: dict[str, Any] = Field(
        default={},
        description="Numbers of the recipe to train instead of those of the chosen recipe, as in {factors: 32}.",
    )


@asset(
    group_name=TRAINING,
    pool=POOL,
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
    next_movies: NextMoviesOfSplit,
    postgres: PostgresResource,
    registry: RegistryResource,
    tracking: MlflowTrackingResource,
) -> Output[Challenger]:
    """A recipe fitted without the test part and on all positives: the last search's, the champion's, or the built-in.

    The first fit is stored, to be scored by `model_evaluation`. The second is registered in MLflow as a new version,
    to be served, and carries the alias `challenger`. When the data has changed and the recipe is still the champion's,
    both continue the champion's training, and a fit on the training part alone decides when to stop. When a version of
    the same likes, recipe, seed and code is there, that one is the challenger, and nothing is trained.
    """
    database, versions = postgres.open(), registry.open()
    split = Split(train_matrix, validation_matrix, test_matrix)
    data = TrainingData.of_loaded(context.instance, database, "als_model", split, id_maps)
    recognize_champion(versions, database)
    step = TrainingStep(context, data, next_movies, database, versions, als.engine())
    chosen = changed_by_hand(
        recipe_to_try(database, step.promotions, step.champion, data.dataset, data.positive_threshold), config.recipe
    )
    if step.champion is None and (broken := step.promotions.broken_champion()) is not None:
        context.log.warning(broken)
    inputs = TrainingInputs.of(data, chosen, database)
    versions.ensure_experiment(context.log.warning)  # an experiment deleted in MLflow hides the earlier trainings
    run = tracking.run(context, inputs.run_name("train"))
    trained = find_or_train(step, inputs, run, retrain=config.retrain)
    versions.name_challenger(trained.challenger.version)
    return Output(trained.challenger, metadata=_shown_challenger(data, chosen, trained))


@asset(
    group_name=TRAINING,
    pool=POOL,
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
    next_movies: NextMoviesOfSplit,
    postgres: PostgresResource,
    registry: RegistryResource,
    tracking: MlflowTrackingResource,
) -> Output[ChampionFit]:
    """The fit of the champion that the challenger is compared with; both are of one dataset and definition of a like.

    Where both have one recipe, that is the champion's own scored fit. Where the challenger has another one, the
    champion's recipe is fitted again. If the data has changed, that fit is registered as well, so that new ratings are
    served even when the challenger does not prove itself.
    """
    database = postgres.open()
    split = Split(train_matrix, validation_matrix, test_matrix)
    data = TrainingData.of_loaded(context.instance, database, "champion_refit", split, id_maps)
    step = TrainingStep(context, data, next_movies, database, registry.open(), als.engine())
    fit = _champion_fit(step, als_model, tracking)
    return Output(fit, metadata=_shown_fit(data, als_model, fit))


def _champion_fit(step: TrainingStep, challenger: Challenger, tracking: MlflowTrackingResource) -> ChampionFit:
    champion, log = step.champion, step.context.log
    if champion is None:
        log.info("There is no champion of this dataset and definition of a like to compare with")
        return ChampionFit.none(step.data.split.train.shape[0])
    changed = has_changed(champion, challenger.provenance["positives"])
    if same_recipe(champion.recipe, challenger.recipe):
        return _own_fit(step, champion, challenger, changed)
    if changed:
        log.info(f"Training the recipe of champion {champion.number} on today's data")
        return _registered_refit(step, champion, tracking)
    log.info(f"Fitting the recipe of champion {champion.number} again, from the challenger's start values")
    return _refit(step, champion, challenger)


def _own_fit(step: TrainingStep, champion: Version, challenger: Challenger, changed: bool) -> ChampionFit:
    """The champion's own scored fit, for users whose held-out likes it has not seen.

    A refit of its recipe would be the challenger again.
    """
    data, log = step.data, step.context.log
    before = predecessor_of(step.registry, champion)
    if before is None:
        log.info(f"Champion {champion.number} left no fit to compare with")
        scored, unseen = None, np.zeros(data.split.train.shape[0], dtype=bool)
    else:
        log.info(f"Comparing with the scored fit of champion {champion.number}, which has the same recipe")
        scored = own_fit(before, data, challenger.recipe)
        unseen = ~leaking_users(before, data.split.test, data.ids)
        if not unseen.all():
            log.info(f"Leaving out {int((~unseen).sum()):,} users whose held-out likes it has seen")
    return ChampionFit(
        champion=champion.number,
        recipe=challenger.recipe,
        same_recipe=True,
        changed_data=changed,
        scored=scored,
        unseen=unseen,
        refit=None,
        only_removed=before is not None and changed and only_removes(before, data.split.positives, data.ids),
    )


def _registered_refit(step: TrainingStep, champion: Version, tracking: MlflowTrackingResource) -> ChampionFit:
    """The champion's recipe, trained on changed data and registered."""
    chosen = ChosenRecipe(champion.recipe, f"champion {champion.number}")
    inputs = TrainingInputs.of(step.data, chosen, step.database)
    run = tracking.second_run(step.context, inputs.run_name("refit"))
    refit = find_or_train(step, inputs, run).challenger
    return ChampionFit(
        champion=champion.number,
        recipe=champion.recipe,
        same_recipe=False,
        changed_data=True,
        scored=refit.scored,
        unseen=refit.unseen,
        refit=refit,
    )


def _refit(step: TrainingStep, champion: Version, challenger: Challenger) -> ChampionFit:
    """The champion's recipe, fitted to unchanged data from the challenger's start values."""
    recipe = opponent(champion.recipe, challenger.recipe)
    return ChampionFit(
        champion=champion.number,
        recipe=recipe,
        same_recipe=False,
        changed_data=False,
        scored=step.engine(step.data.split.history, recipe).with_next(step.next_movies(recipe).scored),
        unseen=np.ones(step.data.split.train.shape[0], dtype=bool),
        refit=None,
    )


def _shown_challenger(data: TrainingData, chosen: ChosenRecipe, trained: TrainedVersion) -> dict[str, Any]:
    """Metadata of als_model."""
    challenger = trained.challenger
    return {
        SPLIT: MetadataValue.text(data.split_id),
        SOURCES: MetadataValue.json(data.sources),
        "dataset": MetadataValue.text(str(data.dataset)),
        "model": MetadataValue.text(MODEL_NAME),
        "model_version": MetadataValue.int(challenger.version),
        "mlflow_run_id": MetadataValue.text(challenger.run_id),
        "recipe": MetadataValue.json(challenger.recipe.as_dict()),
        "recipe_source": MetadataValue.text(chosen.source),
        **{name: MetadataValue.int(count) for name, count in data.counts.items()},
        "users_left_out": MetadataValue.int(int((~challenger.unseen).sum())),
        UNCHANGED: MetadataValue.bool(trained.training is None),
        **({} if trained.training is None else _shown_training(trained.training)),
    }


def _shown_fit(data: TrainingData, challenger: Challenger, fit: ChampionFit) -> dict[str, Any]:
    """Metadata of champion_refit."""
    return {
        SPLIT: MetadataValue.text(data.split_id),
        "champion_version": MetadataValue.text("none" if fit.champion is None else str(fit.champion)),
        "challenger_version": MetadataValue.int(challenger.version),
        "same_recipe": MetadataValue.bool(fit.same_recipe),
        "changed_data": MetadataValue.bool(fit.changed_data),
        "users_to_compare_on": MetadataValue.int(int(fit.unseen.sum())),
        **({} if fit.refit is None else {"model_version": MetadataValue.int(fit.refit.version)}),
    }


def _shown_training(training: Training) -> dict[str, Any]:
    fits, losses = training.fits, training.losses
    return {
        "training_loss": MetadataValue.float(losses[max(losses)]),
        "learning_curve": loss_curve(losses),
        "start": MetadataValue.text(training.start),
        "iterations": MetadataValue.int(max(losses)),
        "evaluation_fit_seconds": MetadataValue.float(fits.seconds["scored"]),
        "serving_fit_seconds": MetadataValue.float(fits.seconds["served"]),
        **_learning_curves(fits),
    }


def _learning_curves(fits: Fits) -> dict[str, MetadataValue[Any]]:
    """Validation NDCG@10 of a warm start, beside the last cold start on the data of its own day."""
    if fits.curve is None:
        return {}
    shown: dict[str, MetadataValue[Any]] = {"validation_ndcg_at_10": MetadataValue.float(fits.curve.ndcg[-1])}
    cold = fits.state.cold_curve
    if cold is None or cold == fits.curve:  # this one is the cold start
        return shown
    name = "the last cold start"
    rows = [["this one", fits.curve.iterations, fits.curve.ndcg[-1]], [name, cold.iterations, cold.ndcg[-1]]]
    return shown | {
        "warm_and_cold": table(["fit on the training part", "iterations", "validation NDCG@10"], rows),
        "courses": learning_curves({"this one": fits.curve.ndcg, name: cold.ndcg}),
    }
