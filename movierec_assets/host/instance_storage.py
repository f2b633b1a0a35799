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


class OwnPostgresStorage(DagsterPostgresStorage):
    """`DagsterPostgresStorage` that refuses the database of a copied `.env`."""

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
        return super().from_config_value(inst_data, config_value)
