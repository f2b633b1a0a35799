"""Platforms for tests: databases, a state directory, and runs of jobs in them.

Belongs here: functions with which several test modules run the graph and write rows. Does not: claims.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, ExecuteInProcessResult
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.definitions import build
from movierec_assets.host.environment import variables
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import Version
from movierec_assets.recsys.backtest import Month
from movierec_assets.resources.kept_connections import keep_connections
from movierec_assets.settings import Settings, get_settings
from movierec_assets.tables.binary_copy import Kind
from movierec_assets.tables.database import SCHEMA, Database, Replacement
from movierec_assets.tables.reused_connection import reusing_connections
from movierec_tests.databases import own_databases

_OURS = ("MOVIEREC_", "DAGSTER_", "MLFLOW_")


@dataclass(frozen=True)
class Platform:
    """Databases and directories, and the environment variables that name them."""

    environment: dict[str, str]
    settings: Settings

    @property
    def database(self) -> Database:
        return Database(self.settings.databases.ratings)

    @property
    def registry(self) -> ModelRegistry:
        return ModelRegistry.of(self.settings)

    def champion(self) -> Version:
        return Promotions(self.registry, self.database).champion()

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Set the variables for one test; before each test, settings are removed from the environment."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)


@contextmanager
def own_platform(server_url: str, directory: Path, dataset: Path) -> Iterator[Platform]:
    """A platform in a directory, for several tests; its variables are set until the first test begins."""
    saved = dict(os.environ)
    with own_databases(server_url) as url:
        for name in [name for name in os.environ if name.startswith(_OURS)]:
            del os.environ[name]
        environment = {
            "MOVIEREC_STATE_DIR": str(directory / "state"),
            "MOVIEREC_DATA_DIR": str(directory / "data"),
            "MOVIEREC_DATABASE_URL": url,
            "MOVIEREC_DATASET": str(dataset),
        }
        os.environ.update(environment)
        environment |= variables(get_settings())
        os.environ.update(environment)
        try:
            yield Platform(environment, get_settings())
        finally:
            os.environ.clear()
            os.environ.update(saved)


@contextmanager
def copied_platform(original: Platform, directory: Path, dataset: Path) -> Iterator[Platform]:
    """A copy of a platform in another directory, with all that its runs left behind; see `own_platform`."""
    shutil.copytree(original.settings.state, directory / "state", symlinks=True)
    with own_platform(original.environment["MOVIEREC_DATABASE_URL"], directory, dataset) as platform:
        yield platform


RETRAIN = {"ops": {"als_model": {"config": {"retrain": True}}}}
"""Configuration of a run that trains although nothing has changed."""


def run(
    job: str = "everything",
    *assets: str,
    resources: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
) -> ExecuteInProcessResult:
    """Run a job, or some of its assets, in this process, in the Dagster instance that the environment names."""
    with DagsterInstance.get() as instance, reusing_connections():
        keep_connections(instance)  # both as the platform's executor does, which is not used here
        return (
            build(resources)
            .resolve_job_def(job)
            .execute_in_process(
                instance=instance,
                raise_on_error=False,
                run_config=dict(config or {}),
                tags=dict(tags or {}),
                asset_selection=[AssetKey(asset) for asset in assets] or None,
            )
        )


def backtested(first: Month, last: Month) -> ExecuteInProcessResult:
    """Run the job `backtest` over some months, as a backfill does."""
    tags = {ASSET_PARTITION_RANGE_START_TAG: str(first), ASSET_PARTITION_RANGE_END_TAG: str(last)}
    return run("backtest", tags=tags)


def metadata_of(result: ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Metadata of each asset that a run materialized, as plain values."""
    found: dict[str, dict[str, Any]] = {}
    for event in result.get_asset_materialization_events():
        materialization = event.step_materialization_data.materialization
        found[materialization.asset_key.to_user_string()] = {
            name: value.value for name, value in materialization.metadata.items()
        }
    return found


def failed_checks(result: ExecuteInProcessResult) -> dict[str, str]:
    """Names of checks that did not pass, and their descriptions."""
    return {
        evaluation.check_name: str(evaluation.description)
        for evaluation in result.get_asset_check_evaluations()
        if not evaluation.passed
    }


def failures_of(result: ExecuteInProcessResult) -> dict[str, str]:
    """Names of steps that failed, and messages of the innermost errors."""
    found = {}
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            found[str(event.step_key)] = error.message if error is not None else ""
    return found


def empty(database: Database) -> None:
    """Delete all rows of a ratings database."""
    replaced = ("movies", "ratings", "user_recommendations", "similar_movies", "popular_movies", "trending_movies")
    others = (
        "rating_histories",
        "rating_totals",
        "user_totals",
        "app_ratings",
        "app_users",
        "rejected_ratings",
        "loads",
        "datasets",
    )
    shown = ("served", "events", "served_feedback", "idempotency_keys", "alerts", "alert_deliveries", "insights")
    tables = ", ".join(f"{SCHEMA}.{table}" for table in (*replaced, *others, *shown))
    with database.transaction() as cursor:
        cursor.execute(f"TRUNCATE {tables} RESTART IDENTITY")
        cursor.execute(f"REFRESH MATERIALIZED VIEW {SCHEMA}.eligible_users")


def load_films(database: Database, movie_ids: Iterable[int]) -> None:
    """Replace the catalogue by these movies, for tests that write ratings without a file."""
    with database.replace("movies") as table:
        names = ("movie_id", "title", "year", "genres", "imdb_id", "tmdb_id")
        table.write_rows(names, [(movie, f"Film {movie}", 1999, ["Drama"], None, None) for movie in movie_ids])


def new_app_users(cursor: Cursor, count: int = 1) -> list[int]:
    """Create users of the app; returns their ids."""
    cursor.execute(f"INSERT INTO {SCHEMA}.app_users SELECT FROM generate_series(1, %s) RETURNING user_id", [count])
    return [user_id for (user_id,) in cursor.fetchall()]


RATING_COLUMNS: dict[str, Kind] = {
    "user_id": "integer",
    "movie_id": "integer",
    "rating": "real",
    "rated_at": "timestamptz",
}
"""Columns that a test writes into `ratings`."""


def count_users(ratings: Replacement) -> None:
    """Write the totals of users of new ratings, for tests that write ratings without a file."""
    ratings.cursor.execute(f"DELETE FROM {SCHEMA}.user_totals")
    counted = "INSERT INTO {}.user_totals SELECT user_id, count(*) FROM {} GROUP BY user_id"
    ratings.cursor.execute(sql.SQL(counted).format(sql.Identifier(SCHEMA), ratings.relation))
