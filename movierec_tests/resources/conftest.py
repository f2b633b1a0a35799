"""One database for all tests of this room: copying the templates takes longer than most of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from movierec_assets.resources.database import SCHEMA, Database
from movierec_tests.defs.harness import own_databases

REPLACED = ("movies", "ratings", "user_recommendations", "similar_movies", "popular_movies")


@pytest.fixture(scope="package")
def shared_database(server_url: str) -> Iterator[Database]:
    """A ratings database that nobody empties, as for property tests."""
    with own_databases(server_url) as url:
        yield Database(url)


@pytest.fixture
def database(shared_database: Database) -> Database:
    """The room's database, emptied."""
    with shared_database.transaction() as cursor:
        tables = ", ".join(f"{SCHEMA}.{table}" for table in (*REPLACED, "app_ratings", "rejected_ratings", "loads"))
        cursor.execute(f"TRUNCATE {tables} RESTART IDENTITY")
        cursor.execute(f"REFRESH MATERIALIZED VIEW {SCHEMA}.eligible_users")
    return shared_database
