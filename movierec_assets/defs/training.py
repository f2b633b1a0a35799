"""From matrices to a champion: fit, score, decide.

Belongs here: the assets of the group `training`. The recipe is in `recsys.als`, the metrics in `recsys.metrics`, the
rule in `recsys.promotion`; MLflow is spoken to through `resources`.

Dagster concept: resources in assets, https://docs.dagster.io/guides/build/external-resources
"""

import json
from typing import Any

import numpy as np
import pandas as pd
from dagster import (
    AssetExecutionContext,
    DataVersion,
    MaterializeResult,
    MetadataValue,
    Output,
    asset,
)

from movierec_assets import __version__
from movierec_assets.defs.decision_metadata import compared_with, require_compared_with, shown_decision, shown_history
from movierec_assets.defs.preprocessing import ids_from
from movierec_assets.defs.presentation import (
    MODEL_TEAM,
    TRAINING,
    learning_curve,
    metric_bars,
    schema,
)
from movierec_assets.defs.tuning import hyperparameters
from movierec_assets.recsys import als, baselines
from movierec_assets.recsys.als import Iteration
from movierec_assets.recsys.comparison import Interval, paired_difference
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.evaluation import HEADLINE, Evaluation, evaluate
from movierec_assets.recsys.experiment import NOBODY_TO_SCORE, rank
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.metrics import CUTOFFS
from movierec_assets.recsys.promotion import decide
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.recsys.report import as_markdown
from movierec_assets.recsys.split import Split
from movierec_assets.resources.challenger import Challenger
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.resources.decisions import Promotions
from movierec_assets.resources.model_package import log_version
from movierec_assets.resources.recipes import latest_recipe
from movierec_assets.resources.registry import CHAMPION, MODEL_NAME
from movierec_assets.resources.tracking import MlflowTrackingResource

CHALLENGER_LISTS, POPULARITY_LISTS, CHAMPION_LISTS = "als", "popularity", "champion"
"""Names of the rankers in a report."""

MOST_POSITIVES_FOR_BASELINES = 2_000_000
MOST_MOVIES_FOR_EASE = 8_000
"""Its work grows with the cube of the movies: seconds here, minutes at twice as many."""
EASE_REGULARIZATION = 500.0
"""`movierec evaluate` chooses it on validation; a daily report does without."""


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
        provenance = {"history": history.fingerprint(), "positives": positives.fingerprint()}
        ids = ids_from(id_maps)
        recommender = Recommender.of(served, positives, ids, recipe)
        version = log_version(
            mlflow,
            recommender,
            id_maps,
            tags={
                "dagster_run_id": context.run.run_id,
                "code_version": __version__,
                **{f"{name}_fingerprint": value for name, value in provenance.items()},
                "recipe": json.dumps(recipe.as_dict()),
            },
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


@asset(
    group_name=TRAINING,
    io_manager_key="parquet",
    kinds={"pandas", "parquet"},
    owners=[MODEL_TEAM],
    code_version="1",
    metadata=schema(
        ranker=("string", "als (the challenger), popularity, or champion (its recipe, refit on today's matrix)"),
        user_id=("int32", "Evaluated user"),
        held_out=("int32", "Held-out positives of the user"),
        ndcg_at_10=("float64", "And precision, recall, truncated_recall, map, ndcg, hit_rate at 5, 10 and 20"),
    ),
)
def model_evaluation(
    context: AssetExecutionContext,
    als_model: Challenger,
    train_matrix: Interactions,
    validation_matrix: Interactions,
    test_matrix: Interactions,
    id_maps: pd.DataFrame,
    registry: RegistryResource,
) -> pd.DataFrame:
    """Scores of the challenger, of every baseline and of the champion's recipe, for the same users' latest likes.

    No ranker has seen the test part: the champion is represented by its recipe, fitted again on the same history.
    Baselines that would take longer than the training itself are left out of large data; the report says so.
    """
    task = Split(train_matrix, validation_matrix, test_matrix).task("test")
    als_model.require_made_from(history=task.train)
    if len(task.users) == 0:
        raise RecsysError(NOBODY_TO_SCORE)
    k = max(CUTOFFS)
    ranked = {
        CHALLENGER_LISTS: rank(task, als_model.scored, als_model.recipe, k),
        POPULARITY_LISTS: baselines.popularity(task.train, task.histories, k),
    }
    left_out = []
    if len(task.train) <= MOST_POSITIVES_FOR_BASELINES:
        seed = als_model.recipe.seed
        ranked["item-kNN"] = baselines.item_knn(task.train, task.histories, k)
        ranked["original recipe"] = baselines.original_recipe(task.train, task.histories, k, seed, task.users)
    else:
        left_out += ["item-kNN", "original recipe"]
    if baselines.ease_feasible(task.train, MOST_MOVIES_FOR_EASE):
        ranked["EASE"] = baselines.ease(task.train, task.histories, k, EASE_REGULARIZATION)
    else:
        left_out.append("EASE")
    versions = registry.open()
    champion = versions.by_alias(CHAMPION)
    if champion is not None:
        recipe = champion.recipe
        if recipe == als_model.recipe:
            context.log.info(f"Champion {champion.number} has the challenger's recipe; its refit is the challenger")
            refit = als_model.scored
        else:
            context.log.info(f"Refitting the recipe of champion {champion.number}")
            refit = als.fit(task.train, recipe)
        ranked[CHAMPION_LISTS] = rank(task, refit, recipe, k)
    evaluations = [
        evaluate(name, lists, task.held_out, task.train, histories=task.histories) for name, lists in ranked.items()
    ]
    for evaluation in evaluations:
        interval = evaluation.interval()
        context.log.info(
            f"{evaluation.ranker}: NDCG@10 {interval.mean:.4f} ({interval.low:.4f} to {interval.high:.4f})"
        )

    users, held_out = task.users, task.held_out
    report = as_markdown(evaluations, users=len(users), held_out=len(held_out))
    if left_out:
        report += f"\nLeft out of data of this size: {', '.join(left_out)}.\n"
    challenger = evaluations[0]
    for name, value in challenger.means().items():
        versions.client.log_metric(als_model.run_id, name, value)
    for name, value in evaluations[1].means().items():
        versions.client.log_metric(als_model.run_id, f"popularity_{name}", value)
    versions.client.log_text(als_model.run_id, report, "evaluation.md")
    # champion_model refuses an evaluation beside another champion than the one of its day.
    compared = {} if champion is None else {"champion_version": MetadataValue.int(champion.number)}
    context.add_output_metadata(compared | _shown(evaluations, len(users), len(held_out), report, als_model.version))
    user_ids = ids_from(id_maps).user_ids[users]
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "ranker": evaluation.ranker,
                    "user_id": user_ids,
                    "held_out": held_out.per_user.astype(np.int32),
                    **evaluation.per_user,
                }
            )
            for evaluation in evaluations
        ],
        ignore_index=True,
    )


def _shown(
    evaluations: list[Evaluation], users: int, held_out: int, report: str, version: int
) -> dict[str, MetadataValue[Any]]:
    means = {evaluation.ranker: evaluation.means() for evaluation in evaluations}
    best = means[CHALLENGER_LISTS]
    popularity = means[POPULARITY_LISTS][HEADLINE]
    return {
        "model_version": MetadataValue.int(version),
        "evaluated_users": MetadataValue.int(users),
        "held_out_positives": MetadataValue.int(held_out),
        **{name: MetadataValue.float(best[name]) for name in _HEADLINES},
        **{f"popularity_{name}": MetadataValue.float(means[POPULARITY_LISTS][name]) for name in _HEADLINES},
        "times_popularity": MetadataValue.float(best[HEADLINE] / popularity if popularity else float("inf")),
        "report": MetadataValue.md(report),
        "metrics": metric_bars(means, _HEADLINES, f"Held-out latest likes of {users:,} users"),
    }


_HEADLINES = ["precision_at_10", "recall_at_10", "map_at_10", "ndcg_at_10", "hit_rate_at_10", "coverage_at_10"]


@asset(
    group_name=TRAINING,
    kinds={"mlflow"},
    owners=[MODEL_TEAM],
    code_version="1",
)
def champion_model(
    context: AssetExecutionContext,
    als_model: Challenger,
    model_evaluation: pd.DataFrame,
    registry: RegistryResource,
    postgres: PostgresResource,
) -> MaterializeResult[None]:
    """The version that is served: carries the registry's alias `champion`.

    The challenger takes the alias when there is no champion, when it is better on the same users, or when it is not
    worse and was trained on newer data. The reason is metadata here, a tag on the version, and a row of the table
    `promotion_decisions`. Nobody else changes the champion between the comparison's check and the decision.
    """
    versions = registry.open()
    promotions = Promotions(versions, postgres.open())
    compared = compared_with(context.instance)
    scores = {ranker: frame[HEADLINE].to_numpy() for ranker, frame in model_evaluation.groupby("ranker", sort=False)}
    with promotions.turn("champion_model", context.run.run_id) as turn:
        champion = turn.champion
        record = turn.latest()
        # A step that is tried again after the alias moved finds its work done.
        if champion is None or record is None or champion.number != als_model.version:
            difference: Interval | None = None
            if champion is not None:
                require_compared_with(champion.number, compared, scored=CHAMPION_LISTS in scores)
                difference = paired_difference(scores[CHALLENGER_LISTS], scores[CHAMPION_LISTS])
            newer = (
                champion is not None and champion.tags.get("positives_fingerprint") != als_model.provenance["positives"]
            )
            ndcg = float(scores[CHALLENGER_LISTS].mean())
            decision = decide(challenger_ndcg=ndcg, difference=difference, newer_data=newer)
            record = turn.carry_out(als_model.version, decision)
    context.log.info(f"Version {als_model.version}: {record.outcome}. {record.reason}")
    now = versions.champion()
    return MaterializeResult(
        data_version=DataVersion(str(now.number)),
        metadata={
            "champion_version": MetadataValue.int(now.number),
            "challenger_version": MetadataValue.int(als_model.version),
            "challenger_ndcg_at_10": MetadataValue.float(float(scores[CHALLENGER_LISTS].mean())),
            **shown_decision(record),
            "history": shown_history(promotions.history(10)),
        },
    )
