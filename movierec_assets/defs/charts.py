"""Movies that are liked more now than before.

Belongs here: the asset `trending_movies` and its check. Does not: the counts and the score (`recsys.trending`), and
lists that a champion makes (`recommendations`).
"""

import numpy as np
import pandas as pd
from dagster import AssetCheckResult, AssetExecutionContext, MaterializeResult, MetadataValue, asset, asset_check

from movierec_assets.defs.column_lineage import column_lineage
from movierec_assets.defs.presentation import DATA_TEAM, SERVING, peak_memory, rows, schema, table
from movierec_assets.defs.run_limits import POOL
from movierec_assets.recsys.trending import STEP_DAYS, Periods, likes_by_day, likes_in_periods, periods_of, trending
from movierec_assets.resources.configurable import PostgresResource
from movierec_assets.sql import read_sql
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.histories import titles_of
from movierec_assets.tables.served import TRENDING_MOVIES

TRENDING = 1000
_DAY = 86_400


@asset(
    group_name=SERVING,
    pool=POOL,
    kinds={"postgres"},
    owners=[DATA_TEAM],
    code_version="2",
    metadata=schema(**TRENDING_MOVIES.columns) | {"table": f"{SCHEMA}.{TRENDING_MOVIES.name}"},
)
def trending_movies(
    context: AssetExecutionContext, positive_ratings: pd.DataFrame, postgres: PostgresResource
) -> MaterializeResult[None]:
    """Movies that are liked more in the latest weeks of the data than in the year before.

    The weeks end with the latest like in the data, however old it is. The score says how many times as often as before
    a movie is liked at the least, with 95 % probability; the highest score comes first. No model is needed.
    """
    database = postgres.open()
    positives = positive_ratings[positive_ratings["movie_id"].isin(_catalogue(database))]
    liked, rated_at = positives["movie_id"].to_numpy(), positives["rated_at"].to_numpy()
    found = periods_of(*likes_by_day(rated_at))
    periods = found or Periods(0, 0, 0)
    movie_ids, likes, likes_before = likes_in_periods(liked, rated_at, periods)
    rising = trending(likes, likes_before)
    best = rising.movies[:TRENDING]
    columns = {
        "rank": np.arange(1, len(best) + 1),
        "movie_id": movie_ids[best],
        "score": rising.scores[:TRENDING],
        "likes": likes[best],
        "expected": rising.expected[:TRENDING],
        "since": np.full(len(best), _DAY * periods.since),
        "until": np.full(len(best), _DAY * periods.until),
    }
    with database.replace(TRENDING_MOVIES.name, context.log.info) as replacement:
        written = replacement.write(columns, TRENDING_MOVIES.kinds)
    titles = titles_of(database, movie_ids[best[:10]])
    return MaterializeResult(
        metadata={
            **rows(written),
            **column_lineage(TRENDING_MOVIES.name),
            **peak_memory(),
            "period": MetadataValue.text(_period(periods) if found else "There is no like."),
            "likes": MetadataValue.int(int(likes.sum())),
            "likes_before": MetadataValue.int(int(likes_before.sum())),
            "certain": MetadataValue.int(int((rising.scores > 1).sum())),
            "preview": table(
                ["rank", "title", "likes", "expected", "score"],
                [
                    [int(rank), titles.get(int(movie), "?"), int(liked), float(expected), float(score)]
                    for rank, movie, score, liked, expected, *_ in zip(*columns.values(), strict=True)
                    if rank <= 10
                ],
            ),
        }
    )


@asset_check(asset="trending_movies")
def trending_is_sound(postgres: PostgresResource) -> AssetCheckResult:
    """Ranks follow the scores, and no movie is listed twice, outside the catalogue, or without an increase."""
    problems = {problem: int(count) for problem, count in postgres.open().rows(read_sql("unsound_trending"))}
    return AssetCheckResult(
        passed=not any(problems.values()),
        description=", ".join(f"{problem}: {count}" for problem, count in problems.items()),
        metadata={"problems": MetadataValue.json(problems)},
    )


def _catalogue(database: Database) -> list[int]:
    return [movie_id for (movie_id,) in database.rows(f"SELECT movie_id FROM {SCHEMA}.movies")]


def _period(periods: Periods) -> str:
    days = periods.until - periods.since
    first, last = (np.datetime64(day, "D") for day in (periods.since, periods.until - 1))
    why = "" if days == STEP_DAYS else f", because the latest {STEP_DAYS} have too few likes"
    return (
        f"{days} days, {first} to {last}, which has the latest like in the data{why}; compared with the "
        f"{periods.since - periods.before} days before"
    )
