"""Advisory locks exclude each other, also those of earlier releases, which wrote the query of each lock by hand."""

from __future__ import annotations

from typing import Any

import pytest

from movierec_assets.tables.advisory_locks import release_locks, take_lock
from movierec_assets.tables.database import Database

SESSION: dict[str, Any] = {"until": "session ends"}


@pytest.mark.parametrize(
    ("key", "how", "earlier"),
    [
        ("ratings", {}, "pg_try_advisory_xact_lock(hashtext('movierec.ratings'))"),
        ("schema", SESSION, "pg_try_advisory_lock(hashtext('movierec.schema'))"),
        ("promotion", SESSION, "pg_try_advisory_lock(hashtext('movierec.promotion'))"),
        ("run", SESSION | {"bits": 64}, "pg_try_advisory_lock(hashtextextended('movierec.run', 0))"),
        (7_205_751, SESSION, "pg_try_advisory_lock(7205751)"),
    ],
)
@pytest.mark.parametrize("wait", [True, False])
def test_a_lock_excludes_the_same_lock_of_earlier_releases(
    database: Database, key: str | int, how: dict[str, Any], earlier: str, wait: bool
) -> None:
    with database.transaction() as cursor:
        assert take_lock(cursor, key, wait=wait, **how)
        assert database.scalar(f"SELECT {earlier}") is False
        release_locks(cursor)  # the end of a session gives them back a moment later
    assert database.scalar(f"SELECT {earlier}") is True


def test_a_held_lock_is_not_taken_without_waiting(database: Database) -> None:
    with database.transaction() as cursor, database.transaction() as other:
        assert take_lock(cursor, "ratings", wait=False)
        assert not take_lock(other, "ratings", wait=False)
        assert take_lock(other, "movies", wait=False)


def test_locks_of_a_session_are_free_at_once_when_they_are_given_back(database: Database) -> None:
    with database.transaction() as cursor:
        assert take_lock(cursor, "run.1", wait=False, **SESSION)
        assert take_lock(cursor, "run.2", wait=False, **SESSION)
        release_locks(cursor)
        with database.transaction() as other:
            assert take_lock(other, "run.1", wait=False, **SESSION)
            assert take_lock(other, "run.2", wait=False, **SESSION)
