"""From a split to a registered version: what `als_model` and `champion_refit` share.

Belongs here: training one recipe within a step, with its progress, its tags and its files in MLflow. What a recipe is,
is in `recsys.als`; where a fit starts from, in `recsys.warm_start`; which recipe is trained is the assets' choice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import pandas as pd
from dagster import AssetExecutionContext

from movierec_assets.defs.preprocessing import ids_from
from movierec_assets.defs.progress import telling
from movierec_assets.defs.provenance import require_one_split
from movierec_assets.recsys import warm_start
from movierec_assets.recsys.als import Iteration, Recipe
from movierec_assets.recsys.interactions import IdMaps, Interactions
from movierec_assets.recsys.lineage import Predecessor
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.recsys.split import Split
from movierec_assets.recsys.warm_start import Fits
from movierec_assets.resources.challenger import Challenger
from movierec_assets.resources.database import Database
from movierec_assets.resources.decisions import Promotions
from movierec_assets.resources.histories import titles_of
from movierec_assets.resources.known_datasets import DatasetRef
from movierec_assets.resources.model_package import log_version
from movierec_assets.resources.predecessor import log_legacy, to_go_on_from
from movierec_assets.resources.provenance import code, libraries
from movierec_assets.resources.recipes import ChosenRecipe
from movierec_assets.resources.registry import DATASET, DATASET_ID, POSITIVE_THRESHOLD, ModelRegistry, Version
from movierec_assets.settings import get_settings

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
        return to_go_on_from(versions, promotions, champion)


def has_changed(version: Version, fingerprint: str) -> bool:
    """Whether a version was trained on other likes than those with this fingerprint: fewer, more or corrected ones."""
    return version.tags.get("positives_fingerprint") != fingerprint


@dataclass(frozen=True)
class TrainedVersion:
    """A version that was trained and registered.

    Attributes
    ----------
    challenger : Challenger
    fits : Fits
    losses : dict of int to float
        Training loss of the scored fit after iterations.
    start : str
        Whether training started warm or cold, and why.
    """

    challenger: Challenger
    fits: Fits
    losses: dict[int, float]
    start: str


def train_version(
    context: AssetExecutionContext,
    mlflow: Any,
    data: TrainingData,
    chosen: ChosenRecipe,
    predecessor: Predecessor | None,
    database: Database,
) -> TrainedVersion:
    """Fit a recipe without the test part and on everything, and register the second fit.

    Parameters
    ----------
    context : AssetExecutionContext
    mlflow
        The module, with an active run.
    data : TrainingData
    chosen : ChosenRecipe
    predecessor : Predecessor or None
        Training to go on from.
    database : Database
        Holds the titles.
    """
    recipe = chosen.recipe
    context.log.info(f"Recipe ({chosen.source}): {recipe.as_dict()}")
    mlflow.set_tags({"attempt": str(context.retry_number + 1), "dagster_job": context.job_name})
    mlflow.log_params(
        recipe.as_dict()
        | {"split": "leave-latest-out", "positives": len(data.positives), "recipe_source": chosen.source}
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
            f"{int(fits.left_out.sum()):,} users are not scored this time: an earlier training saw what is held out of "
            "them now, because they rated a movie again"
        )
    tags = _tags(context, data, chosen, start)
    mlflow.set_tags(tags)
    log_legacy(mlflow, fits.legacy)
    version = _register(context, mlflow, data, recipe, fits, database, tags)
    context.log.info(f"Registered version {version}")
    provenance = {"split": data.split_id, "positives": data.fingerprint}
    challenger = Challenger(version, mlflow.active_run().info.run_id, recipe, fits.scored, provenance, ~fits.left_out)
    return TrainedVersion(challenger, fits, losses, start)


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


def _tags(context: AssetExecutionContext, data: TrainingData, chosen: ChosenRecipe, start: str) -> dict[str, str]:
    """Where a version comes from."""
    known = {} if data.dataset is None else {DATASET_ID: str(data.dataset.id), DATASET: data.dataset.name}
    if data.positive_threshold is not None:
        known[POSITIVE_THRESHOLD] = f"{data.positive_threshold:g}"
    return known | {
        "dagster_run_id": context.run.run_id,
        **code(),
        "split_fingerprint": data.split_id,
        "positives_fingerprint": data.fingerprint,
        "libraries": json.dumps(libraries()),
        "made_from": json.dumps(data.sources),
        "recipe": json.dumps(chosen.recipe.as_dict()),
        "recipe_source": chosen.source,
        "positives": str(len(data.positives)),
        "latest_like": str(int(data.positives.rated_at.max())),
        "start": start,
    }


def _register(
    context: AssetExecutionContext,
    mlflow: Any,
    data: TrainingData,
    recipe: Recipe,
    fits: Fits,
    database: Database,
    tags: dict[str, str],
) -> int:
    """Register the fit on everything, with the titles of its movies; returns the number of the version."""
    recommender = telling(
        context.log,
        "Solving the vectors of users",
        lambda say: Recommender.of(
            fits.served,
            data.positives,
            data.ids,
            recipe,
            batch_bytes=get_settings().batch_bytes,
            progress=lambda done, of: say(f"Solved the vectors of {done:,} of {of:,} users"),
        ),
    )
    titles = titles_of(database, data.ids.movie_ids)
    named = recommender.with_titles([titles.get(int(movie_id), "") for movie_id in data.ids.movie_ids])
    context.log.info("Registering the next version")
    return log_version(mlflow, named, data.id_maps, data.dataset, tags)
