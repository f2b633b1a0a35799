"""How good the challenger is in the sitting, beside every baseline and the champion's recipe.

Belongs here: the asset `model_evaluation`, and what it shows and writes. Does not: ranking and scoring
(`evaluation_results`), scores on return (`return_evaluation`), the figures that checks look at (`recsys.guardrails`),
or the decision (`promotion`).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from dagster import AssetExecutionContext, DagsterInstance, MetadataValue, asset

from movierec_assets.defs.evaluation_results import BASELINES, Contest, Results
from movierec_assets.defs.insights_of_model import evaluation_document
from movierec_assets.defs.metric_history import drawn, figures_before
from movierec_assets.defs.preprocessing import ids_from
from movierec_assets.defs.presentation import MODEL_TEAM, TRAINING, embedded, schema
from movierec_assets.defs.return_evaluation import NO_CHAMPION, require_same_candidates
from movierec_assets.defs.return_figures import ReturnFigures
from movierec_assets.defs.run_limits import POOL
from movierec_assets.models.challenger import Challenger, ChampionFit
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import DATASET
from movierec_assets.models.version_page import PREFIXES, elapsed_figures, is_elapsed_figure
from movierec_assets.recsys import als
from movierec_assets.recsys.evaluation import HEADLINE, SHOWN
from movierec_assets.recsys.guardrails import full_lists, seen_items
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.rankers import CHAMPION, MODEL, POPULARITY, WITHOUT_SIGNAL
from movierec_assets.recsys.split import Split
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.resources.provenance import SOURCES, SPLIT, record
from movierec_assets.tables.database import Database
from movierec_assets.tables.insights import read_insight, write_insight

LEAD = "lead"
"""Metadata: the challenger's lead over the champion, its interval, and the fits and users it is computed from."""

_GUARDED = ("coverage_at_10", "popularity_share_at_10")


@asset(
    group_name=TRAINING,
    pool=POOL,
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
    return_evaluation: pd.DataFrame,
    train_matrix: Interactions,
    validation_matrix: Interactions,
    test_matrix: Interactions,
    id_maps: pd.DataFrame,
    postgres: PostgresResource,
    registry: RegistryResource,
) -> pd.DataFrame:
    """Scores of the challenger, of every baseline and of the champion, for the same users' latest likes.

    These are scores in the sitting, because most latest likes follow others of the same sitting. The report has them
    beside the scores on return.

    No ranker has seen the likes that it should find: the champion is represented by `champion_refit`, and has no rows
    for users whose held-out likes that fit has seen. Where fits are cheap, both recipes are fitted from several start
    values, so that the lead's interval counts the chance in a fit as well. Baselines that would take longer than the
    training itself are left out of large data; the report says so.
    """
    require_same_candidates("model_evaluation", context.instance, als_model, champion_refit)
    split = Split(train_matrix, validation_matrix, test_matrix)
    contest = Contest.of(split, als_model, champion_refit)
    if contest.left_out:
        context.log.info(f"Leaving out {contest.left_out:,} users whose held-out likes an earlier training has seen")
    results = Results.of(context, contest, als.engine(), ReturnFigures.of(return_evaluation))
    for evaluation in results.evaluations:
        context.log.info(f"{evaluation.ranker}: NDCG@10 {evaluation.interval()}")
    versions = registry.open()
    logged, database = _is_logged(versions, contest), postgres.open()
    if not logged:
        _log(versions, results)
    if not logged or read_insight(database, "evaluation", als_model.version) is None:
        _tell(database, results)
    recorded = record(context.instance, "train_matrix")
    dataset = str(recorded.get(SOURCES, {}).get(DATASET, "unknown"))
    context.add_output_metadata(
        {
            SPLIT: MetadataValue.text(recorded[SPLIT]),
            "dataset": MetadataValue.text(dataset),
            **_shown(results),
            "history": _history(context.instance, dataset, results.means),
        }
    )
    return results.scores(ids_from(id_maps).user_ids[contest.task.users])


def _shown(results: Results) -> dict[str, Any]:
    """Metadata of model_evaluation."""
    contest, task, means = results.contest, results.contest.task, results.means
    challenger, popularity = means[MODEL], means[POPULARITY][HEADLINE]
    others = [ranker for ranker in (POPULARITY, CHAMPION) if ranker in means]
    figures = (
        {name: challenger[name] for name in SHOWN}
        | {f"{ranker}_{name}": means[ranker][name] for ranker in others for name in SHOWN}
        | {f"{each}_lists_{name}": means[each][name] for each in (MODEL, *others) for name in _GUARDED}
    )
    lists = results.lists[MODEL]
    return {
        "model_version": MetadataValue.int(contest.challenger.version),
        # champion_model refuses an evaluation beside another champion than the one of its day.
        "champion_version": MetadataValue.int(contest.champion.champion or NO_CHAMPION),
        **({} if results.lead is None else {LEAD: MetadataValue.json(results.lead)}),
        "evaluated_users": MetadataValue.int(len(task.users)),
        "users_left_out": MetadataValue.int(contest.left_out),
        "held_out_positives": MetadataValue.int(len(task.held_out)),
        "baselines_seconds": MetadataValue.float(results.baselines_seconds),
        **{name: MetadataValue.float(value) for name, value in figures.items()},
        "full_lists": MetadataValue.float(full_lists(lists, task.histories)),
        "seen_items": MetadataValue.int(seen_items(lists, task.histories)),
        "times_popularity": MetadataValue.float(challenger[HEADLINE] / popularity if popularity else float("inf")),
        "report": MetadataValue.md(results.report),
        **{name: embedded(image) for name, image in results.pictures.items()},
    }


def _history(instance: DagsterInstance, dataset: str, means: Mapping[str, Mapping[str, float]]) -> MetadataValue[str]:
    """The headline of challenger, champion and popularity in this training and in earlier ones on the dataset."""
    names = {"challenger": HEADLINE, **{each: f"{each}_{HEADLINE}" for each in (CHAMPION, POPULARITY)}}
    before = figures_before(instance, "model_evaluation", names, ("dataset", dataset))
    own = {"challenger": means[MODEL][HEADLINE]}
    own |= {each: means[each][HEADLINE] for each in (CHAMPION, POPULARITY) if each in means}
    return drawn([*before, (datetime.now(UTC), own)], "NDCG@10 in the sitting, by training", "NDCG@10")


def _is_logged(versions: ModelRegistry, contest: Contest) -> bool:
    """Whether the challenger is the champion already, and its figures are in MLflow."""
    number = contest.challenger.version
    return contest.champion.champion == number and HEADLINE in versions.metrics(versions.version(number))


def _log(versions: ModelRegistry, results: Results) -> None:
    """Log figures and report in MLflow, also of the champion's recipe where that was trained as well."""
    found = {PREFIXES[each.ranker]: each for each in results.evaluations}
    beside = {
        f"{prefix}{name}": value
        for prefix, each in found.items()
        if prefix
        for name, value in (each.means() | elapsed_figures(each.slices, users=False)).items()
        if prefix == PREFIXES[POPULARITY] or name in SHOWN or is_elapsed_figure(name)
    }
    challenger, refit = results.contest.challenger, results.contest.champion.refit
    named = [(challenger, found[PREFIXES[MODEL]], beside)]
    if refit is not None:
        alone = PREFIXES[WITHOUT_SIGNAL]  # of the challenger's recipe
        others = {name: value for name, value in beside.items() if not name.startswith(alone)}
        named.append((refit, found[PREFIXES[CHAMPION]], others))
    for trained, own, others in named:
        interval = own.interval()
        own_figures = own.means() | {f"{HEADLINE}_low": interval.low, f"{HEADLINE}_high": interval.high}
        own_figures |= elapsed_figures(own.slices, users=True)
        on_page = {*SHOWN, f"{HEADLINE}_low", f"{HEADLINE}_high", *(f"{prefix}{HEADLINE}" for prefix in found)}
        versions.log_metrics(versions.version(trained.version), own_figures | others, on_page)
    files = {f"{name}.png": image for name, image in results.pictures.items()}
    versions.log_files(challenger.run_id, "evaluation", files | {"report.md": results.report.encode()})


def _tell(database: Database, results: Results) -> None:
    """Write the documents of the challenger, and of the champion or its recipe where these have none."""
    contest = results.contest
    challenger, champion = contest.challenger, contest.champion
    about = {
        "challenger": challenger.version,
        "champion_then": champion.champion,
        "users": len(contest.task.users),
        "held_out": len(contest.task.held_out),
        "left_out": [name for name in BASELINES if name not in results.lists],
    }
    scored, lead = results.evaluations, results.lead
    if champion.champion == challenger.version:  # a version of an earlier release, which has no documents yet
        scored, lead = [each for each in scored if each.ranker != CHAMPION], None
    versions = [(challenger.version, MODEL)]
    if champion.refit is not None:
        versions.append((champion.refit.version, CHAMPION))
    elif champion.same_recipe and CHAMPION in results.lists and champion.champion not in (None, challenger.version):
        # The champion's own fit was scored; one of an earlier release has no document yet.
        assert champion.champion is not None
        if read_insight(database, "evaluation", champion.champion) is None:
            versions.append((champion.champion, CHAMPION))
    for version, own in versions:
        document = evaluation_document(scored, results.on_return, own=own, lead=lead, about=about)
        write_insight(database, "evaluation", document, version)
