"""Dagster's storage in Postgres.

Belongs here: refusing the database of another directory, in every process that opens the instance, `dg` included. Does
not: the storage itself, which is dagster-postgres'.

Dagster concept: instance configuration, https://docs.dagster.io/deployment/oss/dagster-yaml
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage

from movierec_assets.host.env_file import require_own
from movierec_assets.sql.alembic_paths import allow_percent

_found: set[str] = set()
"""Configurations of databases in which this process has seen Dagster's tables."""


class OwnPostgresStorage(DagsterPostgresStorage):
    """`DagsterPostgresStorage` that refuses the database of a copied `.env`, and looks for its tables once.

    Each tick of a sensor opens the instance. Looking for the tables took three connections each time.
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
        return storage
