"""Dagster's storage in Postgres.

Belongs here: refusing the database of another directory, in every process that opens the instance, `dg` included. Does
not: the storage itself, which is dagster-postgres'.

Dagster concept: instance configuration, https://docs.dagster.io/deployment/oss/dagster-yaml
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage

from movierec_assets.host.env_file import require_own
from movierec_assets.sql.alembic_paths import allow_percent

_found: set[str] = set()
"""Configurations of databases in which this process has seen Dagster's tables."""
_columns: set[tuple[str, str]] = set()
"""The same with columns of the table of asset keys."""


class OwnPostgresStorage(DagsterPostgresStorage):
    """`DagsterPostgresStorage` that refuses the database of a copied `.env`, and looks for its tables once.

    Each tick of a sensor opens the instance. Looking for the tables took three connections each time. Each look at the
    records of assets asked for columns that only older versions of Dagster lack: a quarter of all queries of a run.
    """

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> DagsterPostgresStorage:
        """Make the storage that dagster.yaml describes.

        Raises
        ------
        SettingsError
            When `dg` runs in a copy of the project that still has the `.env` of the original.
        """
        require_own(Path.cwd())
        allow_percent()
        found = str(config_value) in _found
        config: Any = {**config_value, "should_autocreate_tables": False} if found else config_value
        storage = super().from_config_value(inst_data, config)
        _found.add(str(config_value))
        _ask_for_columns_once(storage.event_log_storage, str(config_value))
        return storage


def _ask_for_columns_once(events: EventLogStorage, database: str) -> None:
    """Keep which columns of asset keys are there; no migration of Dagster removes one."""
    assert isinstance(events, SqlEventLogStorage)
    ask = events.has_asset_key_col

    def has(column_name: str) -> bool:
        if (database, column_name) not in _columns and ask(column_name):
            _columns.add((database, column_name))
        return (database, column_name) in _columns

    events.has_asset_key_col = has  # type: ignore[method-assign]
