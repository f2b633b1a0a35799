"""From a split to a registered version: what `als_model` and `champion_refit` share.

Belongs here: training one recipe within a step, with its progress, its tags and its files in MLflow. What a recipe is,
is in `recsys.als`; where a fit starts from, in `recsys.warm_start`; which recipe is trained is the assets' choice.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import pandas as pd
from dagster import AssetExecutionContext

from movierec_assets.defs.preprocessing import ids_from
from movierec_assets.defs.progress import report_progress
from movierec_assets.defs.provenance import require_one_split
from movierec_assets.models.challenger import Challenger
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.package import log_version
from movierec_assets.models.predecessor import log_legacy, predecessor_of, training_to_continue
from movierec_assets.models.recipes import ChosenRecipe
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
from movierec_assets.models.version_page import recipe_line, run_name
from movierec_assets.recsys import warm_start
from movierec_assets.recsys.als import Confidence, Factors, Iteration, Recipe
from movierec_assets.recsys.interactions import IdMaps, Interactions
from movierec_assets.recsys.lineage import Predecessor, leaking_users
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.recsys.split import Split
from movierec_assets.recsys.warm_start import Fits
from movierec_assets.resources.provenance import code, libraries, training_code
from movierec_assets.settings import get_settings
from movierec_assets.tables.database import Database
from movierec_assets.tables.histories import titles_of
from movierec_assets.tables.known_datasets import DatasetRef

MOST_POSITIVES_FOR_EVERY_LOSS = 1_000_000
"""Beyond, a loss after each pass would make training noticeably longer."""


@dataclass(frozen=True)
class TrainingData:
    """A split that was made as a whole, and what it was made from.

    Attributes
    ----------
    split : Split
    id_maps : DataFrame
        As stored by the asset of that name.
    split_id : str
        What tells the split from others.
    sources : dict
        Dataset, loads, and definition of a like.
    """

    split: Split
    id_maps: pd.DataFrame
    split_id: str
    sources: dict[str, Any]

    @classmethod
    def of(
        cls,
        context: AssetExecutionContext,
        consumer: str,
        train_matrix: Interactions,
        validation_matrix: Interactions,
        test_matrix: Interactions,
        id_maps: pd.DataFrame,
    ) -> Self:
        """Put the parts together.

        Raises
        ------
        ProvenanceError
            When they were not made together.
        """
        split_id, sources = require_one_split(
            context.instance,
            consumer,
            train_matrix=train_matrix,
            validation_matrix=validation_matrix,
            test_matrix=test_matrix,
            id_maps=id_maps,
        )
        return cls(Split(train_matrix, validation_matrix, test_matrix), id_maps, split_id, sources)

    @cached_property
    def ids(self) -> IdMaps:
        """Users of the rows, and movies of the columns."""
        return ids_from(self.id_maps)

    @cached_property
    def history(self) -> Interactions:
        """Everything before the test part."""
        return self.split.before("test")

    @cached_property
    def positives(self) -> Interactions:
        """Everything."""
        return self.history.union(self.split.test)

    @cached_property
    def fingerprint(self) -> str:
        """What tells these positives from others of the same dataset."""
        return self.positives.fingerprint()

    @property
    def dataset(self) -> DatasetRef | None:
        """The dataset; None where the split does not say."""
        number = self.sources.get(DATASET_ID)
        return None if number is None else DatasetRef(int(number), str(self.sources.get(DATASET)))

    @property
    def positive_threshold(self) -> float | None:
        """Stars from which a rating is a like; None where the split does not say."""
        stars = self.sources.get(POSITIVE_THRESHOLD)
        return None if stars is None else float(stars)

    def predecessor(
        self, versions: ModelRegistry, promotions: Promotions, champion: Version | None
    ) -> Predecessor | None:
        """The champion's training, to go on from; None when that is switched off or the data is the same."""
        if champion is None or not get_settings().warm_start or not has_changed(champion, self.fingerprint):
            return None
        return training_to_continue(versions, promotions, champion)


def has_changed(version: Version, fingerprint: str) -> bool:
    """Whether a version was trained on other likes than those with this fingerprint: fewer, more or corrected ones."""
    return version.tags.get(POSITIVES_FINGERPRINT) != fingerprint


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
    """

    fits: Fits
    losses: dict[int, float]
    start: str


@dataclass(frozen=True)
class Order:
    """What is to be trained.

    Attributes
    ----------
    data : TrainingData
    chosen : ChosenRecipe
    titles : list of str
        Of the movies of the columns; a version names its movies by them.
    """

    data: TrainingData
    chosen: ChosenRecipe
    titles: list[str]

    @classmethod
    def of(cls, data: TrainingData, chosen: ChosenRecipe, database: Database) -> Self:
        """An order with the titles of the tables."""
        titles = titles_of(database, data.ids.movie_ids)
        return cls(data, chosen, [titles.get(int(movie_id), "") for movie_id in data.ids.movie_ids])

    @cached_property
    def key(self) -> str:
        """What tells a training from those that come to another version: likes, split, recipe, seed, titles, code."""
        depends_on = {
            "dataset": None if self.data.dataset is None else self.data.dataset.id,
            "positive_threshold": self.data.positive_threshold,
            "split": self.data.split_id,
            "positives": self.data.fingerprint,
            "titles": self.titles,
            "recipe": self.chosen.recipe.as_dict(),
            "libraries": libraries(),
            "code": training_code(),
        }
        return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()

    def run_name(self, did: str) -> str:
        """Name of the MLflow run that carries the order out."""
        return run_name(did, self.data.dataset, recipe_line(self.chosen.recipe))


def trained_before(context: AssetExecutionContext, versions: ModelRegistry, order: Order) -> TrainedVersion | None:
    """The version that an earlier training of the same order registered; None without one that still loads."""
    for version in versions.trained_alike(order.key):
        try:
            before = predecessor_of(versions, version)
        except Exception as error:  # noqa: BLE001
            # Whatever keeps it from being read, training makes another one.
            versions.require_reachable()
            context.log.warning(f"Version {version.number} of the same training does not load: {error}")
            continue
        if before is None:
            continue
        context.log.info(f"Nothing has changed since version {version.number} was trained; it is not trained again")
        provenance = {"split": order.data.split_id, "positives": order.data.fingerprint}
        scored = own_fit(before, order.data, version.recipe)
        unseen = ~leaking_users(before, order.data.split.test, order.data.ids)
        challenger = Challenger(version.number, version.run_id, version.recipe, scored, provenance, unseen)
        return TrainedVersion(challenger, None)
    return None


def own_fit(before: Predecessor, data: TrainingData, recipe: Recipe) -> Factors:
    """The scored fit of a version, for today's movies; without vectors of users, for these are solved when needed."""
    movies = warm_start.matched(before.legacy, before.legacy.scored, data.ids, recipe)
    return Factors(movies[:0], movies, Confidence.of(data.history, recipe.confidence))


def train_version(
    context: AssetExecutionContext,
    mlflow: Any,
    versions: ModelRegistry,
    order: Order,
    predecessor: Predecessor | None,
) -> TrainedVersion:
    """Fit a recipe without the test part and on everything, and register the second fit.

    Parameters
    ----------
    context : AssetExecutionContext
    mlflow
        The module, with an active run.
    versions : ModelRegistry
    order : Order
    predecessor : Predecessor or None
        Training to go on from.
    """
    data, chosen, recipe = order.data, order.chosen, order.chosen.recipe
    context.log.info(f"Recipe ({chosen.source}): {recipe_line(recipe)}")
    mlflow.set_tags({"attempt": str(context.retry_number + 1), "dagster_job": context.job_name})
    mlflow.log_params(
        recipe.as_dict()
        | {"split": "leave-latest-out", "recipe_source": chosen.source}
        | {"positives": len(data.positives), "users": data.positives.shape[0], "movies": data.positives.shape[1]}
    )
    context.log.info(f"Fitting {len(data.history):,} positives before the test, and all {len(data.positives):,}")
    losses: dict[int, float] = {}
    fits = warm_start.train(
        data.split,
        data.ids,
        recipe,
        predecessor,
        _reporting(context, mlflow, losses),
        loss_every=1 if len(data.positives) < MOST_POSITIVES_FOR_EVERY_LOSS else 5,
        history=data.history,
        positives=data.positives,
        least_users=get_settings().min_evaluated_users,
    )
    start = f"{'warm' if fits.warm else 'cold'}: {fits.why}"
    context.log.info(f"Started {start}")
    if fits.left_out.any():
        context.log.info(
            f"Users that are not scored this time: {int(fits.left_out.sum()):,}. An earlier training saw what is held "
            "out of them now, because they rated a movie again"
        )
    provenance = json.dumps(_provenance(context, data, start))
    mlflow.set_tags({"start": start, PROVENANCE: provenance})
    log_legacy(mlflow, fits.legacy)
    # The key comes last: a version that has it is whole.
    tags = _tags(data, chosen) | {PROVENANCE: provenance, TRAINING_KEY: order.key}
    version = _register(context, mlflow, order, fits, tags)
    versions.describe(version)
    context.log.info(f"Registered version {version}")
    made_from = {"split": data.split_id, "positives": data.fingerprint}
    challenger = Challenger(version, mlflow.active_run().info.run_id, recipe, fits.scored, made_from, ~fits.left_out)
    return TrainedVersion(challenger, Training(fits, losses, start))


def _reporting(context: AssetExecutionContext, mlflow: Any, losses: dict[int, float]) -> warm_start.Report:
    """Log each iteration to Dagster and MLflow, and keep the losses."""

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

    return report


def _tags(data: TrainingData, chosen: ChosenRecipe) -> dict[str, str]:
    """What the platform reads of a version."""
    known = {} if data.dataset is None else {DATASET_ID: str(data.dataset.id), DATASET: data.dataset.name}
    if data.positive_threshold is not None:
        known[POSITIVE_THRESHOLD] = f"{data.positive_threshold:g}"
    return known | {
        POSITIVES_FINGERPRINT: data.fingerprint,
        "recipe": json.dumps(chosen.recipe.as_dict()),
        "recipe_source": chosen.source,
    }


def _provenance(context: AssetExecutionContext, data: TrainingData, start: str) -> dict[str, Any]:
    """What people may want to know of the making of a version."""
    return {
        "dagster_run_id": context.run.run_id,
        **code(),
        "split_fingerprint": data.split_id,
        "libraries": libraries(),
        "made_from": data.sources,
        "positives": str(len(data.positives)),
        "users": str(data.positives.shape[0]),
        "movies": str(data.positives.shape[1]),
        "latest_like": str(int(data.positives.rated_at.max())),
        "start": start,
    }


def _register(context: AssetExecutionContext, mlflow: Any, order: Order, fits: Fits, tags: dict[str, str]) -> int:
    """Register the fit on everything, with the titles of its movies; returns the number of the version."""
    data, recipe = order.data, order.chosen.recipe
    recommender = report_progress(
        context.log,
        "Solving the vectors of users",
        lambda log: Recommender.of(
            fits.served,
            data.positives,
            data.ids,
            recipe,
            batch_bytes=get_settings().batch_bytes,
            progress=lambda done, of: log(f"Solved the vectors of {done:,} of {of:,} users"),
        ),
    )
    named = recommender.with_titles(order.titles)
    context.log.info("Registering the next version")
    return log_version(mlflow, named, data.id_maps, data.dataset, tags)
