"""MLflow as the platform reaches it: the client, whether it answers, and the experiment with its runs.

Belongs here: access that searches, trainings and versions share. Does not: versions and aliases (`registry`).
MLflow is imported at first use, because the import takes over a second.

MLflow concept: https://mlflow.org/docs/latest/ml/tracking/
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import psycopg2
from sqlalchemy.engine import make_url

from movierec_assets import full_disk
from movierec_assets.database_urls import DatabaseUrls
from movierec_assets.models import artifact_locations
from movierec_assets.models.errors import RegistryUnavailableError
from movierec_assets.models.registry_lookup import MISSING
from movierec_assets.models.version import EXPERIMENT
from movierec_assets.progress import Log
from movierec_assets.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

# With its defaults the client keeps a caller waiting for four minutes when the server is away.
_CLIENT_LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
_PROBE_SECONDS = 5

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class MlflowConnection:
    """An MLflow server, or MLflow's database where there is no server.

    Parameters
    ----------
    uri : str
        Tracking and registry URI: an MLflow server, or the SQLAlchemy URL of its database.
    artifacts : Path
        Directory of artifacts where there is no server.
    """

    def __init__(self, uri: str, artifacts: Path) -> None:
        self.uri = uri
        self._artifacts = artifacts

    @classmethod
    def of(cls, settings: Settings, uri: str | None = None) -> Self:
        """The MLflow of a platform; at another address than its settings name when `uri` is given."""
        return cls(uri or settings.mlflow_uri, settings.artifacts)

    @cached_property
    def client(self) -> MlflowClient:
        """The MLflow client."""
        for name, value in _CLIENT_LIMITS.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient  # noqa: PLC0415

        artifact_locations.use(self.uri, self._artifacts)
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def require_reachable(self) -> None:
        """Check within seconds that MLflow answers; its own client tries for minutes.

        Raises
        ------
        RegistryUnavailableError
        """
        try:
            if self.uri.startswith("http"):
                import requests  # noqa: PLC0415

                # Any answer will do: a proxy in front of MLflow may know no /health.
                requests.get(f"{self.uri.rstrip('/')}/health", timeout=_PROBE_SECONDS)
                return
            if not self.uri.startswith("postgresql"):
                return
            with closing(psycopg2.connect(DatabaseUrls.libpq(self.uri), connect_timeout=_PROBE_SECONDS)):
                pass
        except (OSError, psycopg2.OperationalError) as error:  # all errors of requests are OSErrors
            where = make_url(self.uri).render_as_string(hide_password=True)
            raise RegistryUnavailableError(
                f"MLflow does not answer at {where}; the champion is as it was. "
                "Start its server, or correct MOVIEREC_MLFLOW_TRACKING_URI."
            ) from error

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """Raise one clear error when MLflow is away at the beginning of the block or goes away during it.

        Raises
        ------
        RegistryUnavailableError
        """
        self.require_reachable()
        try:
            yield
        except Exception as error:
            if type(error).__module__.startswith("mlflow."):
                self.require_reachable()
            raise

    def ensure_experiment(self, log: Log = _log.warning) -> str:
        """Create the experiment, or restore it when it was deleted in MLflow; returns its id.

        MLflow's default, where there is no server, is a directory of artifacts under the working directory.
        """
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        found = self.client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            location = None if self._through_server else artifact_locations.ROOT
            try:
                return str(self.client.create_experiment(EXPERIMENT, artifact_location=location))
            except MlflowException:
                found = self.client.get_experiment_by_name(EXPERIMENT)
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
            log(f"The experiment {EXPERIMENT} was deleted in MLflow; it is restored, with its runs.")
        return str(found.experiment_id)

    @property
    def _through_server(self) -> bool:
        return self.uri.startswith("http")

    def log_files(self, run_id: str, directory: str, files: Mapping[str, bytes]) -> None:
        """Log files, by name, as artifacts of a run.

        Raises
        ------
        DiskFullError
        """
        with (
            full_disk.explained(f"{directory} of the MLflow run"),
            tempfile.TemporaryDirectory(prefix="movierec-") as scratch,
        ):
            for name, content in files.items():
                (Path(scratch) / name).write_bytes(content)
            self.client.log_artifacts(run_id, scratch, directory)

    def remove_files(self, location: str, path: str | None = None) -> None:
        """Remove the artifacts at a location of MLflow, or one of them; none there is no error."""
        self._repository(location).delete_artifacts(path)

    def file_of(self, run_id: str, path: str, scratch: str) -> Path:
        """An artifact of a run: its file where that is on this machine, else a copy in the directory `scratch`.

        Raises
        ------
        DiskFullError
            When there is no room for the copy. MLflow's client says then that the path is wrong.
        """
        location = str(self.client.get_run(run_id).info.artifact_uri)
        directory = None if self._through_server else artifact_locations.local_path(location, self._artifacts)
        if directory is not None:
            return directory / path
        with full_disk.explained(f"a copy of {path}"):
            return Path(self._repository(location).download_artifacts(path, scratch))

    def _repository(self, location: str) -> Any:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository  # noqa: PLC0415

        artifact_locations.use(self.uri, self._artifacts)
        return get_artifact_repository(location, tracking_uri=self.uri, registry_uri=self.uri)

    def end_run(self, run_id: str, status: str) -> bool:
        """End a run that is still marked as running; False when it has ended already."""
        run = self.client.get_run(run_id)
        if run.info.status != "RUNNING":
            return False
        self.client.set_terminated(run_id, status=status)
        return True

    def runs_of(self, dagster_run_id: str) -> list[str]:
        """MLflow runs that a Dagster run started."""
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return []
        found = self.client.search_runs([experiment.experiment_id], f"tags.dagster_run_id = '{dagster_run_id}'")
        return [run.info.run_id for run in found]

    def unfinished_runs(self) -> dict[str, str]:
        """MLflow runs of training steps that are marked as running, with the Dagster run that started each."""
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return {}
        found = self.client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'")
        return {run.info.run_id: tag for run in found if (tag := run.data.tags.get("dagster_run_id"))}


def if_present(ask: Callable[[], _T]) -> _T | None:
    """MLflow's answer; None when it has no such alias, version or run."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        return ask()
    except MlflowException as error:
        if error.error_code in MISSING:
            return None
        raise
