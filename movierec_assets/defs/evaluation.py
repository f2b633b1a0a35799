"""How good the challenger is, beside every baseline and the champion's recipe.

Belongs here: the asset `model_evaluation`. The metrics are in `recsys.metrics`, the figures that checks look at in
`recsys.guardrails`, the decision in `promotion`.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
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
from movierec_assets.defs.progress import report_progress
from movierec_assets.defs.provenance import FINGERPRINT, SPLIT, fingerprint, require_one_split, require_recorded
from movierec_assets.models.challenger import Challenger, ChampionFit
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import DATASET
from movierec_assets.progress import Log
from movierec_assets.recsys import als, baselines, repeated_fits
from movierec_assets.recsys.comparison import lead
from movierec_assets.recsys.engine import Fit
from movierec_assets.recsys.evaluation import HEADLINE, WITH_INTERVALS, Evaluation, evaluate, with_intervals
from movierec_assets.recsys.few_users import nobody_to_score
from movierec_assets.recsys.guardrails import full_lists, seen_items
from movierec_assets.recsys.interactions import BoolArray, Interactions
from movierec_assets.recsys.metrics import CUTOFFS
from movierec_assets.recsys.promotion import opponent
from movierec_assets.recsys.rankers import EASE, ITEM_KNN, MODEL, ORIGINAL, POPULARITY
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.report import as_markdown
from movierec_assets.recsys.scoring import rank
from movierec_assets.recsys.split import Split, Task
from movierec_assets.resources.configurable import RegistryResource
from movierec_assets.resources.provenance import mismatches, refuse
from movierec_assets.settings import get_settings

CHALLENGER_LISTS, POPULARITY_LISTS, CHAMPION_LISTS = MODEL, POPULARITY, "champion"
"""Names of the rankers in a report."""

MAX_POSITIVES_FOR_BASELINES = 2_000_000
MAX_MOVIES_FOR_EASE = 8_000
"""Its work grows with the cube of the movies: seconds here, minutes at twice as many."""
EASE_REGULARIZATION = 500.0
"""`movierec evaluate` chooses it on validation; a daily report does without."""

NO_CHAMPION = 0
"""Version in the metadata of an evaluation without a champion."""
LEAD = "lead"
"""Metadata: the challenger's lead over the champion, its interval, and what that rests on."""

_SHOWN = ["precision_at_10", "recall_at_10", "map_at_10", "ndcg_at_10", "hit_rate_at_10", "coverage_at_10"]
_PREFIXES = {
    CHALLENGER_LISTS: "",
    POPULARITY_LISTS: "popularity_",
    CHAMPION_LISTS: "champion_",
    ORIGINAL: "original_",
    ITEM_KNN: "item_knn_",
}
"""What the names of a ranker's metrics begin with in MLflow."""
_GUARDED = ("coverage_at_10", "popularity_share_at_10")


@asset(
    group_name=TRAINING,
    io_manager_key="parquet",
    kinds={"pandas", "parquet"},
    owners=[MODEL_TEAM],
    code_version="1",
    metadata=schema(
        ranker=("string", "als (the challenger), a baseline, or champion (see champion_refit)"),
        user_id=("int32", "Evaluated user"),
        held_out=("int32", "Held-out positives of the user"),
        ndcg_at_10=("float64", "And precision, recall, truncated_recall, map, ndcg, hit_rate at 5, 10 and 20"),
    ),
)
def model_evaluation(
    context: AssetExecutionContext,
    als_model: Challenger,
    champion_refit: ChampionFit,
    train_matrix: Interactions,
    validation_matrix: Interactions,
    test_matrix: Interactions,
    id_maps: pd.DataFrame,
    registry: RegistryResource,
) -> pd.DataFrame:
    """Scores of the challenger, of every baseline and of the champion, for the same users' latest likes.

    No ranker has seen the likes that it should find: the champion is represented by `champion_refit`, and has no rows
    for users whose held-out likes that has seen. Where fits are cheap, both recipes are fitted from several start
    values, so that the lead's interval counts the chance in a fit as well. Baselines that would take longer than the
    training itself are left out of large data; the report says so.
    """
    split_id, sources = require_one_split(
        context.instance,
        "model_evaluation",
        train_matrix=train_matrix,
        validation_matrix=validation_matrix,
        test_matrix=test_matrix,
        id_maps=id_maps,
    )
    require_recorded(context.instance, "model_evaluation", "als_model", als_model)
    require_recorded(context.instance, "model_evaluation", "champion_refit", champion_refit)
    refuse(
        f"als_model (version {als_model.version}) was not trained on the matrices at hand",
        mismatches(als_model.provenance, {"split": split_id}),
        "Materialize als_model and what follows it again (job `train`).",
    )
    task = Split(train_matrix, validation_matrix, test_matrix).task("test")
    everybody, task = task, task.without(~als_model.unseen)
    left_out_users = len(everybody.users) - len(task.users)
    if left_out_users:
        context.log.info(f"Leaving out {left_out_users:,} users whose held-out likes an earlier training has seen")
    if len(task.users) == 0:
        raise nobody_to_score(everybody.train, test_matrix)
    versions = registry.open()
    baselines_started = time.perf_counter()
    ranked, left_out = _baselines(task, als_model.recipe.seed)
    baselines_seconds = time.perf_counter() - baselines_started
    ranked = {CHALLENGER_LISTS: _lists(context, task, als_model.scored, als_model.recipe), **ranked}
    unseen = champion_refit.unseen[task.users]
    if champion_refit.scored is not None and unseen.sum() >= get_settings().min_evaluated_users:
        assert champion_refit.recipe is not None
        ranked[CHAMPION_LISTS] = _lists(context, task, champion_refit.scored, champion_refit.recipe)
    evaluations = report_progress(context.log, "Scoring", lambda log: _scored(log, ranked, task, unseen))
    for evaluation in evaluations:
        interval = evaluation.interval()
        context.log.info(
            f"{evaluation.ranker}: NDCG@10 {interval.mean:.4f} ({interval.low:.4f} to {interval.high:.4f})"
        )

    found = _lead(context, task, als_model, champion_refit, evaluations, als.implicit_engine())
    report = as_markdown(evaluations, users=len(task.users), held_out=len(task.held_out))
    if left_out_users:
        report += f"\n{left_out_users:,} users are left out: an earlier training saw what is held out of them now.\n"
    if left_out:
        report += f"\nLeft out of data of this size: {', '.join(left_out)}.\n"
    pictures = _pictures(evaluations, len(task.users))
    means = {evaluation.ranker: evaluation.means() for evaluation in evaluations}
    files = {f"{name}.png": image for name, image in pictures.items()} | {"report.md": report.encode()}
    if not _is_logged(versions, als_model, champion_refit):
        _log(versions, als_model, champion_refit, evaluations, files)
    popularity = means[POPULARITY_LISTS][HEADLINE]
    scores = _scores(evaluations, task, ids_from(id_maps).user_ids[task.users])
    context.add_output_metadata(
        {
            "model_version": MetadataValue.int(als_model.version),
            SPLIT: MetadataValue.text(split_id),
            FINGERPRINT: MetadataValue.text(fingerprint(scores)),
            # champion_model refuses an evaluation beside another champion than the one of its day.
            "champion_version": MetadataValue.int(champion_refit.champion or NO_CHAMPION),
            "dataset": MetadataValue.text(str(sources.get(DATASET, "unknown"))),
            **({} if found is None else {LEAD: MetadataValue.json(found)}),
            "evaluated_users": MetadataValue.int(len(task.users)),
            "users_left_out": MetadataValue.int(left_out_users),
            "held_out_positives": MetadataValue.int(len(task.held_out)),
            "baselines_seconds": MetadataValue.float(baselines_seconds),
            **{name: MetadataValue.float(means[CHALLENGER_LISTS][name]) for name in _SHOWN},
            **{
                f"{ranker}_{name}": MetadataValue.float(means[ranker][name])
                for ranker in (POPULARITY_LISTS, CHAMPION_LISTS)
                for name in _SHOWN
                if ranker in means
            },
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


def _is_logged(versions: ModelRegistry, als_model: Challenger, champion_refit: ChampionFit) -> bool:
    """Whether the challenger is the champion already, with its figures."""
    itself = champion_refit.champion == als_model.version
    return itself and HEADLINE in versions.metrics(versions.version(als_model.version))


def _log(
    versions: ModelRegistry,
    als_model: Challenger,
    champion_refit: ChampionFit,
    evaluations: Sequence[Evaluation],
    files: Mapping[str, bytes],
) -> None:
    """Log figures and report in MLflow, also of the champion's recipe where that was trained as well."""
    found = {_PREFIXES.get(each.ranker, f"{each.ranker}_".lower()): each for each in evaluations}
    beside = {
        f"{prefix}{name}": value
        for prefix, each in found.items()
        if prefix
        for name, value in each.means().items()
        if prefix == _PREFIXES[POPULARITY_LISTS] or name in _SHOWN
    }
    named = [(als_model, found[_PREFIXES[CHALLENGER_LISTS]])]
    if champion_refit.refit is not None:
        named.append((champion_refit.refit, found[_PREFIXES[CHAMPION_LISTS]]))
    for challenger, own in named:
        interval = own.interval()
        own_figures = own.means() | {f"{HEADLINE}_low": interval.low, f"{HEADLINE}_high": interval.high}
        on_page = {*_SHOWN, f"{HEADLINE}_low", f"{HEADLINE}_high", *(f"{prefix}{HEADLINE}" for prefix in found)}
        versions.log_metrics(versions.version(challenger.version), own_figures | beside, on_page)
    versions.log_files(als_model.run_id, "evaluation", files)


def _baselines(task: Task, seed: int) -> tuple[dict[str, TopK], list[str]]:
    """Lists of each baseline by its name, and the names of those that were left out."""
    small = len(task.train) <= MAX_POSITIVES_FOR_BASELINES
    affordable = {
        POPULARITY: True,
        ITEM_KNN: small,
        ORIGINAL: small,
        EASE: baselines.ease_feasible(task.train, MAX_MOVIES_FOR_EASE),
    }
    names = [name for name, ranked in affordable.items() if ranked]
    ranked = baselines.rank(names, task, max(CUTOFFS), seed=seed, ease_regularization=EASE_REGULARIZATION)
    return ranked, [name for name in affordable if name not in ranked]


def _lead(
    context: AssetExecutionContext,
    task: Task,
    als_model: Challenger,
    champion_refit: ChampionFit,
    evaluations: Sequence[Evaluation],
    fit: Fit,
) -> dict[str, Any] | None:
    """The challenger's lead over the champion with its interval; None where the champion was not scored.

    Another recipe is fitted from several start values where that is cheap, and so is the champion's.
    """
    scores = {evaluation.ranker: evaluation.per_user[HEADLINE] for evaluation in evaluations}
    if CHAMPION_LISTS not in scores:
        return None
    assert champion_refit.recipe is not None
    users = champion_refit.unseen[task.users]
    challenger, champion = scores[CHALLENGER_LISTS][users][:, None], scores[CHAMPION_LISTS][users][:, None]
    fits = 1 if champion_refit.same_recipe else repeated_fits.number_of_fits(len(task.train))
    if fits > 1:
        context.log.info(f"Fitting both recipes from {fits} start values, for the chance in a fit")
        challenger = repeated_fits.scores(task, als_model.recipe, fits, fit, known=scores[CHALLENGER_LISTS])[users]
        # A refit on changed data started warm, and not from the challenger's start values.
        known = scores[CHAMPION_LISTS] if champion_refit.refit is None else None
        recipe = opponent(champion_refit.recipe, als_model.recipe)
        champion = repeated_fits.scores(task, recipe, fits, fit, known=known)[users]
    champion_ndcg = float(champion.mean())
    differences = challenger - champion
    spread = repeated_fits.spread(differences, champion_ndcg)
    interval = lead(differences, spread)
    return {
        **asdict(interval),
        "champion_ndcg": champion_ndcg,
        "users": len(differences),
        "fits": fits,
        "spread_between_fits": spread.deviation,
        "spread_source": spread.source,
    }


def _lists(context: AssetExecutionContext, task: Task, factors: als.Factors, recipe: als.Recipe) -> TopK:
    work = partial(rank, task, factors, recipe, max(CUTOFFS), batch_bytes=get_settings().batch_bytes)
    return report_progress(
        context.log,
        f"Ranking for {len(task.users):,} users",
        # Each is counted twice: once when its vector is solved, once when it has its list.
        lambda log: work(progress=lambda done, of: log(f"Ranked for {done // 2:,} of {of // 2:,} users")),
    )


def _scored(log: Log, ranked: dict[str, TopK], task: Task, unseen: BoolArray) -> list[Evaluation]:
    def score(name: str) -> Evaluation:
        log(f"Scoring {name}")
        evaluation = evaluate(name, ranked[name], task.held_out, task.train, histories=task.histories)
        return evaluation if name != CHAMPION_LISTS or unseen.all() else evaluation.of_some(unseen)

    with ThreadPoolExecutor() as pool:
        evaluations = list(pool.map(score, ranked))
    return with_intervals(
        evaluations, progress=lambda done, of: log(f"Interval of each mean: {done:,} of {of:,} draws")
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
            ).dropna()
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
