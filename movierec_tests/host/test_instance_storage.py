"""What Dagster's storage asks its database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dagster import AssetKey, DagsterInstance
from sqlalchemy import Engine, event

from movierec_assets.host import instance_storage
from movierec_assets.settings import Settings


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


def test_columns_of_the_table_of_asset_keys_are_asked_for_once(platform_settings: Settings) -> None:
    assert platform_settings.database_url is not None
    instance_storage._columns.clear()
    key = [AssetKey("raw_ratings")]
    with DagsterInstance.get() as instance, statements() as first:
        assert instance.get_asset_records(key) == []
    with DagsterInstance.get() as instance, statements() as later:
        assert instance.get_asset_records(key) == []
    asked, again = ([each for each in found if "pg_catalog" in each] for found in (first, later))
    assert asked
    assert again == []
