"""One database for all tests of a room, because copying the template takes longer than most tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.migrations import migrate
from movierec_tests.databases import own_databases
from movierec_tests.defs.harness import empty


@pytest.fixture(scope="package")
def shared_database(server_url: str) -> Iterator[Database]:
    """A ratings database, with others beside it, that is not emptied between the examples of a property test."""
    with own_databases(server_url) as url:
        yield Database(url)


@pytest.fixture
def database(shared_database: Database) -> Database:
    """The room's database, emptied."""
    empty(shared_database)
    return shared_database


@pytest.fixture
def empty_database(database: Database) -> Iterator[Database]:
    """The room's database without the schema; the schema is created again at the end."""
    drop = f"DROP SCHEMA {SCHEMA} CASCADE"
    with database.transaction() as cursor:
        cursor.execute(drop)
    yield database
    with database.transaction() as cursor:
        cursor.execute(drop)
    migrate(database)
