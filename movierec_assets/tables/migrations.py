"""The schema of the ratings database: whether it is up to date, and updating it.

Belongs here: comparing versions, which costs one query each time the database is opened, and running missing migrations
once, under a lock. Does not: the migrations (`sql/migrations`). Alembic is imported only when there are some to run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2.errors import UndefinedTable
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets import sql
from movierec_assets.progress import Log
from movierec_assets.tables.advisory_locks import take_lock
from movierec_assets.tables.database import SCHEMA, Database, DatabaseUnavailableError
from movierec_assets.tables.strong_locks import LOCK_TIMEOUT, insist

if TYPE_CHECKING:
    from sqlalchemy import Connection

MIGRATIONS = Path(sql.__file__).with_name("migrations")
VERSION_TABLE = f"{SCHEMA}.alembic_version"


class SchemaVersionError(DatabaseUnavailableError):
    """The database and this program have different versions; the message says which and what to do."""


def known_versions() -> tuple[str, ...]:
    """Numbers of all migrations, in order, from the names of their files."""
    return tuple(sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py")))


def latest_version() -> str:
    """The version that this program needs."""
    return known_versions()[-1]


def version_of(database: Database) -> str | None:
    """Version of a database's schema; None when it is empty, or older than the first numbered version."""
    with database.transaction() as cursor:
        return read_version(cursor)


def read_version(cursor: Cursor) -> str | None:
    """Like `version_of`, as the last query of a transaction: without a version, the query fails it."""
    try:
        cursor.execute(f"SELECT version_num FROM {VERSION_TABLE}")
    except UndefinedTable:
        return None
    row = cursor.fetchone()
    return row[0] if row else None


def require_current(database: Database) -> None:
    """Refuse a database of another version than this program needs.

    Raises
    ------
    SchemaVersionError
    """
    found = version_of(database)
    if found == latest_version():
        return
    _refuse_newer(found)
    raise SchemaVersionError(
        f"The ratings database is not up to date: its schema has {_named(found)}, this program needs version "
        f"{latest_version()}. `movierec db migrate` brings it up to date, and so do `movierec run` and `movierec up`."
    )


def migrate(database: Database, log: Log = lambda _: None) -> None:
    """Bring a database up to date; one query when it is.

    Safe at any time and from several processes. Readers never wait for long: a migration that would make them wait is
    undone and tried again.

    Parameters
    ----------
    database : Database
        May be empty, or of any earlier version.
    log : callable
        Called with a line for each step, and about the readers it waits for.

    Raises
    ------
    SchemaVersionError
        When a newer version of the program made the database.
    TableBusyError
    """
    found = version_of(database)
    if found == latest_version():
        return
    _refuse_newer(found)
    from sqlalchemy import create_engine  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    engine = create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(database.url), poolclass=NullPool)
    with engine.connect() as connection:
        _lock_schema(connection, log)
        found = version_of(database)
        if found == latest_version():
            return
        _refuse_newer(found)
        log(
            f"Bringing the ratings database from {_named(found)} to version {latest_version()}"
            if found or database.scalar("SELECT to_regclass(%s)", [f"{SCHEMA}.ratings"])
            else "Preparing the ratings database"
        )
        connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        connection.commit()
        insist(lambda: _upgrade(connection), database.rows, None, log)


def _lock_schema(connection: Connection, log: Log) -> None:
    """Take the lock for changing the schema, until the connection ends."""
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        if not take_lock(cursor, "schema", until="session ends", wait=False):
            log("Waiting for another process, which brings the ratings database up to date")
            take_lock(cursor, "schema", until="session ends")
    driver.commit()


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from sqlalchemy.exc import OperationalError  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    try:
        command.upgrade(config, "head")
    except OperationalError as error:
        connection.rollback()
        raise (error.orig or error) from error


def _refuse_newer(found: str | None) -> None:
    if found is not None and found not in known_versions():
        raise SchemaVersionError(
            f"The schema of the ratings database has version {found}, which a newer program made: this one knows "
            f"versions up to {latest_version()}. Update it (`git pull`, then `make install`; for containers "
            "`docker compose build`), and restart what still runs the old one."
        )


def _named(version: str | None) -> str:
    return "no version" if version is None else f"version {version}"
