"""Dagster resources: the database, the registry and the dataset.

Belongs here: the settings that each resource uses, read when a step starts. Does not: the work itself, which is in
`tables`, `models` and `datasets`, without Dagster.

Dagster concept: resources, https://docs.dagster.io/guides/build/external-resources
"""

from __future__ import annotations

from dagster import ConfigurableResource

from movierec_assets.datasets.download import download
from movierec_assets.datasets.keep import AbsentDataset, locate_or_keep
from movierec_assets.datasets.locate import Located
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.settings import Settings, get_settings
from movierec_assets.tables.database import Database
from movierec_assets.tables.known_datasets import loaded_from
from movierec_assets.tables.migrations import require_current
from movierec_assets.tables.reused_connection import database_at


class PostgresResource(ConfigurableResource[None]):
    """The ratings database."""

    url: str | None = None
    """libpq URL; MOVIEREC_DATABASE_URL, or the embedded server, when None."""

    def open(self) -> Database:
        """The database, after a check of its schema version.

        Raises
        ------
        DatabaseUnavailableError
            When it does not answer, or was made by an earlier or later version.
        """
        database = database_at(self.url or get_settings().databases.ratings)
        require_current(database)
        return database


class RegistryResource(ConfigurableResource[None]):
    """The model registry."""

    uri: str | None = None
    """MLflow registry; MOVIEREC_MLFLOW_TRACKING_URI, or MLflow's database, when None."""

    def open(self) -> ModelRegistry:
        """The registry, after a check that it answers.

        Raises
        ------
        RegistryUnavailableError
        """
        registry = ModelRegistry.of(get_settings(), self.uri)
        registry.require_reachable()
        return registry


class DatasetResource(ConfigurableResource[None]):
    """The files to load."""

    choice: str | None = None
    """Release, `demo`, directory or archive; MOVIEREC_DATASET when None."""

    def locate(self, database: Database) -> Located | AbsentDataset:
        """The dataset to load: the one of the settings, else the loaded one.

        A chosen one that is missing is downloaded, and so is the default one while nothing is loaded.
        """
        settings = self._settings()
        return locate_or_keep(settings, loaded_from(database), lambda release: download(release, settings.data))

    def locate_present(self, database: Database) -> Located | AbsentDataset:
        """The same, if it is on this machine; downloads nothing."""
        return locate_or_keep(self._settings(), loaded_from(database), None)

    def _settings(self) -> Settings:
        settings = get_settings()
        return settings if self.choice is None else settings.model_copy(update={"dataset": self.choice})
