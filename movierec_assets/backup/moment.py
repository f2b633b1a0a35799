"""One moment of the databases and files, held while a backup is made of it.

Belongs here: the locks and snapshots of a moment, and links to its files. Does not: writing them into an archive
(`making`), which model files are needed (`model_files`), and how files are listed and copied (`storages`).

Runs go on meanwhile. Postgres has snapshots of one database each, so those of the three databases are taken one after
another within milliseconds, while the lock of promotions is held: no decision and no alias changes between them. The
platform replaces files and never changes them, so a second link to a file keeps its content. Files that are not on a
disk of this machine are downloaded while the lock is held. A step that replaces a file at this very moment may have
noted it in Dagster's database a moment later. Then the restored asset does not have the content that Dagster recorded.
Whoever reads it says so, and the run that `ending` ends is made up for.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg2 import errors, sql
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT, ISOLATION_LEVEL_REPEATABLE_READ
from psycopg2.extensions import connection as Connection  # noqa: N812

from movierec_assets.backup.errors import BackupError
from movierec_assets.backup.model_files import ModelFiles, model_files
from movierec_assets.backup.storages import link_tree, storage_of
from movierec_assets.database_urls import DatabaseUrls
from movierec_assets.file_lock import locked
from movierec_assets.settings import Settings
from movierec_assets.tables.advisory_locks import take_lock
from movierec_assets.tables.database import Database

LOCK_SECONDS = 300
"""Longest wait for a promotion, or for tables that are being replaced."""
ATTEMPTS = 20
_LINKS = ".backup-"

_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""


@dataclass(frozen=True)
class Frozen:
    """A database at the moment.

    Attributes
    ----------
    url : str
        libpq URL.
    snapshot : str
        Name for `pg_dump`.
    connection : Connection
        Its transaction sees the moment, and holds the snapshot.
    """

    url: str
    snapshot: str
    connection: Connection

    def rows(self, query: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        """Rows of a query on the moment."""
        with self.connection.cursor() as cursor:
            cursor.execute(query, parameters)
            return cursor.fetchall()

    def value(self, query: str, parameters: Any = ()) -> Any:
        """First column of the first row of a query."""
        return self.rows(query, parameters)[0][0]


@dataclass(frozen=True)
class Moment:
    """The state at one moment.

    Attributes
    ----------
    databases : dict of str to Frozen
        By kind: "ratings", "dagster", and "mlflow" where the platform has that database.
    storage : Path
        Directory with links to the matrices and Parquet files, or copies where they are not on this machine's disk.
    artifacts : Path
        Directory with links to the needed artifacts of MLflow.
    models : ModelFiles
    """

    databases: dict[str, Frozen]
    storage: Path
    artifacts: Path
    models: ModelFiles


@contextmanager
def only_one(state: Path) -> Iterator[None]:
    """Exclude every other backup and restore of a state directory.

    Raises
    ------
    BackupError
    """
    state.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            held.enter_context(locked(state / "backup.lock", fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            raise BackupError(f"Another backup or restore of {state} is under way. Wait for its end.") from None
        yield


@contextmanager
def moment_of(settings: Settings) -> Iterator[Moment]:
    """Hold one moment of the state. Call it under `only_one`.

    Raises
    ------
    BackupError
        When promotions or replacements of tables go on for LOCK_SECONDS, or files change all the time.
    DatabaseUnavailableError
    """
    for left in settings.state.glob(f"{_LINKS}*"):
        shutil.rmtree(left, ignore_errors=True)
    links = Path(tempfile.mkdtemp(prefix=_LINKS, dir=settings.state))
    try:
        for _ in range(ATTEMPTS):
            with ExitStack() as held:
                found = _attempt(settings, links, held)
                if found is not None:
                    yield found
                    return
            shutil.rmtree(links)
            links.mkdir()
        raise BackupError(
            f"The files in {storage_of(settings)} changed during each of {ATTEMPTS} attempts to back them up. Try "
            "again when the run that writes them has ended."
        )
    finally:
        shutil.rmtree(links, ignore_errors=True)


def _attempt(settings: Settings, links: Path, held: ExitStack) -> Moment | None:
    """The moment, held until `held` is closed; None when files were replaced meanwhile."""
    storage = storage_of(settings)
    connections = {kind: held.enter_context(_connected(url)) for kind, url in _urls(settings).items()}
    _keep_tables(connections["ratings"], settings.databases.ratings)
    with _no_promotion(settings.databases.ratings):
        before = storage.signatures()
        frozen = {
            kind: Frozen(url, _export(connections[kind]), connections[kind]) for kind, url in _urls(settings).items()
        }
        storage.copy_to(links / "storage")
        models = model_files(frozen["ratings"].rows, frozen["mlflow"].rows if "mlflow" in frozen else None)
        for directory in models.directories(settings.artifacts):
            link_tree(directory, links / "mlartifacts" / directory.relative_to(settings.artifacts))
        if storage.signatures() != before:
            return None
    return Moment(frozen, links / "storage", links / "mlartifacts", models)


def _urls(settings: Settings) -> dict[str, str]:
    """libpq URLs of the databases to back up, by kind."""
    urls = settings.databases
    found = {"ratings": urls.ratings, "dagster": DatabaseUrls.libpq(urls.dagster)}
    return found if settings.mlflow_tracking_uri else found | {"mlflow": DatabaseUrls.libpq(urls.mlflow)}


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    with closing(Database(url).open()) as connection:
        connection.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ)
        yield connection


def _keep_tables(connection: Connection, url: str) -> None:
    """Keep tables from being dropped until the end of the transaction, before its snapshot is taken.

    The lock of a partitioned table covers its partitions. LOCK takes no snapshot.
    """
    for _ in range(ATTEMPTS):
        # In another transaction: a query here would take the snapshot too early.
        listed = sql.SQL(", ").join(sql.Identifier(*table) for table in Database(url).rows(_TABLES))
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = %s", [f"{LOCK_SECONDS}s"])
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                cursor.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(listed))
        except errors.UndefinedTable:  # dropped since it was listed
            connection.rollback()
        except errors.LockNotAvailable:
            raise BackupError(
                f"A table of the ratings database was locked for {LOCK_SECONDS} s. Try again when what locks it has "
                "ended: `SELECT * FROM pg_stat_activity` shows it."
            ) from None
        else:
            return
    raise BackupError("Tables of the ratings database are being replaced all the time. Try again later.")


@contextmanager
def _no_promotion(url: str) -> Iterator[None]:
    """Keep the champion and its decisions as they are."""
    with Database(url).connect() as connection:
        connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{LOCK_SECONDS}s"])
            try:
                take_lock(cursor, "promotion", until="session ends")
            except errors.LockNotAvailable as error:
                raise BackupError(f"The champion was being changed for {LOCK_SECONDS} s. Try again.") from error
            yield


def _export(connection: Connection) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute("SELECT pg_export_snapshot()")
        row = cursor.fetchone()
        assert row is not None
        return str(row[0])
