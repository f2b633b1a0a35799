"""Dagster's storage in Postgres.

Belongs here: refusing the database of another directory, in every process that opens the instance, `dg` included. Does
not: the storage itself, which is dagster-postgres'.

Dagster concept: instance configuration, https://docs.dagster.io/deployment/oss/dagster-yaml
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage

from movierec_assets.host.env_file import require_own
from movierec_assets.sql.alembic_paths import allow_percent

_found: set[str] = set()
"""Configurations of databases in which this process has seen Dagster's tables."""
_migrated: set[tuple[object, ...]] = set()
"""Questions about the schema of a database that were answered with yes; no migration of Dagster takes one back."""

_ABOUT_EVENTS = ("has_asset_key_col", "has_secondary_index")
_ABOUT_RUNS = (
    "has_run_stats_index_cols",
    "has_bulk_actions_selector_cols",
    "has_backfill_id_column",
    "has_bulk_action_job_name_column",
    "has_backfill_tags_table",
    "has_built_index",
)
_ABOUT_SCHEDULES = (
    "has_instigators_table",
    "_has_instigators_table",
    "_has_asset_daemon_asset_evaluations_table",
    "has_secondary_index_table",
    "has_built_index",
)
"""Methods that ask the database whether a migration of an older version of Dagster has been made."""


class OwnPostgresStorage(DagsterPostgresStorage):
    """`DagsterPostgresStorage` that refuses the database of a copied `.env`, and looks at its schema once.

    Each tick of a sensor opens the instance. Looking for the tables took three connections each time, and each look at
    runs, ticks or assets asked again whether the migrations of older versions have been made: a quarter of all queries
    of a run, and half of those of a sensor.
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
        for part, names in (
            (storage.event_log_storage, _ABOUT_EVENTS),
            (storage.run_storage, _ABOUT_RUNS),
            (storage.schedule_storage, _ABOUT_SCHEDULES),
        ):
            for name in names:
                setattr(part, name, _asked_once(getattr(part, name), (str(config_value), type(part), name)))
        return storage


def _asked_once(ask: Callable[..., bool], about: tuple[object, ...]) -> Callable[..., bool]:
    """A method that asks the database until the answer is yes, for each name that it is given."""

    def has(*arguments: Any) -> bool:
        # An argument may also be the connection to ask by.
        key = (*about, *(each for each in arguments if isinstance(each, str)))
        if key not in _migrated and ask(*arguments):
            _migrated.add(key)
        return key in _migrated

    return has
