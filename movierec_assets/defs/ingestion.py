"""From files to tables: movies, ratings, and the users who are learned from.

Belongs here: the assets of the group `ingestion`. Does not: reading files (`datasets`), loading (`tables.loading`).

Dagster concept: software-defined assets, https://docs.dagster.io/guides/build/assets
"""

from pathlib import Path
from typing import Any

import numpy as np
from dagster import AssetExecutionContext, AssetMaterialization, DataVersion, MaterializeResult, MetadataValue, asset
from dagster._core.storage.tags import SCHEDULE_NAME_TAG

from movierec_assets.datasets.keep import AbsentDataset
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.locate import Located
from movierec_assets.defs.column_lineage import column_lineage
from movierec_assets.defs.half_written import wait_until_complete
from movierec_assets.defs.presentation import (
    DATA_TEAM,
    INGESTION,
    long_tail,
    peak_memory,
    rating_histogram,
    rows,
    schema,
    table,
)
from movierec_assets.defs.progress import megabytes, report_progress
from movierec_assets.defs.run_limits import POOL
from movierec_assets.defs.sources import require_ratings, sources_of
from movierec_assets.ratings import ELIGIBLE_ABOVE
from movierec_assets.resources.configurable import DatasetResource, PostgresResource
from movierec_assets.resources.provenance import SOURCES
from movierec_assets.sql import read_sql
from movierec_assets.tables.app_ratings import update_rejects
from movierec_assets.tables.app_users import refresh_eligible_users
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.dataset_document import refresh_dataset_document
from movierec_assets.tables.loading import Loaded, as_loaded, load_movies, load_ratings, rejected_examples

DATA_VERSION_TAG = "dagster/data_version"
"""Dagster's tag for the version of an asset's content."""


@asset(
    group_name=INGESTION,
    pool=POOL,
    kinds={"postgres", "csv"},
    owners=[DATA_TEAM],
    code_version="1",
    metadata=schema(
        movie_id=("integer", "MovieLens id, primary key"),
        title=("text", "As in movies.csv, the year included"),
        year=("smallint", "Parsed from the end of the title"),
        genres=("text[]", "Empty where none is listed"),
        imdb_id=("text", "As in tt0114709, from links.csv"),
        tmdb_id=("integer", "Id at themoviedb.org, from links.csv"),
    )
    | {"table": f"{SCHEMA}.movies"},
)
def raw_movies(
    context: AssetExecutionContext, postgres: PostgresResource, dataset: DatasetResource
) -> MaterializeResult[None]:
    """The catalogue: title, year, genres and external ids of each movie, from the dataset's files."""
    database = postgres.open()
    located = _complete(context, dataset, database)
    if isinstance(located, AbsentDataset):
        context.log.warning(located.reason)
        loaded = as_loaded(database, "movies")
    else:
        context.log.info(located.reason)
        files = located.files
        loaded = report_progress(
            context.log,
            f"Comparing {files.movie_file.name} with what was loaded",
            lambda log: load_movies(database, files, megabytes(log, "Looked over")),
        )
        context.log.info(_outcome("movies", loaded))
    return MaterializeResult(
        data_version=DataVersion(loaded.content_hash), metadata=_about_movies(loaded, located, database)
    )


@asset(
    group_name=INGESTION,
    pool=POOL,
    deps=[raw_movies],
    kinds={"postgres", "csv"},
    owners=[DATA_TEAM],
    code_version="1",
    metadata=schema(
        user_id=("integer", "MovieLens id; primary key with movie_id"),
        movie_id=("integer", "In raw_movies"),
        rating=("real", "0.5 to 5.0 stars in half stars"),
        line=("integer", "Line in the file of ratings, from 1; 0 where the row did not come from a file"),
        rated_at=("timestamptz", "UTC"),
    )
    | {"table": f"{SCHEMA}.ratings"},
)
def raw_ratings(
    context: AssetExecutionContext, postgres: PostgresResource, dataset: DatasetResource
) -> MaterializeResult[None]:
    """Every valid rating of the dataset's file, one per user and movie; other rows are kept in `rejected_ratings`.

    Where the catalogue is empty or older than the file of movies, it is loaded first and recorded as raw_movies.
    """
    database = postgres.open()
    located = _complete(context, dataset, database)
    loaded = _load_ratings(context, located, database)
    if loaded.movies is not None:
        context.log.info(f"{_outcome('movies', loaded.movies)}, because raw_movies did not hold the dataset's")
        context.log_event(
            AssetMaterialization(
                asset_key=raw_movies.key,
                metadata=_about_movies(loaded.movies, located, database),
                tags={DATA_VERSION_TAG: loaded.movies.content_hash},
            )
        )
    rejected, name_of_file = loaded.details["rejected"], loaded.details.get("name", "ratings.csv")
    if rejected:
        context.log.warning(f"{sum(rejected.values()):,} rows did not load, see {SCHEMA}.rejected_ratings: {rejected}")
    assumed_utc = loaded.details.get("assumed_utc", 0)
    if assumed_utc:
        context.log.info(f"The times of {assumed_utc:,} ratings name no zone; they were taken as UTC")
    totals = database.columns(
        f"SELECT movie_id, rating, ratings FROM {SCHEMA}.rating_totals",
        {"movie_id": "integer", "rating": "real", "ratings": "bigint"},
    )
    stars, counts = totals["rating"], totals["ratings"]
    per_movie = np.bincount(np.unique(totals["movie_id"], return_inverse=True)[1], counts).astype(np.int64)
    most_rated = database.rows(read_sql("most_rated"))
    refresh_dataset_document(database)
    return MaterializeResult(
        data_version=DataVersion(loaded.content_hash),
        metadata={
            **rows(loaded.details["rows"]),
            **column_lineage("raw_ratings"),
            "dataset": MetadataValue.text(located.name),
            "file": MetadataValue.path(str(_rating_file(located))),
            "times_taken_as_utc": MetadataValue.int(assumed_utc),
            "reloaded": MetadataValue.bool(loaded.reloaded),
            "appended_rows": MetadataValue.int(loaded.appended or 0),
            "rows_read": MetadataValue.int(loaded.details["rows_read"]),
            "rows_without_missing_values": MetadataValue.int(loaded.details["rows_complete"]),
            "rejected_rows": MetadataValue.int(sum(rejected.values())),
            "rejected_by_reason": MetadataValue.json(rejected),
            "rejected_examples": table(["line", "reason", "text"], list(rejected_examples(database, name_of_file))),
            "mean_rating": MetadataValue.float(float(np.average(stars, weights=counts))),
            "rated_movies": MetadataValue.int(len(per_movie)),
            "histogram": rating_histogram(stars, counts),
            "long_tail": long_tail(per_movie),
            "preview": table(["title", "ratings", "mean rating"], most_rated),
            **peak_memory(),
        },
    )


@asset(
    group_name=INGESTION,
    pool=POOL,
    deps=[raw_ratings],
    kinds={"postgres", "view"},
    owners=[DATA_TEAM],
    code_version="1",
    metadata=schema(
        user_id=("integer", "Unique"),
        ratings=("integer", f"Ratings of the user, in the file and in the app; more than {ELIGIBLE_ABOVE}"),
    )
    | {"table": f"{SCHEMA}.eligible_users"},
)
def eligible_users(context: AssetExecutionContext, postgres: PostgresResource) -> MaterializeResult[None]:
    """Users with enough ratings to be learned from: a materialized view over the ratings of the file and of the app.

    It is refreshed concurrently: readers do not wait.
    """
    database = postgres.open()
    require_ratings(database, "eligible_users")
    sources = sources_of(database)
    if rejected := update_rejects(database):
        context.log.warning(
            f"{rejected:,} ratings of the app do not count, their movies are not in the catalogue; see "
            f"{SCHEMA}.rejected_ratings, file app_ratings"
        )
    before = database.scalar(f"SELECT count(*) FROM {SCHEMA}.eligible_users")

    def refresh() -> None:
        with database.transaction() as cursor:
            refresh_eligible_users(cursor)

    report_progress(context.log, "Counting ratings of each user", lambda _: refresh())
    count, smallest, median, largest = database.rows(read_sql("users_by_ratings"))[0]
    users = database.scalar(f"SELECT count(*) FROM {SCHEMA}.rating_users")
    context.log.info(f"{count:,} of {users:,} users have more than {ELIGIBLE_ABOVE} ratings")
    preview = database.rows(
        f"SELECT user_id, ratings FROM {SCHEMA}.eligible_users ORDER BY ratings DESC, user_id LIMIT 5"
    )
    return MaterializeResult(
        metadata={
            **rows(count),
            **column_lineage("eligible_users"),
            SOURCES: MetadataValue.json(sources),
            "rows_before": MetadataValue.int(before),
            "users_with_any_rating": MetadataValue.int(users),
            "rejected_app_ratings": MetadataValue.int(rejected),
            "ratings_per_user": MetadataValue.json({"fewest": smallest, "median": median, "most": largest}),
            "preview": table(["user_id", "ratings"], [[str(user), ratings] for user, ratings in preview]),
            **peak_memory(),
        }
    )


def _complete(context: AssetExecutionContext, dataset: DatasetResource, database: Database) -> Located | AbsentDataset:
    """The dataset; in a run of a schedule, as soon as nobody writes its files."""

    def files() -> MovieLensFiles | None:
        located = dataset.locate(database)
        return located.files if isinstance(located, Located) else None

    if SCHEDULE_NAME_TAG in context.run.tags:
        wait_until_complete(files, context.log.info)
    return dataset.locate(database)


def _load_ratings(context: AssetExecutionContext, located: Located | AbsentDataset, database: Database) -> Loaded:
    if isinstance(located, AbsentDataset):
        context.log.warning(located.reason)
        return as_loaded(database, "ratings")
    files = located.files
    loaded = report_progress(
        context.log,
        f"Comparing {files.rating_file.name} with what was loaded",
        lambda log: load_ratings(database, files, megabytes(log, "Read"), log),
    )
    context.log.info(_outcome("ratings", loaded))
    return loaded


def _rating_file(located: Located | AbsentDataset) -> Path:
    return located.files.rating_file.shown if isinstance(located, Located) else located.source


def _about_movies(
    loaded: Loaded, located: Located | AbsentDataset, database: Database
) -> dict[str, MetadataValue[Any]]:
    if isinstance(located, Located):
        source, written = located.files.source, located.files.format
    else:
        source, written = located.source, "not loaded from files"
    preview = database.rows(
        f"SELECT movie_id, title, array_to_string(genres, ', '), imdb_id FROM {SCHEMA}.movies ORDER BY movie_id LIMIT 8"
    )
    return {
        **rows(loaded.details["rows"]),
        "dataset": MetadataValue.text(located.name),
        "why_this_dataset": MetadataValue.text(located.reason),
        "directory": MetadataValue.path(str(source)),
        "format": MetadataValue.text(written),
        "reloaded": MetadataValue.bool(loaded.reloaded),
        "rejected_rows": MetadataValue.int(sum(loaded.details["rejected"].values())),
        "rejected_by_reason": MetadataValue.json(loaded.details["rejected"]),
        "with_year": MetadataValue.int(loaded.details["with_year"]),
        "with_imdb_id": MetadataValue.int(loaded.details["with_imdb_id"]),
        "preview": table(["movie_id", "title", "genres", "imdb_id"], [[str(row[0]), *row[1:]] for row in preview]),
        **peak_memory(),
    }


def _outcome(rows_of: str, loaded: Loaded) -> str:
    count = loaded.details["rows"]
    if loaded.appended is not None:
        return f"Merged {loaded.appended:,} new rows: {count:,} {rows_of} now"
    return f"Loaded {count:,} {rows_of}" if loaded.reloaded else f"Unchanged file: {count:,} {rows_of} stay as they are"
