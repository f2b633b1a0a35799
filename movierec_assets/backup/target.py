"""Databases that a restore fills and puts in place of those that are there.

Belongs here: making them beside the present ones, exchanging both in one transaction, and undoing that. Does not: their
content (`restoring`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
from psycopg2 import errors, sql
from psycopg2.extensions import connection as Connection  # noqa: N812
from psycopg2.extensions import parse_dsn

from movierec_assets.backup.errors import BackupError
from movierec_assets.database_urls import DatabaseUrls
from movierec_assets.progress import Log
from movierec_assets.sql import SCHEMA
from movierec_assets.tables.database import Database, DatabaseUnavailableError

WAIT_SECONDS = 10.0
"""Sessions that just end, as that of a health check, are waited for."""
_CONTENT = ("loads", "app_users", "app_ratings", "api_keys", "promotion_decisions")
"""Tables of ratings with rows as soon as somebody has used the platform."""
_HISTORY = {"dagster": "runs", "mlflow": "model_versions"}
"""Tables of the other databases that a restore would take something away from."""


class TargetDatabases:
    """The databases of one server that a restore replaces.

    Parameters
    ----------
    urls : DatabaseUrls
    """

    def __init__(self, urls: DatabaseUrls) -> None:
        self._urls = urls
        self._names = dict(zip(("ratings", "dagster", "mlflow"), urls.names, strict=True))
        self._digest = hashlib.sha256(urls.names[0].encode()).hexdigest()[:8]

    def url(self, kind: str) -> str:
        """libpq URL of the database that is being filled."""
        return psycopg2.extensions.make_dsn(self._urls.ratings, dbname=self._filling(kind))

    def server_major(self) -> int:
        """Major version of the server."""
        with self._admin() as connection:
            return int(_rows(connection, "SELECT current_setting('server_version_num')::integer / 10000")[0][0])

    def content(self) -> str | None:
        """Name of a table that has rows; None while nobody has used the platform."""
        present = self._present()
        tables = {self._names["ratings"]: [f"{SCHEMA}.{table}" for table in _CONTENT]}
        tables |= {self._names[kind]: [table] for kind, table in _HISTORY.items()}
        for name in (each for each in tables if each in present):
            with Database(psycopg2.extensions.make_dsn(self._urls.ratings, dbname=name)).connect() as connection:
                for table in tables[name]:
                    found = _rows(connection, "SELECT to_regclass(%s) IS NOT NULL", [table])[0][0]
                    if found and _rows(connection, f"SELECT EXISTS (SELECT FROM {table})")[0][0]:
                        return table if name == self._names["ratings"] else f"{table} of the database {name}"
        return None

    def require_unused(self) -> None:
        """Refuse while others are connected.

        Raises
        ------
        BackupError
            The message names them.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        while sessions := self._sessions():
            if time.monotonic() > deadline:
                raise BackupError(
                    f"The databases to replace are in use by {', '.join(sessions)}. Nothing was restored. Stop the "
                    "servers first: end `movierec up`, or in containers `docker compose stop api daemon webserver code "
                    "mlflow`."
                )
            time.sleep(0.2)

    def create(self, kind: str) -> None:
        """Make an empty database beside the present one; what an interrupted restore left is dropped.

        Raises
        ------
        BackupError
            When the account may not create databases.
        """
        name = sql.Identifier(self._filling(kind))
        with self._admin() as connection:
            try:
                _do(connection, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
                _do(connection, sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(name))
            except errors.InsufficientPrivilege as error:
                user = parse_dsn(self._urls.ratings).get("user")
                raise BackupError(
                    f"The account {user} may not create databases, which a restore needs. Grant it "
                    f'(`ALTER ROLE "{user}" CREATEDB`), at least until the restore has ended.'
                ) from error

    @contextmanager
    def exchanged(self, kinds: Mapping[str, object]) -> Iterator[None]:
        """Put the filled databases in place; put the former ones back when the block fails.

        When it succeeds, they are left to `forget`, so that nothing fails after the block.

        Raises
        ------
        BackupError
            When others have connected meanwhile.
        """
        for kind in kinds:
            self._drop(self._former(kind))
        present = self._present()
        replaced = {kind: name for kind, name in self._names.items() if kind in kinds and name in present}
        names = [(self._names[kind], self._former(kind)) for kind in replaced]
        names += [(self._filling(kind), self._names[kind]) for kind in kinds]
        self._rename(names)
        try:
            yield
        except BaseException:
            self._terminate()
            self._rename([(new, old) for old, new in reversed(names)])
            raise

    def forget(self, kinds: Mapping[str, object], log: Log) -> None:
        """Drop the databases that were replaced. Those that cannot be dropped are logged: the restore took effect."""
        self._drop_or_log([self._former(kind) for kind in kinds], log)

    def discard(self, kinds: Mapping[str, object], log: Log) -> None:
        """Drop databases that were filled and not put in place. Those that cannot be dropped are logged."""
        self._drop_or_log([self._filling(kind) for kind in kinds], log)

    def _drop_or_log(self, names: list[str], log: Log) -> None:
        try:
            for name in names:
                self._drop(name)
        except (DatabaseUnavailableError, psycopg2.Error) as error:
            log(
                f"These databases are not needed any more, and those that exist could not be dropped: "
                f"{', '.join(names)}. The next restore drops them. The cause: {str(error).strip()}"
            )

    def _rename(self, names: list[tuple[str, str]]) -> None:
        """Rename in one transaction, so that a process that is killed leaves all or none."""
        with self._admin() as connection:
            connection.autocommit = False
            try:
                with connection, connection.cursor() as cursor:
                    for old, new in names:
                        cursor.execute(
                            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new))
                        )
            except errors.ObjectInUse as error:
                raise BackupError(
                    f"{str(error).strip()}. Somebody connected during the restore, so nothing was replaced. Stop all "
                    "servers, and restore again."
                ) from error

    def _drop(self, name: str) -> None:
        with self._admin() as connection:
            _do(connection, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _terminate(self) -> None:
        with self._admin() as connection:
            _rows(
                connection,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY(%s) AND pid <> "
                "pg_backend_pid()",
                [list(self._names.values())],
            )
        time.sleep(0.5)

    def _sessions(self) -> list[str]:
        with self._admin() as connection:
            found = _rows(
                connection,
                "SELECT DISTINCT coalesce(nullif(application_name, ''), 'a program without a name') || ' (pid ' || pid "
                "|| ', database ' || datname || ')' FROM pg_stat_activity WHERE datname = ANY(%s) "
                "AND backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY 1",
                [list(self._names.values())],
            )
        return [text for (text,) in found]

    def _present(self) -> set[str]:
        with self._admin() as connection:
            return {name for (name,) in _rows(connection, "SELECT datname FROM pg_database")}

    @contextmanager
    def _admin(self) -> Iterator[Connection]:
        """A connection to another database of the server: none is renamed or dropped by its own sessions."""
        try:
            connection = psycopg2.connect(self._urls.ratings, dbname="postgres", connect_timeout=10)
        except psycopg2.OperationalError as error:
            raise Database(self._urls.ratings).unavailable(error) from error
        with closing(connection):
            connection.autocommit = True
            yield connection

    def _filling(self, kind: str) -> str:
        return f"restoring_{self._digest}_{kind}"

    def _former(self, kind: str) -> str:
        return f"replaced_{self._digest}_{kind}"


def _rows(connection: Connection, query: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.fetchall()


def _do(connection: Connection, statement: sql.Composed) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
