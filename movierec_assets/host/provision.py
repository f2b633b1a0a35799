"""Creation and migration of the three databases.

Belongs here: creating databases, and migrating the schemas of the platform, Dagster and MLflow before they are used.
MLflow's own migration of an empty store fails when two processes start it at the same time. Does not: the migrations of
the platform (`tables.migrations`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import psycopg2
from psycopg2 import errors, sql
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT, parse_dsn
from psycopg2.extensions import connection as Connection  # noqa: N812
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.database_urls import DatabaseUrls
from movierec_assets.progress import Log
from movierec_assets.settings import Settings
from movierec_assets.tables.advisory_locks import take_lock
from movierec_assets.tables.database import Database, DatabaseUnavailableError
from movierec_assets.tables.migrations import latest_version, migrate, read_version

_LOCK = 7_205_751
"""Advisory lock of the process that creates and migrates; an arbitrary number."""


def provision(settings: Settings, log: Log = lambda _: None, *, only_ratings: bool = False) -> None:
    """Create missing databases and migrate old schemas; two queries when there is nothing to do.

    DAGSTER_HOME must name the directory of dagster.yaml. `log` is called before each step that takes long. With
    `only_ratings` the schemas of Dagster and MLflow stay as they are, and neither is imported.

    Raises
    ------
    DatabaseUnavailableError
        When the server does not answer, the account may not create databases, or a newer version migrated them.
    TableBusyError
        When a long query on the ratings keeps their schema from being changed.
    """
    urls = settings.databases
    _, dagster, mlflow = urls.names
    stamps = {dagster: f"dagster {version('dagster')}, pool"}
    if settings.mlflow_tracking_uri is None:
        stamps[mlflow] = f"mlflow {version('mlflow')}, relative places"
    ratings = Database(urls.ratings)
    if _is_ready(ratings, urls, stamps):
        return
    _create_databases(urls)
    with ratings.connect() as connection:
        connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        with connection.cursor() as cursor:
            take_lock(cursor, _LOCK, until="session ends")
        migrate(ratings, log)
        if only_ratings:
            return
        if mlflow in stamps:
            _once(connection, mlflow, stamps[mlflow], lambda: _upgrade_mlflow(urls.mlflow, log))
        _once(connection, dagster, stamps[dagster], lambda: _upgrade_dagster(log))


def _is_ready(ratings: Database, urls: DatabaseUrls, stamps: Mapping[str, str]) -> bool:
    """Whether all databases are up to date; takes no lock, so it never waits."""
    try:
        with ratings.connect() as connection, connection.cursor() as cursor:
            return _stamps(cursor, list(stamps)) == stamps and read_version(cursor) == latest_version()
    except DatabaseUnavailableError as error:
        if _is_missing(urls.names[0], error):
            return False
        raise


def _is_missing(database: str, error: Exception) -> bool:
    return f'database "{database}" does not exist' in str(error)


def _stamps(cursor: Cursor, databases: Sequence[str]) -> dict[str, str | None]:
    """Comments of databases, which name the version they were migrated to."""
    cursor.execute(
        "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = ANY(%s)", [databases]
    )
    return dict(cursor.fetchall())


def _create_databases(urls: DatabaseUrls) -> None:
    base, *others = urls.names
    try:
        connection = psycopg2.connect(urls.ratings, connect_timeout=10)
    except psycopg2.OperationalError as error:
        if not _is_missing(base, error):
            with Database(urls.ratings).connect():  # its error names the server
                pass
        connection = psycopg2.connect(urls.ratings, dbname="postgres", connect_timeout=10)
    try:
        connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        with connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database")
            present = {name for (name,) in cursor.fetchall()}
            for name in (base, *others):
                if name not in present:
                    _create_database(connection, name)
    finally:
        connection.close()


def _create_database(connection: Connection, name: str) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except (errors.DuplicateDatabase, errors.UniqueViolation):
        return  # another process was faster
    except errors.InsufficientPrivilege as error:
        user = parse_dsn(connection.dsn).get("user")
        raise DatabaseUnavailableError(
            f"The account {user} of MOVIEREC_DATABASE_URL may not create the database {name}. "
            f'Create it (`CREATE DATABASE "{name}" OWNER {user}`), or grant CREATEDB.'
        ) from error


def _once(connection: Connection, database: str, stamp: str, work: Callable[[], None]) -> None:
    """Do the work unless the comment of the database says that it was done for this version."""
    with connection.cursor() as cursor:
        if _stamps(cursor, [database]).get(database) == stamp:
            return
        work()
        cursor.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(database), sql.Literal(stamp)))


def _upgrade_mlflow(url: str, log: Log) -> None:
    log("Preparing MLflow's database")
    # Not `mlflow db upgrade` in a process, whose arguments would show the password.
    from mlflow.db import upgrade  # noqa: PLC0415
    from mlflow.environment_variables import MLFLOW_SQLALCHEMYSTORE_POOLCLASS  # noqa: PLC0415

    from movierec_assets.models.artifact_locations import make_relative  # noqa: PLC0415
    from movierec_assets.models.version import EXPERIMENT  # noqa: PLC0415
    from movierec_assets.sql.alembic_paths import allow_percent  # noqa: PLC0415

    allow_percent()
    pool_class: Any = MLFLOW_SQLALCHEMYSTORE_POOLCLASS
    # MLflow leaves a pool with open connections behind, which would keep the database from being copied or dropped.
    before = pool_class.get_raw()
    pool_class.set("NullPool")
    try:
        upgrade.main([url], standalone_mode=False)
        make_relative(url, EXPERIMENT)
    finally:
        pool_class.unset() if before is None else pool_class.set(before)


def _upgrade_dagster(log: Log) -> None:
    log("Preparing Dagster's database")
    from dagster import DagsterInstance  # noqa: PLC0415

    from movierec_assets.defs.run_limits import POOL  # noqa: PLC0415

    with DagsterInstance.get() as instance:
        instance.upgrade()
        # By itself Dagster makes a pool when it has launched the first runs in it, however many these are.
        instance.event_log_storage.set_concurrency_slots(POOL, 1)
