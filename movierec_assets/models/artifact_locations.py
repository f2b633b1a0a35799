"""Where MLflow's artifacts are: places as its database names them, and files on this machine.

Belongs here: both directions between a place and a directory, and places that earlier releases stored. What the files
hold is in `model_package`; versions and aliases are in `registry`.

Without an MLflow server, places have the form `mlflow-artifacts:/...`, relative to the directory of artifacts in the
state directory. MLflow's own server takes the same form, so its UI and its clients find the files as well. A state
directory that is moved, restored or mounted elsewhere takes its places along, and two machines with one database may
mount it at different paths.

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

from movierec_assets.settings import DatabaseUrls, get_settings
from movierec_assets.sql.alembic_paths import allow_percent

if TYPE_CHECKING:
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

SCHEME = "mlflow-artifacts"
ROOT = f"{SCHEME}:/"
"""Place of the directory of artifacts itself."""

_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Columns of MLflow's database that name places."""

_directories: dict[str, Path] = {}


def use(uri: str, directory: Path) -> None:
    """Let MLflow in this process find the artifacts of a database without a server.

    Parameters
    ----------
    uri : str
        Tracking URI.
    directory : Path
        Where the artifacts are.
    """
    from mlflow.store.artifact import artifact_repository_registry  # noqa: PLC0415

    allow_percent()
    _directories[uri] = directory
    repositories: Any = artifact_repository_registry._artifact_repository_registry
    repositories.register(SCHEME, repository)


def repository(
    artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
) -> ArtifactRepository:
    """MLflow's access to a relative place: through the server when there is one, else to the files.

    Also the plug-in for whoever uses MLflow's database with this package installed.
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


def local_path(place: str, artifacts: Path) -> Path | None:
    """The directory that a place names; None when it is not on this machine's file system.

    Parameters
    ----------
    place : str
        As MLflow's database has it.
    artifacts : Path
        What relative places are relative to.

    Raises
    ------
    ValueError
        When a relative place leads out of the directory of artifacts.
    """
    parsed = urlparse(place)
    if parsed.scheme == SCHEME:
        path = artifacts / parsed.path.lstrip("/")
        if ".." in path.parts:
            raise ValueError(f"{place} leads out of {artifacts}")
        return path
    if parsed.scheme == "file":
        return Path(url2pathname(parsed.path))
    return Path(place) if parsed.scheme == "" else None


def make_relative(url: str, experiment: str) -> None:
    """Rewrite what earlier releases stored: absolute places, which the state directory left behind when it moved.

    Call it before anybody uses a new database: MLflow would give its default experiment a place in the working
    directory, by a statement that an apostrophe in the path breaks.

    Parameters
    ----------
    url : str
        SQLAlchemy URL of MLflow's database, with its tables.
    experiment : str
        Name of the platform's experiment, whose place is the directory of artifacts.
    """
    from mlflow.store.tracking import sqlalchemy_store  # noqa: PLC0415

    store: Any = sqlalchemy_store.SqlAlchemyStore
    with closing(psycopg2.connect(DatabaseUrls.libpq(url))) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT artifact_location FROM experiments WHERE name = %s", [experiment])
        stored = cursor.fetchone()
        if stored is not None and _is_absolute(stored[0]):
            before = stored[0].rstrip("/")
            for table, column in _PLACES:
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
        # Its first use creates the default experiment.
        store(url, ROOT)._dispose_engine()


def _is_absolute(place: str | None) -> bool:
    return place is not None and urlparse(place).scheme in ("", "file")
