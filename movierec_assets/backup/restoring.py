"""Restoring a backup.

Belongs here: the order of the steps, and the files. Does not: exchanging databases (`target`), runs that the backup
shows as going on (`ending`).

Everything is verified and made beside what is there. Then databases and files are exchanged. A failure before or after
that leaves the state as it was.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from movierec_assets.backup.archive import CHUNK, Archive, reading
from movierec_assets.backup.errors import BackupError, DamagedBackupError
from movierec_assets.backup.making import ARTIFACTS, STORAGE
from movierec_assets.backup.manifest import Manifest
from movierec_assets.backup.moment import only_one
from movierec_assets.backup.storages import UNPACKED, storage_of, visible_files
from movierec_assets.backup.target import TargetDatabases
from movierec_assets.postgres.dumps import client, restore
from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_assets.progress import Log
from movierec_assets.settings import Settings
from movierec_assets.sql import SCHEMA
from movierec_assets.tables.database import Database

_MADE_AGAIN = ("champion", "serving")
"""Directories that are made again from what is restored."""


def check(path: Path) -> Manifest:
    """Compare every hash of a backup, and refuse one that this version cannot restore.

    Raises
    ------
    BackupError
    """
    with reading(path) as archive:
        archive.manifest.require_known(path)
        archive.verify()
        return archive.manifest


@contextmanager
def restored(settings: Settings, path: Path, log: Log = lambda _: None, *, force: bool = False) -> Iterator[Manifest]:
    """Restore a backup; the block brings it up to date, and when it fails, everything is as before.

    Parameters
    ----------
    settings : Settings
        Of a server that runs. Its databases may be missing.
    path : Path
    log : callable
        Called before each step that takes long.
    force : bool
        Replace what is there.

    Yields
    ------
    Manifest

    Raises
    ------
    BackupError
        The message says why nothing was restored.
    DumpError, DatabaseUnavailableError
    """
    targets = TargetDatabases(settings.databases)
    _require_storage_of_its_own(settings, path)
    with only_one(settings.state), reading(path) as archive:
        manifest = archive.manifest
        manifest.require_known(path)
        log(f"Comparing {path.name} with its hashes")
        archive.verify()
        if not force:
            _require_empty(settings, targets)
        targets.require_unused()
        _require_space(settings, manifest)
        for left in settings.state.glob(f"{UNPACKED}*"):
            shutil.rmtree(left, ignore_errors=True)
        unpacked = Path(tempfile.mkdtemp(prefix=UNPACKED, dir=settings.state))
        try:
            _fill(archive, targets, log)
            log("Unpacking matrices and model files")
            (unpacked / STORAGE).mkdir()
            _unpack(archive, unpacked)
            storage = storage_of(settings)
            with (
                _artifacts_merged(unpacked, settings.artifacts),
                targets.exchanged(manifest.databases),
                storage.exchanged(unpacked / STORAGE, settings.state),
            ):
                for name in _MADE_AGAIN:
                    shutil.rmtree(settings.state / name, ignore_errors=True)
                yield manifest
            # Only now, when no part can be undone any more while another one stays.
            storage.forget(settings.state)
            targets.forget(manifest.databases, log)
        except OSError as error:
            raise BackupError(
                f"Nothing was restored into {settings.state}: {error}. Make room and see that this account may write "
                "there, or set MOVIEREC_STATE_DIR to another directory."
            ) from error
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
            targets.discard(manifest.databases, log)


def _require_empty(settings: Settings, targets: TargetDatabases) -> None:
    there = targets.content()
    found = [f"the table {there} has rows"] if there else []
    if visible_files(settings.artifacts):
        found.append(f"{settings.artifacts} has files")
    storage = storage_of(settings)
    if storage.signatures():
        found.append(f"{storage} has files")
    if found:
        raise BackupError(
            f"{' and '.join(found)}. Nothing was restored. `--force` replaces everything that is there; or set "
            "MOVIEREC_STATE_DIR, and MOVIEREC_STORAGE_URL where it is set, to empty places."
        )


def _require_storage_of_its_own(settings: Settings, archive: Path) -> None:
    """Refuse a directory of matrices that holds what must outlive its exchange."""
    storage = settings.local_storage
    if storage is None:
        return
    for kept in (settings.state, settings.backups, archive):
        if kept.resolve().is_relative_to(storage.resolve()):
            raise BackupError(
                f"{kept} is in {storage}, where the matrices are: a restore replaces everything there. Nothing was "
                "restored. Set MOVIEREC_STORAGE_URL to a directory of its own, or move the backup."
            )


def _require_space(settings: Settings, manifest: Manifest) -> None:
    dumped = sum(database.bytes for database in manifest.databases.values())
    needed = [(settings.state, manifest.unpacked_bytes - dumped)]
    if settings.database_url is None:
        needed.append((EmbeddedPostgres(settings.state).status().data_dir, dumped))
    disks: dict[int, list[tuple[Path, int]]] = {}
    for directory, size in needed:
        disks.setdefault(directory.stat().st_dev, []).append((directory, size))
    for places in disks.values():
        directory, size = places[0][0], sum(size for _, size in places)
        free = shutil.disk_usage(directory).free
        if free < size:
            raise BackupError(
                f"The restored state takes {size / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free at {directory}. "
                "Nothing was restored. Make room, or set MOVIEREC_STATE_DIR to a directory on another disk."
            )


def _fill(archive: Archive, targets: TargetDatabases, log: Log) -> None:
    """Make the databases beside the present ones, and compare their rows with the manifest."""
    manifest = archive.manifest
    server = targets.server_major()
    programs = client(max(manifest.dumped_by, server))
    for kind, database in manifest.databases.items():
        log(f"Restoring the database {kind} ({database.bytes / 1e6:,.0f} MB)")
        targets.create(kind)
        with archive.member(database.member) as dumped:
            restore(targets.url(kind), dumped, programs, server)
        with Database(targets.url(kind)).connect() as connection, connection, connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    ratings = Database(targets.url("ratings"))
    for table, expected in (("ratings", manifest.ratings), ("app_ratings", manifest.app_ratings)):
        found = ratings.scalar(f"SELECT count(*) FROM {SCHEMA}.{table}")
        if found != expected:
            raise DamagedBackupError(
                f"The restored table {table} has {found:,} rows, and the backup {expected:,}. Nothing was restored. "
                "Take an earlier backup."
            )


def _unpack(archive: Archive, directory: Path) -> None:
    dumps = {database.member for database in archive.manifest.databases.values()}
    for name in archive.manifest.members:
        if name in dumps:
            continue
        place = directory / name
        place.parent.mkdir(parents=True, exist_ok=True)
        with archive.member(name) as source, place.open("xb") as file:
            shutil.copyfileobj(source, file, CHUNK)


@contextmanager
def _artifacts_merged(unpacked: Path, target: Path) -> Iterator[None]:
    """Move unpacked files to the directory of artifacts; when the block fails, it is as before.

    Files of other runs and versions stay, as their names are unique.
    """
    source, former = unpacked / ARTIFACTS, unpacked / "former artifacts"
    placed: list[Path] = []
    directories: list[Path] = []
    try:
        for path in visible_files(source):
            name = path.relative_to(source)
            place = target / name
            _make_directory(place.parent, directories)
            if place.exists():
                (former / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(place, former / name)
            placed.append(name)
            shutil.move(path, place)
        yield
    except BaseException:
        for name in placed:
            if (former / name).exists():
                shutil.move(former / name, target / name)
            else:
                (target / name).unlink(missing_ok=True)
        for directory in reversed(directories):
            with suppress(OSError):  # others have put files there
                directory.rmdir()
        raise


def _make_directory(directory: Path, made: list[Path]) -> None:
    """Make a directory, and note it and each parent that was missing, parents first."""
    missing = []
    while not directory.is_dir():
        missing.append(directory)
        directory = directory.parent
    for each in reversed(missing):
        each.mkdir()
        made.append(each)
