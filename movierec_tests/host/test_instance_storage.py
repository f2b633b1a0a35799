"""What Dagster's storage asks its database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance
from sqlalchemy import Engine, event

from movierec_assets.host import instance_storage


@contextmanager
def statements() -> Iterator[list[str]]:
    """Statements that any engine of SQLAlchemy executes."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


ABOUT_SCHEMA = ("pg_catalog", "secondary_indexes")


def ask_everything() -> None:
    with DagsterInstance.get() as instance:
        assert instance.get_run_records() == []
        assert instance.get_asset_records([AssetKey("raw_ratings")]) == []
        instance.all_instigator_state()
        instance.get_ticks("nobody", "nobody")


@pytest.mark.usefixtures("platform_settings")
def test_an_instance_that_is_opened_again_asks_no_more_about_the_schema() -> None:
    instance_storage._migrated.clear()
    with statements() as first:
        ask_everything()
    with statements() as later:
        ask_everything()
    asked, again = ([each for each in found if any(name in each for name in ABOUT_SCHEMA)] for found in (first, later))
    assert len(asked) > 3
    assert later
    assert again == []


@pytest.mark.usefixtures("platform_settings")
def test_a_migration_that_is_not_made_yet_is_asked_for_again() -> None:
    with DagsterInstance.get() as instance:
        runs: Any = instance.run_storage
        assert not runs.has_built_index("of a later version")
        runs.mark_index_built("of a later version")
        assert runs.has_built_index("of a later version")
