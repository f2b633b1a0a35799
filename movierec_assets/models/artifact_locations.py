"""Locations of MLflow's artifacts: as URIs in its database, and as directories on this machine.

Belongs here: the conversion between both, and URIs that earlier releases stored. Does not: the files (`package`,
`version_files`).

Without an MLflow server, the URIs have the form `mlflow-artifacts:/...`, relative to the directory of artifacts in the
state directory. MLflow's own server uses the same form, so its UI and its clients find the files as well. The URIs stay
valid when the state directory is moved or restored, or is mounted at different paths on two machines.

MLflow concept: https://mlflow.org/docs/latest/self-hosting/architecture/artifact-store/
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import psycopg2
from psycopg2 import sql

from movierec_assets.database_urls import DatabaseUrls
from movierec_assets.settings import get_settings
from movierec_assets.sql.alembic_paths import allow_percent

if TYPE_CHECKING:
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

SCHEME = "mlflow-artifacts"
ROOT = f"{SCHEME}:/"
"""URI of the directory of artifacts itself."""

_URI_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Columns of MLflow's database with URIs of artifacts."""

_directories: dict[str, Path] = {}


def use(uri: str, directory: Path) -> None:
    """Let MLflow in this process find the artifacts of a database without a server.

    Parameters
    ----------
    uri : str
        Tracking URI.
    directory : Path
        Directory of the artifacts.
    """
    from mlflow.store.artifact import artifact_repository_registry  # noqa: PLC0415

    allow_percent()
    _directories[uri] = directory
    repositories: Any = artifact_repository_registry._artifact_repository_registry
    repositories.register(SCHEME, repository)


def repository(
    artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
) -> ArtifactRepository:
    """MLflow's access to a relative URI: through the server when there is one, else to the files.

    It is MLflow's plug-in as well, for every process that has this package installed.
    """
    from mlflow import get_tracking_uri  # noqa: PLC0415
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository  # noqa: PLC0415
    from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository  # noqa: PLC0415

    tracking = tracking_uri or get_tracking_uri()
    if tracking.startswith("http"):
        through_server: ArtifactRepository = MlflowArtifactsRepository(artifact_uri, tracking_uri, registry_uri)
        return through_server
    directory = local_path(artifact_uri, _directories.get(tracking) or get_settings().artifacts)
    return LocalArtifactRepository(str(directory), tracking_uri, registry_uri)


def local_path(uri: str, artifacts: Path) -> Path | None:
    """The directory of a URI; None when it is not on this machine's file system.

    Parameters
    ----------
    uri : str
        As MLflow's database has it.
    artifacts : Path
        Directory to which relative URIs are relative.

    Raises
    ------
    ValueError
        When a relative URI leads out of the directory of artifacts.
    """
    parsed = urlparse(uri)
    if parsed.scheme == SCHEME:
        path = artifacts / parsed.path.lstrip("/")
        if ".." in path.parts:
            raise ValueError(f"{uri} leads out of {artifacts}")
        return path
    if parsed.scheme == "file":
        return Path(url2pathname(parsed.path))
    return Path(uri) if parsed.scheme == "" else None


def make_relative(url: str, experiment: str) -> None:
    """Make absolute URIs of earlier releases relative, so that they stay valid when the state directory moves.

    Call it before the first use of a new database: MLflow's own first use creates the default experiment in the working
    directory, with a statement that fails for a path with an apostrophe.

    Parameters
    ----------
    url : str
        SQLAlchemy URL of MLflow's database, with its tables.
    experiment : str
        Name of the platform's experiment, whose location is the directory of artifacts.
    """
    from mlflow.store.tracking import sqlalchemy_store  # noqa: PLC0415

    store: Any = sqlalchemy_store.SqlAlchemyStore
    with closing(psycopg2.connect(DatabaseUrls.libpq(url))) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT artifact_location FROM experiments WHERE name = %s", [experiment])
        stored = cursor.fetchone()
        if stored is not None and _is_absolute(stored[0]):
            before = stored[0].rstrip("/")
            for table, column in _URI_COLUMNS:
                statement = (
                    "UPDATE {t} SET {c} = %s || ltrim(substr({c}, %s), '/') WHERE {c} = %s OR starts_with({c}, %s)"
                )
                names = {"t": sql.Identifier(table), "c": sql.Identifier(column)}
                cursor.execute(sql.SQL(statement).format(**names), [ROOT, len(before) + 1, before, f"{before}/"])
        cursor.execute("SELECT artifact_location FROM experiments WHERE experiment_id = 0")
        default = cursor.fetchone()
        if default is not None and _is_absolute(default[0]):
            cursor.execute("UPDATE experiments SET artifact_location = %s WHERE experiment_id = 0", [f"{ROOT}0"])
    if default is None:
        # The first use of the store creates the default experiment.
        store(url, ROOT)._dispose_engine()


def _is_absolute(uri: str | None) -> bool:
    return uri is not None and urlparse(uri).scheme in ("", "file")
