"""From the champion to tables that are read by key: per user, per movie, and for everybody.

Belongs here: the assets of the group `serving`. Does not: ranking (`recsys`), or the replacement of a table
(`tables.database`).
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from dagster import AssetExecutionContext, AssetsDefinition, MaterializeResult, MetadataValue, asset

from movierec_assets.defs.column_lineage import column_lineage
from movierec_assets.defs.ingestion import eligible_users
from movierec_assets.defs.presentation import MODEL_TEAM, SERVING, peak_memory, rows, schema, table
from movierec_assets.defs.progress import report_progress
from movierec_assets.defs.promotion import champion_model
from movierec_assets.defs.run_limits import POOL
from movierec_assets.defs.sources import sources_of
from movierec_assets.models.champion import load_champion
from movierec_assets.models.version import POSITIVE_THRESHOLD, Version
from movierec_assets.progress import Log
from movierec_assets.recsys import ranking
from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.recsys.moment import HOUR, ON_RETURN
from movierec_assets.recsys.ranking import TopK
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.resources.provenance import SOURCES
from movierec_assets.serving.everybody import Tally, for_everybody
from movierec_assets.settings import get_settings
from movierec_assets.tables.app_users import delete_lists_of_erased_users
from movierec_assets.tables.binary_copy import Columns
from movierec_assets.tables.database import SCHEMA
from movierec_assets.tables.histories import titles_of
from movierec_assets.tables.served import POPULAR_MOVIES, SIMILAR_MOVIES, USER_RECOMMENDATIONS, ServedTable

PER_USER = 20
PER_MOVIE = 20
POPULAR = 1000


def _writes(
    written: ServedTable, *deps: AssetsDefinition, code_version: str = "1"
) -> Callable[[Callable[..., Any]], AssetsDefinition]:
    """Decorator of the asset that writes a served table."""
    return asset(
        group_name=SERVING,
        pool=POOL,
        deps=deps,
        kinds={"postgres"},
        owners=[MODEL_TEAM],
        code_version=code_version,
        metadata=schema(**written.columns) | {"table": f"{SCHEMA}.{written.name}"},
    )


@_writes(USER_RECOMMENDATIONS, champion_model, eligible_users, code_version="3")
def user_recommendations(
    context: AssetExecutionContext, postgres: PostgresResource, registry: RegistryResource
) -> MaterializeResult[None]:
    """The champion's 20 best movies for every user, none of which the user has rated.

    Users are folded in from the ratings that they have now. The lists are made for a return: as if a day had passed
    since each user's latest like. Scores are of one user only: where the model has a next-movie signal, they are
    standardized over all movies, else they are the products of vectors. A user without likes gets the most popular
    movies, with score 0.
    """
    database = postgres.open()
    served = load_champion(registry.open(), database)
    champion, recommender, threshold = served.version, served.recommender, served.positive_threshold
    sources = {**sources_of(database), POSITIVE_THRESHOLD: threshold}
    counted = Tally()

    def write(log: Log) -> int:
        log(f"Ranking for everybody with version {champion.number}")

        def parts() -> Iterator[Columns]:
            for lists in for_everybody(database, recommender, threshold, PER_USER, get_settings().batch_bytes):
                counted.add(lists)
                log(f"Ranked for {counted.users:,} users with version {champion.number}")
                yield _long(lists.user_ids, lists.movie_ids, lists.scores, champion, "user_id", "movie_id")
            log("Indexing recommendations")

        with database.replace(USER_RECOMMENDATIONS.name, log) as replacement:
            written = replacement.write_parts(parts(), USER_RECOMMENDATIONS.kinds)
        delete_lists_of_erased_users(database)
        return written

    written = report_progress(context.log, "Reading ratings", write)
    context.log.info(f"Wrote {written:,} recommendations")
    titles = titles_of(database, sorted({movie for example in counted.examples for movie in example.movie_ids}))
    return MaterializeResult(
        metadata={
            **_about(USER_RECOMMENDATIONS, champion, written),
            SOURCES: MetadataValue.json(sources),
            "moment": MetadataValue.text(f"on return, {ON_RETURN / HOUR:g} hours after each user's latest like"),
            "users": MetadataValue.int(counted.users),
            "users_with_full_lists": MetadataValue.int(counted.with_full_lists),
            "users_with_all_the_rest": MetadataValue.int(counted.with_all_the_rest),
            "users_without_likes": MetadataValue.int(counted.without_likes),
            "distinct_movies": MetadataValue.int(len(counted.movie_ids)),
            "preview": table(
                ["user_id", "recommended"],
                [
                    [str(example.user_id), "; ".join(titles.get(movie, "?") for movie in example.movie_ids)]
                    for example in counted.examples
                ],
            ),
        }
    )


@_writes(SIMILAR_MOVIES, champion_model)
def similar_movies(
    context: AssetExecutionContext, postgres: PostgresResource, registry: RegistryResource
) -> MaterializeResult[None]:
    """The 20 movies nearest to each movie, by the champion's factors."""
    database = postgres.open()
    served = load_champion(registry.open(), database)
    champion, recommender = served.version, served.recommender
    lists = ranking.similar(recommender.movie_factors, PER_MOVIE, batch_bytes=get_settings().batch_bytes)
    movie_ids = recommender.ids.movie_ids
    neighbours = recommender.movie_ids_of(lists)
    columns = _long(movie_ids, neighbours, lists.scores, champion, "movie_id", "similar_movie_id")
    with database.replace(SIMILAR_MOVIES.name, context.log.info) as replacement:
        written = replacement.write(columns, SIMILAR_MOVIES.kinds)
    best_known = np.argsort(-recommender.likes, kind="stable")[:8]
    titles = titles_of(database, np.unique([movie_ids[best_known], *neighbours[best_known, :3].T]))
    return MaterializeResult(
        metadata={
            **_about(SIMILAR_MOVIES, champion, written),
            "movies": MetadataValue.int(len(movie_ids)),
            "preview": table(
                ["movie", "similar"],
                [
                    [
                        titles.get(int(movie_ids[row]), "?"),
                        "; ".join(titles.get(int(movie), "?") for movie in neighbours[row, :3] if movie >= 0),
                    ]
                    for row in best_known
                ],
            ),
        }
    )


@_writes(POPULAR_MOVIES, champion_model)
def popular_movies(
    context: AssetExecutionContext, postgres: PostgresResource, registry: RegistryResource
) -> MaterializeResult[None]:
    """The movies that most users liked, for people without a rating."""
    database = postgres.open()
    served = load_champion(registry.open(), database)
    champion, recommender = served.version, served.recommender
    lists = recommender.for_nobody(min(POPULAR, len(recommender.ids.movie_ids)))
    movie_ids = recommender.movie_ids_of(lists)[0]
    columns = {
        "rank": np.arange(1, len(movie_ids) + 1),
        "movie_id": movie_ids,
        "score": lists.scores[0],
        "model_version": np.full(len(movie_ids), champion.number),
    }
    with database.replace(POPULAR_MOVIES.name, context.log.info) as replacement:
        written = replacement.write(columns, POPULAR_MOVIES.kinds)
    titles = titles_of(database, movie_ids[:10])
    return MaterializeResult(
        metadata={
            **_about(POPULAR_MOVIES, champion, written),
            "preview": table(
                ["rank", "title", "likes"],
                [
                    [rank, titles.get(int(movie), "?"), int(likes)]
                    for rank, (movie, likes) in enumerate(zip(movie_ids[:10], lists.scores[0], strict=False), start=1)
                ],
            ),
        }
    )


def _about(filled: ServedTable, champion: Version, written: int) -> dict[str, Any]:
    """Metadata of each table: rows, lineage, memory, the version that made the rows, and its dataset."""
    return {
        **rows(written),
        **column_lineage(filled.name),
        **peak_memory(),
        "model_version": MetadataValue.int(champion.number),
        "dataset": MetadataValue.text(str(champion.dataset or "unknown")),
    }


def _long(
    owners: IntArray, found: IntArray, scores: FloatArray, champion: Version, owner_name: str, found_name: str
) -> dict[str, Any]:
    """Lists as columns of a table, without empty positions."""
    rows, ranks, listed, of_listed = TopK(found, scores).entries()
    return {
        owner_name: owners[rows],
        "rank": ranks,
        found_name: listed,
        "score": of_listed,
        "model_version": np.full(len(rows), champion.number),
    }
