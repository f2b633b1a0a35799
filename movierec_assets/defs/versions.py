"""From training inputs to a registered version: the steps that `als_model` and `champion_refit` share.

Belongs here: training one recipe within a step, with its log, its tags and its files in MLflow. Does not: the recipe
(`recsys.recipe`), where a fit starts (`recsys.warm_start`), or which recipe is trained (the assets choose it).
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dagster import AssetExecutionContext

from movierec_assets.defs.insights_of_model import training_document
from movierec_assets.defs.next_movies import matrices_for
from movierec_assets.defs.progress import report_progress
from movierec_assets.defs.running_code import code, libraries
from movierec_assets.defs.training_inputs import TrainingData, TrainingInputs, champion_of, has_changed
from movierec_assets.models.challenger import Challenger
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.package import log_version
from movierec_assets.models.predecessor import log_training_state, predecessor_of, training_to_continue
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import (
    DATASET,
    DATASET_ID,
    POSITIVE_THRESHOLD,
    POSITIVES_FINGERPRINT,
    PROVENANCE,
    TRAINING_KEY,
    Version,
)
from movierec_assets.models.version_page import recipe_line
from movierec_assets.recsys import warm_start
from movierec_assets.recsys.confidence import Confidence
from movierec_assets.recsys.engine import Factors, Fit, Iteration
from movierec_assets.recsys.leakage import leaking_users
from movierec_assets.recsys.next_movies_of_split import NextMoviesOfSplit
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.recsys.training_state import LearningCurve, Predecessor
from movierec_assets.recsys.warm_start import Fits
from movierec_assets.resources.provenance import fingerprint
from movierec_assets.settings import get_settings
from movierec_assets.tables.database import Database
from movierec_assets.tables.insights import write_insight

MAX_POSITIVES_FOR_EVERY_LOSS = 1_000_000
"""With more, a loss after each iteration would make training noticeably longer."""
MAX_POSITIVES_FOR_A_CURVE = 100_000
"""With more, a fit that is made for its learning curve alone would make a cold training noticeably longer."""


@dataclass(frozen=True)
class TrainingStep:
    """A step that trains: its data, the registry that it writes to, and the engine that fits.

    `counted` is the asset `next_movies`.
    """

    context: AssetExecutionContext
    data: TrainingData
    counted: NextMoviesOfSplit
    database: Database
    registry: ModelRegistry
    engine: Fit

    @cached_property
    def promotions(self) -> Promotions:
        """The decisions on earlier versions."""
        return Promotions(self.registry, self.database)

    @cached_property
    def champion(self) -> Version | None:
        """The champion of the same dataset and definition of a like, which the training may continue."""
        return champion_of(self.data, self.promotions)

    def next_movies(self, recipe: Recipe) -> NextMoviesOfSplit:
        """The next-movie matrices of a recipe."""
        return matrices_for(self.context.log, self.data.split, self.counted, recipe.next_movie)

    def predecessor(self) -> Predecessor | None:
        """The champion's training, to be continued; None when that is switched off or the likes are the same."""
        champion = self.champion
        if champion is None or not get_settings().warm_start or not has_changed(champion, self.data.fingerprint):
            return None
        return training_to_continue(self.registry, self.promotions, champion)


@dataclass(frozen=True)
class Training:
    """How a version was trained.

    Attributes
    ----------
    fits : Fits
    losses : dict of int to float
        Training loss of the scored fit after iterations.
    start : str
        Whether training started warm or cold, and why.
    curve : LearningCurve or None
        Validation NDCG@10 of a fit to the training part, for people to look at.
    """

    fits: Fits
    losses: dict[int, float]
    start: str
    curve: LearningCurve | None


@dataclass(frozen=True)
class TrainedVersion:
    """A version that was trained and registered, now or earlier.

    Attributes
    ----------
    challenger : Challenger
    training : Training or None
        None when the version was registered earlier.
    """

    challenger: Challenger
    training: Training | None


def find_or_train(
    step: TrainingStep, inputs: TrainingInputs, run: AbstractContextManager[Any], *, retrain: bool = False
) -> TrainedVersion:
    """The version that was trained with the same inputs before, or else a new one.

    Parameters
    ----------
    step : TrainingStep
    inputs : TrainingInputs
    run : context manager
        Gives the module `mlflow` with an active run; entered only to train.
    retrain : bool
        Train although there is such a version.
    """
    trained = None if retrain else _find(step, inputs)
    if trained is None:
        with run as mlflow:
            trained = _train(step, inputs, mlflow)
    return trained


def own_fit(before: Predecessor, data: TrainingData, recipe: Recipe) -> Factors:
    """The scored fit of a version for today's movies, without user vectors: these are solved when needed."""
    state = before.state
    movies = warm_start.matched(state, state.scored, data.ids, recipe)
    factors = Factors.of_movies(movies, Confidence.of(data.split.history, recipe.confidence))
    if state.next_movies is None:
        return factors
    return factors.with_next(state.next_movies.matched(state.movie_ids, data.ids.movie_ids))


def _find(step: TrainingStep, inputs: TrainingInputs) -> TrainedVersion | None:
    """The latest version with the same inputs that still loads."""
    data, log = step.data, step.context.log
    for version in step.registry.trained_alike(inputs.key):
        try:
            before = predecessor_of(step.registry, version)
        except Exception as error:  # noqa: BLE001
            # A version that cannot be read for any reason is replaced by a new training.
            step.registry.require_reachable()
            log.warning(f"Version {version.number} of the same training does not load: {error}")
            continue
        if before is None:
            continue
        log.info(f"Nothing has changed since version {version.number} was trained; it is not trained again")
        challenger = Challenger(
            version.number,
            version.run_id,
            version.recipe,
            scored=own_fit(before, data, version.recipe),
            provenance=data.provenance,
            unseen=~leaking_users(before, data.split.test, data.ids),
        )
        return TrainedVersion(challenger, None)
    return None


def _train(step: TrainingStep, inputs: TrainingInputs, mlflow: Any) -> TrainedVersion:
    """Fit a recipe without the test part and on all positives, and register the second fit."""
    _log_inputs(step.context, inputs, mlflow)
    training = _fit(step, inputs, mlflow)
    number = _register(step, inputs, training, mlflow)
    document = training_document(inputs, training.fits, training.losses, training.curve)
    write_insight(step.database, "training", document, number)
    challenger = Challenger(
        number,
        mlflow.active_run().info.run_id,
        inputs.chosen.recipe,
        scored=training.fits.scored,
        provenance=step.data.provenance,
        unseen=~training.fits.left_out,
    )
    return TrainedVersion(challenger, training)


def _log_inputs(context: AssetExecutionContext, inputs: TrainingInputs, mlflow: Any) -> None:
    """Log the inputs of a training to MLflow and to the step."""
    data, chosen = inputs.data, inputs.chosen
    context.log.info(f"Recipe ({chosen.source}): {recipe_line(chosen.recipe)}")
    mlflow.set_tags({"attempt": str(context.retry_number + 1), "dagster_job": context.job_name})
    about = {"split": "leave-latest-out", "recipe_source": chosen.source}
    mlflow.log_params(chosen.recipe.as_dict() | about | data.counts)
    positives = len(data.split)
    context.log.info(f"Fitting {positives - len(data.split.test):,} positives before the test, and all {positives:,}")


def _fit(step: TrainingStep, inputs: TrainingInputs, mlflow: Any) -> Training:
    """Fit the recipe, and log how it started."""
    data, log = step.data, step.context.log
    losses: dict[int, float] = {}
    fits = warm_start.train(
        data.split,
        data.ids,
        inputs.chosen.recipe,
        step.predecessor(),
        step.engine,
        _reporting(step.context, mlflow, losses),
        loss_every=1 if len(data.split) < MAX_POSITIVES_FOR_EVERY_LOSS else 5,
        min_users=get_settings().min_evaluated_users,
        next_movies=step.next_movies(inputs.chosen.recipe),
    )
    start = f"{'warm' if fits.warm else 'cold'}: {fits.reason}"
    log.info(f"Started {start}")
    if fits.left_out.any():
        log.info(
            f"Users that are not scored this time: {int(fits.left_out.sum()):,}. An earlier training has seen likes "
            "that are held out of them now, because they rated a movie again"
        )
    return Training(fits, losses, start, fits.curve or _learning_curve(step, inputs.chosen.recipe))


def _learning_curve(step: TrainingStep, recipe: Recipe) -> LearningCurve | None:
    """The learning curve of a fit that is made for it alone, where that is cheap; a cold training has no other."""
    split = step.data.split
    if len(split) > MAX_POSITIVES_FOR_A_CURVE or len(split.evaluated_users("validation")) == 0:
        return None
    return warm_start.fit_and_score(split.task("validation"), step.data.ids, recipe, None, step.engine)[1]


def _reporting(context: AssetExecutionContext, mlflow: Any, losses: dict[int, float]) -> warm_start.OnFitIteration:
    """Log each iteration to Dagster and MLflow, and keep the losses."""

    def report(fit: warm_start.FitName, iteration: Iteration, ndcg: float | None) -> None:
        noted = "" if iteration.loss is None else f", loss {iteration.loss:.6f}"
        noted += "" if ndcg is None else f", validation NDCG@10 {ndcg:.4f}"
        of = f"of {iteration.of}" if fit == "scored" else f"of at most {iteration.of}"
        context.log.info(f"{fit} fit, iteration {iteration.number} {of}: {iteration.seconds:.2f} s{noted}")
        metrics: dict[str, float] = {}
        if ndcg is not None:
            metrics["validation_ndcg_at_10"] = ndcg
        if fit == "scored":
            metrics["iteration_seconds"] = iteration.seconds
        if iteration.loss is not None:
            losses[iteration.number] = metrics["training_loss"] = iteration.loss
        if metrics:
            mlflow.log_metrics(metrics, step=iteration.number)

    return report


def _register(step: TrainingStep, inputs: TrainingInputs, training: Training, mlflow: Any) -> int:
    """Register the fit on all positives; returns the number of the version."""
    data, log = step.data, step.context.log
    provenance = json.dumps(_provenance(step.context, data, training))
    mlflow.set_tags({"start": training.start, PROVENANCE: provenance})
    log_training_state(mlflow, training.fits.state)
    recommender = report_progress(
        log,
        "Solving the vectors of users",
        lambda report: Recommender.of(
            training.fits.served,
            data.split.positives,
            data.ids,
            inputs.chosen.recipe,
            batch_bytes=get_settings().batch_bytes,
            progress=lambda done, of: report(f"Solved the vectors of {done:,} of {of:,} users"),
        ),
    ).with_titles(inputs.titles)
    log.info("Registering the next version")
    # The key comes last: a version that has it is complete.
    tags = _tags(inputs) | {PROVENANCE: provenance, TRAINING_KEY: inputs.key}
    number = log_version(mlflow, recommender, data.id_maps, data.dataset, tags)
    step.registry.describe(number)
    log.info(f"Registered version {number}")
    return number


def _tags(inputs: TrainingInputs) -> dict[str, str]:
    """Tags of a version that the platform reads."""
    data, chosen = inputs.data, inputs.chosen
    known = {} if data.dataset is None else {DATASET_ID: str(data.dataset.id), DATASET: data.dataset.name}
    if data.positive_threshold is not None:
        known[POSITIVE_THRESHOLD] = f"{data.positive_threshold:g}"
    return known | {
        POSITIVES_FINGERPRINT: data.fingerprint,
        "recipe": json.dumps(chosen.recipe.as_dict()),
        "recipe_source": chosen.source,
    }


def _provenance(context: AssetExecutionContext, data: TrainingData, training: Training) -> dict[str, Any]:
    """Code, data and start of a training, for people who ask where a version comes from."""
    next_movies = training.fits.served.next_movies
    return {
        "dagster_run_id": context.run.run_id,
        **code(),
        "split_fingerprint": data.split_id,
        **({} if next_movies is None else {"next_movies_fingerprint": fingerprint(next_movies)}),
        "libraries": libraries(),
        "made_from": data.sources,
        **{name: str(count) for name, count in data.counts.items()},
        "latest_like": str(int(data.split.positives.rated_at.max())),
        "start": training.start,
    }
