"""Making a backup.

Belongs here: what goes into the archive, and verifying it. Does not: the moment it is of (`moment`), the file format
(`archive`), restoring (`restoring`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from movierec_assets.backup.archive import ArchiveWriter, writing
from movierec_assets.backup.manifest import Champion, DumpedDatabase, Manifest
from movierec_assets.backup.moment import Frozen, Moment, moment_of, only_one
from movierec_assets.backup.storages import visible_files
from movierec_assets.postgres.dumps import client, dump
from movierec_assets.progress import Log
from movierec_assets.settings import Settings
from movierec_assets.sql import SCHEMA
from movierec_assets.tables.database import Database
from movierec_assets.tables.migrations import require_current

STORAGE, ARTIFACTS = "storage", "mlartifacts"
"""Directories in the archive."""
_OF_THIS_MACHINE = {
    *("home", "state_dir", "data_dir", "storage_url", "backup_dir", "database_url", "embedded_database_url"),
    *("mlflow_tracking_uri", "dagster_webserver", "dagster_public_url", "api_host", "api_public_url", "app_host"),
    *("app_api_url", "app_api_key_file", "api_trusted_proxies"),
}
"""Settings that name directories, and addresses, which may hold a password."""


@dataclass(frozen=True)
class Made:
    """A backup that was made and verified.

    Attributes
    ----------
    path : Path
    bytes : int
    seconds : float
    manifest : Manifest
    """

    path: Path
    bytes: int
    seconds: float
    manifest: Manifest


def make(settings: Settings, path: Path, log: Log = lambda _: None, *, overwrite: bool = False) -> Made:
    """Back up the whole state as it is at one moment; runs may go on meanwhile.

    Parameters
    ----------
    settings : Settings
        Of databases that run and are up to date.
    path : Path
        File to write. It appears when it is complete and every hash in it was compared.
    log : callable
        Called before each step that takes long.
    overwrite : bool
        Replace a file that exists.

    Raises
    ------
    BackupError
        The message says why there is no backup; an earlier file is as it was.
    DumpError, DatabaseUnavailableError
    """
    began = time.monotonic()
    path = path.expanduser().absolute()
    require_current(Database(settings.databases.ratings))
    with only_one(settings.state), writing(path, overwrite=overwrite) as archive:
        with moment_of(settings) as moment:
            manifest = _write(settings, moment, archive, log)
        manifest = archive.finish(manifest)
        log("Comparing the backup with its hashes")
    return Made(path, path.stat().st_size, time.monotonic() - began, manifest)


def _write(settings: Settings, moment: Moment, archive: ArchiveWriter, log: Log) -> Manifest:
    """Write everything but the manifest."""
    made_at = datetime.now(UTC)
    ratings = moment.databases["ratings"]
    major = _major(ratings)
    programs = client(major)
    databases = {}
    for kind, frozen in moment.databases.items():
        size = int(frozen.value("SELECT pg_database_size(current_database())"))
        log(f"Dumping the database of {_SHOWN[kind]} ({size / 1e6:,.0f} MB)")
        member = f"databases/{kind}.dump"
        with archive.member(member) as file:
            dump(frozen.url, file, programs, frozen.snapshot)
        databases[kind] = DumpedDatabase(bytes=size, member=member)
    log(f"Copying matrices, and the files of {len(moment.models.versions)} versions of the model")
    _copy(archive, STORAGE, moment.storage)
    _copy(archive, ARTIFACTS, moment.artifacts)
    dataset = ratings.rows(f"SELECT name FROM {SCHEMA}.loaded_dataset")
    champion = moment.models.champion
    return Manifest(
        made_at=made_at,
        mlflow=version("mlflow") if "mlflow" in databases else None,
        postgres=major,
        dumped_by=programs.major,
        databases=databases,
        dataset=dataset[0][0] if dataset else None,
        ratings=int(ratings.value(f"SELECT count(*) FROM {SCHEMA}.ratings")),
        app_ratings=int(ratings.value(f"SELECT count(*) FROM {SCHEMA}.app_ratings")),
        champion=None if champion is None else Champion(version=champion, dataset=moment.models.champion_dataset),
        versions=list(moment.models.versions),
        settings=settings_to_keep(settings),
    )


_SHOWN = {"ratings": "the ratings", "dagster": "Dagster", "mlflow": "MLflow"}


def _major(frozen: Frozen) -> int:
    return int(frozen.value("SELECT current_setting('server_version_num')::integer / 10000"))


def _copy(archive: ArchiveWriter, into: str, directory: Path) -> None:
    for path in visible_files(directory):
        with path.open("rb") as file:
            archive.add(f"{into}/{path.relative_to(directory).as_posix()}", file)


def settings_to_keep(settings: Settings) -> dict[str, str]:
    """Variables that were set, without secrets, and without addresses and paths of this machine."""
    found = {}
    for name in sorted(settings.model_fields_set - _OF_THIS_MACHINE):
        value = getattr(settings, name)
        if name == "dataset" and Path(str(value)).name != value:
            continue  # a path
        if value is not None and not isinstance(value, SecretStr) and not urlsplit(str(value)).password:
            found[f"MOVIEREC_{name.upper()}"] = str(value).lower() if isinstance(value, bool) else str(value)
    return found
