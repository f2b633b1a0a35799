"""How good the challenger is, beside every baseline and the champion's recipe.

Belongs here: the asset `model_evaluation`. The metrics are in `recsys.metrics`, the figures that checks look at in
`recsys.guardrails`, the decision in `promotion`.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from dagster import AssetExecutionContext, MetadataValue, asset

from movierec_assets.defs.preprocessing import ids_from
from movierec_assets.defs.presentation import (
    MODEL_TEAM,
    TRAINING,
    embedded,
    encoded,
    interval_panels,
    metric_panels,
    schema,
)
from movierec_assets.defs.progress import Say, telling
from movierec_assets.defs.provenance import FINGERPRINT, SPLIT, fingerprint, require_one_split, require_recorded
from movierec_assets.recsys import als, baselines
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.evaluation import HEADLINE, WITH_INTERVALS, Evaluation, evaluate, with_intervals
from movierec_assets.recsys.experiment import NOBODY_TO_SCORE, rank
from movierec_assets.recsys.guardrails import full_lists, seen_items
from movierec_assets.recsys.interactions import IdMaps, Interactions
from movierec_assets.recsys.metrics import CUTOFFS
from movierec_assets.recsys.promotion import opponent
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.report import as_markdown
from movierec_assets.recsys.split import Split, Task
from movierec_assets.recsys.warm_start import leaks, matched
from movierec_assets.resources.challenger import Challenger
from movierec_assets.resources.configurable import RegistryResource
from movierec_assets.resources.predecessor import predecessor_of
from movierec_assets.resources.provenance import mismatches, refuse
from movierec_assets.resources.registry import CHAMPION, ModelRegistry, Version
from movierec_assets.settings import get_settings

CHALLENGER_LISTS, POPULARITY_LISTS, CHAMPION_LISTS = "als", "popularity", "champion"
"""Names of the rankers in a report."""

MOST_POSITIVES_FOR_BASELINES = 2_000_000
MOST_MOVIES_FOR_EASE = 8_000
"""Its work grows with the cube of the movies: seconds here, minutes at twice as many."""
EASE_REGULARIZATION = 500.0
"""`movierec evaluate` chooses it on validation; a daily report does without."""

_SHOWN = ["precision_at_10", "recall_at_10", "map_at_10", "ndcg_at_10", "hit_rate_at_10", "coverage_at_10"]
_GUARDED = ("coverage_at_10", "popularity_share_at_10")


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
    split_id, _ = require_one_split(
        context.instance,
        "model_evaluation",
        train_matrix=train_matrix,
        validation_matrix=validation_matrix,
        test_matrix=test_matrix,
        id_maps=id_maps,
    )
    require_recorded(context.instance, "model_evaluation", "als_model", als_model)
    refuse(
        f"als_model (version {als_model.version}) was not trained on the matrices at hand",
        mismatches(als_model.provenance, {"split": split_id}),
        "Materialize als_model and what follows it again (job `train`).",
    )
    task = Split(train_matrix, validation_matrix, test_matrix).task("test")
    if len(task.users) == 0:
        raise RecsysError(NOBODY_TO_SCORE)
    versions = registry.open()
    champion = versions.by_alias(CHAMPION)
    baselines_started = time.perf_counter()
    ranked, left_out = _baselines(task, als_model.recipe.seed)
    baselines_seconds = time.perf_counter() - baselines_started
    ranked = {CHALLENGER_LISTS: _lists(context, task, als_model.scored, als_model.recipe), **ranked}
    if champion is not None:
        split = Split(train_matrix, validation_matrix, test_matrix)
        ranked[CHAMPION_LISTS] = _champion_lists(context, versions, champion, als_model, split, task, ids_from(id_maps))
    evaluations = telling(context.log, "Scoring", lambda say: _scored(say, ranked, task))
    for evaluation in evaluations:
        interval = evaluation.interval()
        context.log.info(
            f"{evaluation.ranker}: NDCG@10 {interval.mean:.4f} ({interval.low:.4f} to {interval.high:.4f})"
        )

    report = as_markdown(evaluations, users=len(task.users), held_out=len(task.held_out))
    if left_out:
        report += f"\nLeft out of data of this size: {', '.join(left_out)}.\n"
    pictures = _pictures(evaluations, len(task.users))
    means = {evaluation.ranker: evaluation.means() for evaluation in evaluations}
    beside = {f"popularity_{name}": value for name, value in means[POPULARITY_LISTS].items()}
    versions.log_metrics(als_model.run_id, means[CHALLENGER_LISTS] | beside)
    files = {f"{name}.png": image for name, image in pictures.items()} | {"report.md": report.encode()}
    versions.log_files(als_model.run_id, "evaluation", files)
    popularity = means[POPULARITY_LISTS][HEADLINE]
    scores = _scores(evaluations, task, ids_from(id_maps).user_ids[task.users])
    context.add_output_metadata(
        {
            "model_version": MetadataValue.int(als_model.version),
            SPLIT: MetadataValue.text(split_id),
            FINGERPRINT: MetadataValue.text(fingerprint(scores)),
            # champion_model refuses an evaluation beside another champion than the one of its day.
            **({} if champion is None else {"champion_version": MetadataValue.int(champion.number)}),
            "evaluated_users": MetadataValue.int(len(task.users)),
            "held_out_positives": MetadataValue.int(len(task.held_out)),
            "baselines_seconds": MetadataValue.float(baselines_seconds),
            **{name: MetadataValue.float(means[CHALLENGER_LISTS][name]) for name in _SHOWN},
            **{f"popularity_{name}": MetadataValue.float(means[POPULARITY_LISTS][name]) for name in _SHOWN},
            **{
                f"{ranker}_lists_{name}": MetadataValue.float(means[ranker][name])
                for ranker in (CHALLENGER_LISTS, CHAMPION_LISTS, POPULARITY_LISTS)
                for name in _GUARDED
                if ranker in means
            },
            "full_lists": MetadataValue.float(full_lists(ranked[CHALLENGER_LISTS], task.histories)),
            "seen_items": MetadataValue.int(seen_items(ranked[CHALLENGER_LISTS], task.histories)),
            "times_popularity": MetadataValue.float(
                means[CHALLENGER_LISTS][HEADLINE] / popularity if popularity else float("inf")
            ),
            "report": MetadataValue.md(report),
            **{name: embedded(image) for name, image in pictures.items()},
        }
    )
    return scores


def _baselines(task: Task, seed: int) -> tuple[dict[str, TopK], list[str]]:
    """Lists of each baseline by its name, and the names of those that were left out."""
    k = max(CUTOFFS)
    ranked = {POPULARITY_LISTS: baselines.popularity(task.train, task.histories, k)}
    left_out = []
    if len(task.train) <= MOST_POSITIVES_FOR_BASELINES:
        ranked["item-kNN"] = baselines.item_knn(task.train, task.histories, k)
        ranked["original recipe"] = baselines.original_recipe(task.train, task.histories, k, seed, task.users)
    else:
        left_out += ["item-kNN", "original recipe"]
    if baselines.ease_feasible(task.train, MOST_MOVIES_FOR_EASE):
        ranked["EASE"] = baselines.ease(task.train, task.histories, k, EASE_REGULARIZATION)
    else:
        left_out.append("EASE")
    return ranked, left_out


def _champion_lists(
    context: AssetExecutionContext,
    versions: ModelRegistry,
    champion: Version,
    als_model: Challenger,
    split: Split,
    task: Task,
    ids: IdMaps,
) -> TopK:
    """Lists of the champion's recipe, which has not seen the test either.

    Another recipe than the challenger's is fitted again on the same history. The same recipe would give the challenger
    again; what is asked then is whether the newer fit is worse than the champion's own scored fit.
    """
    recipe = opponent(champion.recipe, als_model.recipe)
    if recipe == als_model.recipe:
        before = predecessor_of(versions, champion)
        if before is not None and not leaks(before, split, ids):
            context.log.info(
                f"Champion {champion.number} has the challenger's recipe; comparing with its own scored fit"
            )
            movies = matched(before.legacy, before.legacy.scored, ids, recipe)
            confidence = als.Confidence.of(task.train, recipe.confidence)
            return _lists(context, task, als.Factors(movies[:0], movies, confidence), recipe)
    context.log.info(f"Refitting the recipe of champion {champion.number}")
    return _lists(context, task, als.fit(task.train, recipe), recipe)


def _lists(context: AssetExecutionContext, task: Task, factors: als.Factors, recipe: als.Recipe) -> TopK:
    work = partial(rank, task, factors, recipe, max(CUTOFFS), batch_bytes=get_settings().batch_bytes)
    return telling(
        context.log,
        f"Ranking for {len(task.users):,} users",
        # Each is counted twice: once when its vector is solved, once when it has its list.
        lambda say: work(progress=lambda done, of: say(f"Ranked for {done // 2:,} of {of // 2:,} users")),
    )


def _scored(say: Say, ranked: dict[str, TopK], task: Task) -> list[Evaluation]:
    def score(name: str) -> Evaluation:
        say(f"Scoring {name}")
        return evaluate(name, ranked[name], task.held_out, task.train, histories=task.histories)

    with ThreadPoolExecutor() as pool:
        evaluations = list(pool.map(score, ranked))
    return with_intervals(
        evaluations, progress=lambda done, of: say(f"Interval of each mean: {done:,} of {of:,} draws")
    )


def _scores(evaluations: Sequence[Evaluation], task: Task, user_ids: Any) -> pd.DataFrame:
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "ranker": evaluation.ranker,
                    "user_id": user_ids,
                    "held_out": task.held_out.per_user.astype(np.int32),
                    **evaluation.per_user,
                }
            )
            for evaluation in evaluations
        ],
        ignore_index=True,
    )


def _pictures(evaluations: Sequence[Evaluation], users: int) -> dict[str, bytes]:
    """PNG by name: all metrics, the headline metrics with their intervals, and NDCG by slice."""
    means = {evaluation.ranker: evaluation.means() for evaluation in evaluations}
    title = f"Held-out latest likes of {users:,} users"
    pictures = {
        "metrics": metric_panels(means, _SHOWN, title),
        "intervals": interval_panels(
            {name: {each.ranker: each.interval(name) for each in evaluations} for name in WITH_INTERVALS},
            f"{title}: mean and 95 % interval",
        ),
    }
    slices = {
        f"{first.by}:\n{first.name}": {
            each.ranker: each.slices[place].interval() for each in evaluations if len(each.slices) > place
        }
        for place, first in enumerate(evaluations[0].slices)
    }
    if slices:
        pictures["slices"] = interval_panels(slices, "NDCG@10 by user activity and by popularity of what was held out")
    return {name: encoded(figure) for name, figure in pictures.items()}
