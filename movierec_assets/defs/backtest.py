"""The recipe of today in every month of the past.

Belongs here: the asset `backtest`, a partition for each month, its check and job, and the months of the monthly run.
Does not: dividing and scoring a month (`recsys.backtest`), and the table of figures (`tables.backtests`).

Dagster concepts: partitions, https://docs.dagster.io/guides/build/partitions-and-backfills/partitioning-assets;
backfills in one run, https://docs.dagster.io/guides/build/partitions-and-backfills/backfilling-data
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pandas as pd
from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetOut,
    AssetSelection,
    BackfillPolicy,
    DagsterInstance,
    MaterializeResult,
    MetadataValue,
    MonthlyPartitionsDefinition,
    Nothing,
    asset_check,
    define_asset_job,
    multi_asset,
)
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from movierec_assets.defs.insights_of_model import backtest_document
from movierec_assets.defs.presentation import BACKTEST, MODEL_TEAM, embedded, encoded, month_panels, peak_memory, table
from movierec_assets.defs.progress import report_progress
from movierec_assets.defs.run_limits import POOL, limits
from movierec_assets.defs.sources import dataset_of, require_of_loaded
from movierec_assets.models.champion import recognize_champion
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.recipes import ChosenRecipe, latest_recipe
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import POSITIVE_THRESHOLD
from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys import als
from movierec_assets.recsys.backtest import (
    FIRST_MONTH,
    IN_THE_SITTING,
    MIN_USERS,
    MOMENTS,
    MONTHS_BEFORE,
    ON_RETURN,
    RANKERS,
    RECIPE,
    WITHOUT_SIGNAL,
    Figure,
    Moment,
    Month,
    by_year,
    compared,
    score,
    tasks_of,
)
from movierec_assets.recsys.rankers import POPULARITY
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.resources.provenance import FINGERPRINT, SOURCES, record
from movierec_assets.settings import get_settings
from movierec_assets.tables.backtests import Backtests, months_of_likes
from movierec_assets.tables.database import Database
from movierec_assets.tables.insights import write_insight

ASSET = "backtest"
MONTHS = MonthlyPartitionsDefinition(start_date=str(FIRST_MONTH), fmt="%Y-%m")


@multi_asset(
    pool=POOL,
    name="backtested_months",  # of the step; the job is called like the asset
    outs={
        ASSET: AssetOut(
            description="The recipe of today, trained on what was known before each month and scored on that month, in "
            "both moments: in the sitting, on each user's latest likes of the month, and on return, on all likes of "
            "the month. Beside it are popularity and the recipe without its next-movie signal. The recipe is the "
            "champion's, or that of the last search. A month costs a fit to all likes before it: a second with 50,000 "
            "likes, longer than half a minute with 10 million. A backfill is one run for months in a row. No daily job "
            "makes them.",
            dagster_type=Nothing,
            group_name=BACKTEST,
            kinds={"postgres", "implicit"},
            owners=[MODEL_TEAM],
            code_version="1",
            metadata={"table": "movierec.backtests"},
        )
    },
    partitions_def=MONTHS,
    # One run reads the likes once. A run for each month would start a process for each.
    backfill_policy=BackfillPolicy.single_run(),
)
def backtested_months(
    context: AssetExecutionContext,
    positive_ratings: pd.DataFrame,
    postgres: PostgresResource,
    registry: RegistryResource,
) -> MaterializeResult[None]:
    """Score the recipe of today on the months of the run; figures of a month are kept as soon as they are made."""
    database, versions = postgres.open(), registry.open()
    recorded = record(context.instance, "positive_ratings")
    kept, chosen = _kept(context.instance, database), _recipe(recorded.get(SOURCES, {}), database, versions)
    require_of_loaded(database, "backtest", recorded.get(SOURCES, {}))
    likes = RatingColumns.of(positive_ratings)
    context.log.info(f"Recipe of {chosen.source}; months: {len(context.partition_keys):,}")
    batch_bytes, engine = get_settings().batch_bytes, als.engine()

    def figures_of(month: Month) -> list[Figure]:
        return score(tasks_of(likes, month), chosen.recipe, engine, batch_bytes=batch_bytes)

    without_users = with_few_users = 0
    for number, name in enumerate(context.partition_keys, start=1):
        month = Month.of(name)
        figures = report_progress(
            context.log,
            f"Month {name}, {number:,} of {len(context.partition_keys):,}: fitting and scoring",
            lambda _, month=month: figures_of(month),  # type: ignore[misc]
        )
        kept.replace(month, figures, chosen.recipe, recorded[FINGERPRINT], context.run.run_id)
        note = _note(likes, month, figures)
        without_users += not figures
        with_few_users += bool(figures and note)
        context.log.info(f"Month {name}: {_line(figures) or note}")
        context.add_asset_metadata(_shown(figures, note), partition_key=name)
    # Of all partitions, but behind the figures of each.
    together = {
        "dataset": MetadataValue.text(str(kept.dataset)),
        POSITIVE_THRESHOLD: MetadataValue.float(kept.threshold),
        "recipe_source": MetadataValue.text(chosen.source),
        "recipe": MetadataValue.json(chosen.recipe.as_dict()),
        "positive_ratings_fingerprint": MetadataValue.text(recorded[FINGERPRINT]),
    }
    last = context.partition_keys[-1]
    of_run = {
        "months_of_run": MetadataValue.int(len(context.partition_keys)),
        "months_without_users": MetadataValue.int(without_users),
        "months_with_few_users": MetadataValue.int(with_few_users),
    }
    figures_of_all = kept.figures(chosen.recipe)
    document = backtest_document(figures_of_all, chosen, dataset=str(kept.dataset), threshold=kept.threshold)
    write_insight(database, "backtest", document)
    shown = _shown_months(figures_of_all)
    context.add_asset_metadata({**shown, **of_run, **peak_memory()}, partition_key=last)
    for name in context.partition_keys:
        context.add_asset_metadata(together, partition_key=name)
    return MaterializeResult()


@asset_check(asset=ASSET)
def not_below_the_year_before(context: AssetCheckExecutionContext, postgres: PostgresResource) -> AssetCheckResult:
    """In neither moment, the latest month with enough users falls below what the year before it lets expect.

    The interval is that of a month with as many users whose scores are like those of the year before.
    """
    kept = _kept(context.instance, postgres.open())
    recipe = kept.latest_recipe()
    figures = [] if recipe is None else [(m, each) for m, each in kept.figures(recipe) if each.ranker == RECIPE]
    found = {moment: _compared(figures, moment) for moment in MOMENTS}
    return AssetCheckResult(
        passed=not any(below for below, _ in found.values()),
        severity=AssetCheckSeverity.WARN,
        description=" ".join(text for _, text in found.values()),
    )


backtest_job = define_asset_job(
    "backtest",
    selection=AssetSelection.assets(ASSET),
    tags=limits(timedelta(hours=24), retries=1, priority=-2),
    description="Score the recipe of today on months of the past, each by what was known before it.",
)


def recent_months(database: Database) -> dict[str, str] | str:
    """Tags of a run over the latest complete month with likes and the year before it; why not, where there is none."""
    likes = months_of_likes(database, get_settings().positive_threshold)
    if likes is None:
        return "There is no like to backtest."
    last = min(likes[1], Month.last_complete())
    first = max(last.later(-MONTHS_BEFORE), likes[0].later(1), FIRST_MONTH)
    if first > last:
        return f"No month can be backtested: all likes are from {likes[0]} to {likes[1]}."
    return {ASSET_PARTITION_RANGE_START_TAG: str(first), ASSET_PARTITION_RANGE_END_TAG: str(last)}


def _kept(instance: DagsterInstance, database: Database) -> Backtests:
    """The table of figures for the likes that are stored."""
    sources = record(instance, "positive_ratings").get(SOURCES, {})
    threshold = sources.get(POSITIVE_THRESHOLD)
    return Backtests(
        database, dataset_of(sources), get_settings().positive_threshold if threshold is None else float(threshold)
    )


def _recipe(sources: dict[str, Any], database: Database, versions: ModelRegistry) -> ChosenRecipe:
    """The champion's recipe, or that of the next training where no champion was trained on such likes."""
    recognize_champion(versions, database)
    dataset, threshold = dataset_of(sources), sources.get(POSITIVE_THRESHOLD)
    champion = Promotions(versions, database).incumbent(dataset.id if dataset else None, threshold)
    if champion is None:
        return latest_recipe(database, dataset, threshold)
    return ChosenRecipe(champion.recipe, f"champion {champion.number}")


def _note(likes: RatingColumns, month: Month, figures: Sequence[Figure]) -> str:
    """Why a month has no figures, or figures without an interval; empty where it has all."""
    if figures:
        users = {each.moment: each.users for each in figures}
        few = [f"{users.get(moment, 0)} {moment}" for moment in MOMENTS if users.get(moment, 0) < MIN_USERS]
        return f"too few users for an interval, which needs {MIN_USERS}: {' and '.join(few)}" if few else ""
    first, last = Month.at(int(likes.rated_at.min())), Month.at(int(likes.rated_at.max()))
    if month > last or month < first:
        return f"the month is outside the data, whose likes are from {first} to {last}"
    if month == first:
        return "no like is known before the first month of the data"
    return "no user liked a movie in it and had enough likes before"


def _line(figures: Sequence[Figure]) -> str:
    """Both moments for the log."""
    of = {(each.moment, each.ranker): each for each in figures}
    return "; ".join(
        f"{moment} {of[moment, RECIPE].ndcg:.3f}, popularity {of[moment, POPULARITY].ndcg:.3f}, "
        f"users {of[moment, RECIPE].users:,}"
        for moment in MOMENTS
        if (moment, RECIPE) in of
    )


_NAMES_OF_MOMENTS = {IN_THE_SITTING: "", ON_RETURN: "return_"}
_NAMES_OF_RANKERS = {RECIPE: "", WITHOUT_SIGNAL: "without_signal_", POPULARITY: "popularity_"}
"""Beginnings of the names of figures, as in the metadata of the evaluations."""


def _shown(figures: Sequence[Figure], note: str) -> dict[str, Any]:
    """Metadata of one month; Dagster plots its numbers over the partitions."""
    found: dict[str, Any] = {} if not note else {"note": MetadataValue.text(note[0].upper() + note[1:] + ".")}
    for each in figures:
        moment = _NAMES_OF_MOMENTS[each.moment]
        found[f"{_NAMES_OF_RANKERS[each.ranker]}{moment}ndcg_at_10"] = MetadataValue.float(each.ndcg)
        found[f"{moment}users"] = MetadataValue.int(each.users)
    if figures:
        header = ["moment", "ranker", "users", "NDCG@10", "95 % interval"]
        found["report"] = table(
            header,
            [
                [
                    *(each.moment, each.ranker, each.users, each.ndcg),
                    f"{each.interval.low:z.4f} to {each.interval.high:z.4f}" if each.interval else None,
                ]
                for each in figures
            ],
        )
    return found


def _shown_months(figures: Sequence[tuple[Month, Figure]]) -> dict[str, Any]:
    """The plot over all months of the recipe, and the table of its years."""
    if not figures:
        return {}
    header, body = year_table(figures)
    return {"months": embedded(encoded(month_panels(figures))), "years": table(header, body)}


def year_table(figures: Sequence[tuple[Month, Figure]]) -> tuple[list[str], list[list[Any]]]:
    """Header and rows of a table with the mean of each year in each moment, for the rankers that have figures."""
    scored = {each.ranker for _, each in figures}
    rankers = [ranker for ranker in RANKERS if ranker in scored]
    years = by_year(figures)
    body: list[list[Any]] = [
        [moment, str(year), found[moment, RECIPE].users, *(found[moment, ranker].ndcg for ranker in rankers)]
        for moment in MOMENTS
        for year, found in years.items()
        if (moment, RECIPE) in found
    ]
    return ["moment", "year", "users", *rankers], body


def _compared(figures: Sequence[tuple[Month, Figure]], moment: Moment) -> tuple[bool, str]:
    """Whether the latest month is below the year before it in a moment, and the numbers for people."""
    found = compared(figures, moment)
    if found is None:
        return False, f"No month has {MIN_USERS} users {moment}."
    month, figure, interval = found
    own = f"{moment.capitalize()}: {month} has {figure.ndcg:.4f} of {figure.users:,} users"
    if interval is None:
        return False, (
            f"{own}, and there is no year before it to compare with: the {MONTHS_BEFORE} months before it have "
            f"fewer than {MIN_USERS} users together, or were not backtested with this recipe."
        )
    below = figure.ndcg < interval.low
    verdict = "below" if below else "not below" if interval.low > 0 else "with too few users to fall below"
    return below, f"{own}, {verdict} the interval that the year before it lets expect, {interval}."
