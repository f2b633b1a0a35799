"""Making the three databases ready for whoever comes next.

Belongs here: creating databases and bringing the schemas of the platform, Dagster and MLflow up to the installed
versions, once, before anything uses them: MLflow's own first use of an empty store fails when two processes try
it at the same time.
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

from movierec_assets.progress import Log
from movierec_assets.settings import DatabaseUrls, Settings
from movierec_assets.tables.advisory_locks import take_lock
from movierec_assets.tables.database import Database, DatabaseUnavailableError
from movierec_assets.tables.migrations import latest_version, migrate, read_version

_LOCK = 7_205_751
"""Advisory lock that whoever provisions holds; any number nobody else uses."""


def provision(settings: Settings, log: Log = lambda _: None) -> None:
    """Create what is missing and upgrade what is old; two queries when there is nothing to do.

    Parameters
    ----------
    settings : Settings
        Names the databases; DAGSTER_HOME must point at the instance file.
    log : callable
        Told about each step that takes longer than a moment.

    Raises
    ------
    DatabaseUnavailableError
        When the server does not answer, the account may not create databases, or a newer version made them.
    TableBusyError
        When somebody reads the ratings for so long that their schema cannot be changed.
    """
    urls = settings.databases
    _, dagster, mlflow = urls.names
    stamps = {dagster: f"dagster {version('dagster')}"}
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
        if mlflow in stamps:
            _once(connection, mlflow, stamps[mlflow], lambda: _upgrade_mlflow(urls.mlflow, log))
        _once(connection, dagster, stamps[dagster], lambda: _upgrade_dagster(log))


def _is_ready(ratings: Database, urls: DatabaseUrls, stamps: Mapping[str, str]) -> bool:
    """Whether there is nothing to do; asks without any lock, so that it waits for nobody."""
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
    """Comments of databases, which say for which version they were made ready."""
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
            with Database(urls.ratings).connect():  # says where it was looked for
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
        return  # somebody else was quicker
    except errors.InsufficientPrivilege as error:
        user = parse_dsn(connection.dsn).get("user")
        raise DatabaseUnavailableError(
            f"The account {user} of MOVIEREC_DATABASE_URL may not create the database {name}. "
            f'Create it (`CREATE DATABASE "{name}" OWNER {user}`), or grant CREATEDB.'
        ) from error


def _once(connection: Connection, database: str, stamp: str, work: Callable[[], None]) -> None:
    """Do the work unless the database's comment says that it was done for this version."""
    with connection.cursor() as cursor:
        if _stamps(cursor, [database]).get(database) == stamp:
            return
        work()
        cursor.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(database), sql.Literal(stamp)))


def _upgrade_mlflow(url: str, log: Log) -> None:
    log("Preparing MLflow's database")
    # The command of `mlflow db upgrade`, called here: as a process it would show the password in its arguments.
    from mlflow.db import upgrade  # noqa: PLC0415
    from mlflow.environment_variables import MLFLOW_SQLALCHEMYSTORE_POOLCLASS  # noqa: PLC0415

    from movierec_assets.models.artifact_locations import make_relative  # noqa: PLC0415
    from movierec_assets.models.version import EXPERIMENT  # noqa: PLC0415
    from movierec_assets.sql.alembic_paths import allow_percent  # noqa: PLC0415

    allow_percent()
    pool_class: Any = MLFLOW_SQLALCHEMYSTORE_POOLCLASS
    # It forgets its pool with connections open, which would keep the database from being copied or dropped.
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

    with DagsterInstance.get() as instance:
        instance.upgrade()
