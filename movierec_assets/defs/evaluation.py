"""How good the challenger is in the sitting, beside every baseline and the champion's recipe.

Belongs here: the asset `model_evaluation`, and its report about both moments. Does not: metrics (`recsys.metrics`),
scores on return (`return_evaluation`), the figures that checks look at (`recsys.guardrails`), or the decision
(`promotion`).
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any, Self

import numpy as np
import pandas as pd
from dagster import AssetExecutionContext, DagsterInstance, MetadataValue, asset

from movierec_assets.defs.insights_of_model import evaluation_document
from movierec_assets.defs.metric_history import drawn, figures_before
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
from movierec_assets.defs.return_evaluation import NO_CHAMPION, require_same_candidates
from movierec_assets.defs.return_figures import ReturnFigures
from movierec_assets.defs.run_limits import POOL
from movierec_assets.models.challenger import Challenger, ChampionFit
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import DATASET
from movierec_assets.models.version_page import MOMENTS, PREFIXES, RETURN
from movierec_assets.progress import Log
from movierec_assets.recsys import als, baselines, repeated_fits
from movierec_assets.recsys.comparison import Interval, lead
from movierec_assets.recsys.engine import Factors, Fit
from movierec_assets.recsys.evaluation import HEADLINE, SHOWN, WITH_INTERVALS, Evaluation, evaluate, with_intervals
from movierec_assets.recsys.few_users import nobody_to_score
from movierec_assets.recsys.guardrails import full_lists, seen_items
from movierec_assets.recsys.interactions import BoolArray, FloatArray, IntArray, Interactions
from movierec_assets.recsys.metrics import CUTOFFS
from movierec_assets.recsys.promotion import opponent
from movierec_assets.recsys.rankers import CHAMPION, EASE, ITEM_KNN, MODEL, ORIGINAL, POPULARITY, WITHOUT_SIGNAL
from movierec_assets.recsys.ranking import TopK
from movierec_assets.recsys.recipe import Recipe, without_signal
from movierec_assets.recsys.report import as_markdown, markdown_table
from movierec_assets.recsys.scoring import rank
from movierec_assets.recsys.split import Split, Task
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.resources.provenance import SOURCES, SPLIT, record
from movierec_assets.settings import get_settings
from movierec_assets.tables.database import Database
from movierec_assets.tables.insights import read_insight, write_insight

MAX_POSITIVES_FOR_BASELINES = 2_000_000
MAX_MOVIES_FOR_EASE = 8_000
"""Its work grows with the cube of the movies: seconds here, minutes with twice as many."""
EASE_REGULARIZATION = 500.0
"""`movierec evaluate` chooses it on validation; a daily report takes this."""

LEAD = "lead"
"""Metadata: the challenger's lead over the champion, its interval, and the fits and users it is computed from."""

_BASELINES = (POPULARITY, ITEM_KNN, ORIGINAL, EASE)
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
    contest = _Contest.of(split, als_model, champion_refit)
    if contest.left_out:
        context.log.info(f"Leaving out {contest.left_out:,} users whose held-out likes an earlier training has seen")
    results = _Results.of(context, contest, als.engine(), ReturnFigures.of(return_evaluation))
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


@dataclass(frozen=True)
class _Contest:
    """The challenger and the champion, for the users whose held-out likes the challenger has not seen.

    Attributes
    ----------
    task : Task
    challenger : Challenger
    champion : ChampionFit
    left_out : int
        Users whose held-out likes an earlier training of the challenger has seen.
    """

    task: Task
    challenger: Challenger
    champion: ChampionFit
    left_out: int

    @classmethod
    def of(cls, split: Split, challenger: Challenger, champion: ChampionFit) -> Self:
        """Compare on the test part.

        Raises
        ------
        RecsysError
            When no user is left to score.
        """
        everybody = split.task("test")
        task = everybody.without(~challenger.unseen)
        if len(task.users) == 0:
            raise nobody_to_score(everybody.train, split.test)
        return cls(task, challenger, champion, len(everybody.users) - len(task.users))

    @cached_property
    def comparable(self) -> BoolArray:
        """Users of the task whose held-out likes the champion's fit has not seen either."""
        return self.champion.unseen[self.task.users]


@dataclass(frozen=True)
class _Results:
    """The lists of every ranker, and how good they are.

    Attributes
    ----------
    contest : _Contest
    lists : dict of str to TopK
        By ranker, the challenger's first.
    baselines_seconds : float
    evaluations : list of Evaluation
        In the order of `lists`.
    lead : dict or None
        The challenger's lead over the champion; None where the champion was not scored.
    on_return : ReturnFigures
    """

    contest: _Contest
    lists: dict[str, TopK]
    baselines_seconds: float
    evaluations: list[Evaluation]
    lead: dict[str, Any] | None
    on_return: ReturnFigures

    @classmethod
    def of(cls, context: AssetExecutionContext, contest: _Contest, engine: Fit, on_return: ReturnFigures) -> Self:
        """Rank and score."""
        task, challenger, champion = contest.task, contest.challenger, contest.champion
        started = time.perf_counter()
        affordable = _baselines(task, challenger.recipe.seed)
        seconds = time.perf_counter() - started
        lists = {MODEL: _ranked(context, task, challenger.scored, challenger.recipe)}
        if challenger.recipe.next_movie.on and len(task.train) <= MAX_POSITIVES_FOR_BASELINES:
            lists[WITHOUT_SIGNAL] = _ranked(context, task, challenger.scored, without_signal(challenger.recipe))
        lists |= affordable
        if champion.scored is not None and contest.comparable.sum() >= get_settings().min_evaluated_users:
            assert champion.recipe is not None
            lists[CHAMPION] = _ranked(context, task, champion.scored, champion.recipe)
        evaluations = report_progress(context.log, "Scoring", lambda log: _scored(log, lists, contest))
        return cls(contest, lists, seconds, evaluations, _lead(context, contest, evaluations, engine), on_return)

    @cached_property
    def means(self) -> dict[str, dict[str, float]]:
        """Mean of each metric by ranker."""
        return {evaluation.ranker: evaluation.means() for evaluation in self.evaluations}

    @cached_property
    def report(self) -> str:
        """Markdown: both moments side by side, all figures of each, and a line for each part that is left out."""
        task, users = self.contest.task, self.contest.left_out
        moments = self.moments
        rankers = list(dict.fromkeys(ranker for of in moments.values() for ranker in of))
        cells = ([ranker, *(str(of.get(ranker, "")) for of in moments.values())] for ranker in rankers)
        report = f"# Both moments\n\n{markdown_table(['NDCG@10, 95 % interval', *moments], cells)}\n\n"
        report += f"# On return\n\n{self.on_return.as_markdown()}\n"
        report += as_markdown(self.evaluations, users=len(task.users), held_out=len(task.held_out))
        if users:
            report += f"\n{users:,} users are left out: an earlier training has seen their held-out likes.\n"
        if rankers := [name for name in _BASELINES if name not in self.lists]:
            report += f"\nLeft out of data of this size: {', '.join(rankers)}.\n"
        return report

    @cached_property
    def moments(self) -> dict[str, dict[str, Interval]]:
        """NDCG@10 of each ranker with its interval, in the sitting and on return."""
        returned = {ranker: of[HEADLINE] for ranker, of in self.on_return.intervals.items()}
        return {MOMENTS[""]: {each.ranker: each.interval() for each in self.evaluations}, MOMENTS[RETURN]: returned}

    @cached_property
    def pictures(self) -> dict[str, bytes]:
        """PNG by name: both moments, all metrics, the headline metrics with their intervals, and NDCG by slice."""
        title = f"Held-out latest likes of {len(self.contest.task.users):,} users"
        scored = {f"NDCG@10 {moment}": intervals for moment, intervals in self.moments.items() if intervals}
        pictures = {
            "moments": interval_panels(scored, "Both moments: mean and 95 % interval"),
            "metrics": metric_panels(self.means, SHOWN, title),
            "intervals": interval_panels(
                {name: {each.ranker: each.interval(name) for each in self.evaluations} for name in WITH_INTERVALS},
                f"{title}: mean and 95 % interval",
            ),
        }
        slices = {
            f"{first.by}:\n{first.name}": {
                each.ranker: each.slices[number].interval() for each in self.evaluations if len(each.slices) > number
            }
            for number, first in enumerate(self.evaluations[0].slices)
        }
        if slices:
            title = "NDCG@10 by activity, by popularity of the held-out movies, and by the time since the like before"
            pictures["slices"] = interval_panels(slices, title)
        return {name: encoded(figure) for name, figure in pictures.items()}

    def scores(self, user_ids: IntArray) -> pd.DataFrame:
        """Scores of each ranker for its users, given the ids of all users of the task."""
        held_out = self.contest.task.held_out.per_user.astype(np.int32)
        return pd.concat(
            [
                pd.DataFrame(
                    {"ranker": each.ranker, "user_id": user_ids, "held_out": held_out, **each.per_user}
                ).dropna()
                for each in self.evaluations
            ],
            ignore_index=True,
        )


def _shown(results: _Results) -> dict[str, Any]:
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


def _is_logged(versions: ModelRegistry, contest: _Contest) -> bool:
    """Whether the challenger is the champion already, and its figures are in MLflow."""
    number = contest.challenger.version
    return contest.champion.champion == number and HEADLINE in versions.metrics(versions.version(number))


def _log(versions: ModelRegistry, results: _Results) -> None:
    """Log figures and report in MLflow, also of the champion's recipe where that was trained as well."""
    found = {PREFIXES[each.ranker]: each for each in results.evaluations}
    beside = {
        f"{prefix}{name}": value
        for prefix, each in found.items()
        if prefix
        for name, value in each.means().items()
        if prefix == PREFIXES[POPULARITY] or name in SHOWN
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
        on_page = {*SHOWN, f"{HEADLINE}_low", f"{HEADLINE}_high", *(f"{prefix}{HEADLINE}" for prefix in found)}
        versions.log_metrics(versions.version(trained.version), own_figures | others, on_page)
    files = {f"{name}.png": image for name, image in results.pictures.items()}
    versions.log_files(challenger.run_id, "evaluation", files | {"report.md": results.report.encode()})


def _tell(database: Database, results: _Results) -> None:
    """Write the documents of the challenger, and of the champion or its recipe where these have none."""
    contest = results.contest
    challenger, champion = contest.challenger, contest.champion
    about = {
        "challenger": challenger.version,
        "champion_then": champion.champion,
        "users": len(contest.task.users),
        "held_out": len(contest.task.held_out),
        "left_out": [name for name in _BASELINES if name not in results.lists],
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


def _lead(
    context: AssetExecutionContext, contest: _Contest, evaluations: Sequence[Evaluation], engine: Fit
) -> dict[str, Any] | None:
    """The challenger's lead over the champion with its interval; None where the champion was not scored.

    Another recipe is fitted from several start values where that is cheap, and so is the champion's.
    """
    scores = {evaluation.ranker: evaluation.per_user[HEADLINE] for evaluation in evaluations}
    if CHAMPION not in scores:
        return None
    task, fit, recipe = contest.task, contest.champion, contest.challenger.recipe
    assert fit.recipe is not None
    users = contest.comparable
    challenger, champion = scores[MODEL][users][:, None], scores[CHAMPION][users][:, None]
    fits = 1 if fit.same_recipe else repeated_fits.number_of_fits(len(task.train))
    if fits > 1:
        context.log.info(f"Fitting both recipes from {fits} start values, for the chance in a fit")
        engine = repeated_fits.shared(engine)
        challenger = _repeated(task, recipe, fits, engine, contest.challenger.scored, scores[MODEL])[users]
        # A refit on changed data started warm, and not from the challenger's start values.
        known = scores[CHAMPION] if fit.refit is None else None
        champion = _repeated(task, opponent(fit.recipe, recipe), fits, engine, fit.scored, known)[users]
    champion_ndcg = float(champion.mean())
    differences = challenger - champion
    spread = repeated_fits.spread(differences, champion_ndcg)
    return {
        **asdict(lead(differences, spread)),
        "champion_ndcg": champion_ndcg,
        "users": len(differences),
        "fits": fits,
        "spread_between_fits": spread.deviation,
        "spread_source": spread.source,
    }


def _repeated(
    task: Task, recipe: Recipe, fits: int, engine: Fit, first: Factors | None, known: FloatArray | None
) -> FloatArray:
    """Scores of several fits of a recipe, all with the next-movie matrix of the first one."""
    next_movies = None if first is None else first.next_movies
    return repeated_fits.scores(task, recipe, fits, engine, known=known, next_movies=next_movies)


def _baselines(task: Task, seed: int) -> dict[str, TopK]:
    """Lists of the baselines that are cheap for data of this size."""
    small = len(task.train) <= MAX_POSITIVES_FOR_BASELINES
    affordable = {ITEM_KNN: small, ORIGINAL: small, EASE: baselines.ease_feasible(task.train, MAX_MOVIES_FOR_EASE)}
    names = [name for name in _BASELINES if affordable.get(name, True)]
    return baselines.rank(names, task, max(CUTOFFS), seed=seed, ease_regularization=EASE_REGULARIZATION)


def _ranked(context: AssetExecutionContext, task: Task, factors: Factors, recipe: Recipe) -> TopK:
    work = partial(rank, task, factors, recipe, max(CUTOFFS), batch_bytes=get_settings().batch_bytes)
    return report_progress(
        context.log,
        f"Ranking for {len(task.users):,} users",
        # Each user is counted twice: once when the vector is solved, once when the list is there.
        lambda log: work(progress=lambda done, of: log(f"Ranked for {done // 2:,} of {of // 2:,} users")),
    )


def _scored(log: Log, lists: Mapping[str, TopK], contest: _Contest) -> list[Evaluation]:
    task, comparable = contest.task, contest.comparable

    def score(name: str) -> Evaluation:
        log(f"Scoring {name}")
        evaluation = evaluate(name, lists[name], task.held_out, task.train, histories=task.histories)
        return evaluation if name != CHAMPION or comparable.all() else evaluation.of_some(comparable)

    with ThreadPoolExecutor() as pool:
        evaluations = list(pool.map(score, lists))
    return with_intervals(
        evaluations, progress=lambda done, of: log(f"Interval of each mean: {done:,} of {of:,} draws")
    )
