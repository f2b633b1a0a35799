"""The ratings database: connections, bulk reading and writing, and the atomic replacement of a table.

Belongs here: how data moves. Does not: which columns and rows (the callers and `sql/`), and Dagster.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy.typing as npt
import psycopg2
from psycopg2 import errors, sql
from psycopg2.extensions import connection as Connection  # noqa: N812
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.errors import ExplainedError
from movierec_assets.progress import Log
from movierec_assets.settings import get_settings
from movierec_assets.sql import SCHEMA
from movierec_assets.tables.advisory_locks import take_lock
from movierec_assets.tables.binary_copy import Kind
from movierec_assets.tables.copying import copy_in, copy_out, copy_rows
from movierec_assets.tables.replacement import Replacement, add_primary_key, fresh_table, swap
from movierec_assets.tables.strong_locks import insist

__all__ = [
    "SCHEMA",
    "Database",
    "DatabaseFullError",
    "DatabaseUnavailableError",
    "Load",
    "Replacement",
    "copy_in",
    "copy_out",
    "copy_rows",
    "first_value",
    "record_load",
]
_log = logging.getLogger(__name__)


class DatabaseFullError(ExplainedError, RuntimeError):
    """The disk of the database is full; nothing of the transaction was kept."""


class DatabaseUnavailableError(ExplainedError, RuntimeError):
    """The database does not answer; the message says at which address and what to do."""


@dataclass(frozen=True)
class Load:
    """Record of the last load of a table.

    Attributes
    ----------
    version : str
        Content hash of the source, with everything else that decides the rows.
    source : str
    details : dict
        Counts, and the state of the file.
    """

    version: str
    source: str
    details: dict[str, Any]


class Database:
    """One Postgres database that holds the schema `movierec`.

    Parameters
    ----------
    url : str
        libpq URL.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection, closed at the end.

        Raises
        ------
        DatabaseUnavailableError
            When the server does not answer.
        DatabaseFullError
            When a statement found its disk full.
        """
        connection = self.open()
        try:
            with self._full_disk_explained():
                yield connection
        finally:
            connection.close()

    @staticmethod
    @contextmanager
    def _full_disk_explained() -> Iterator[None]:
        try:
            yield
        except errors.DiskFull as error:
            raise DatabaseFullError(
                f"The disk of Postgres is full: {' '.join(str(error).split())} The tables are as they were. Free space "
                "there (`movierec status` shows the disk of an embedded server), then run the job again."
            ) from None  # a failed step shows the innermost error

    def open(self, connect_timeout: int = 10, **options: Any) -> Connection:
        """A new connection, which the server must accept within some seconds; options are those of libpq."""
        try:
            # Others that wait for this connection report its name.
            opened: Connection = psycopg2.connect(
                self.url, connect_timeout=connect_timeout, fallback_application_name="movierec", **options
            )
        except psycopg2.OperationalError as error:
            raise self.unavailable(error) from error
        return opened

    def unavailable(self, error: Exception | str) -> DatabaseUnavailableError:
        """The error for a server that does not answer: at which address, and what to do."""
        parts = psycopg2.extensions.parse_dsn(self.url)
        where = f"{parts.get('host', 'local socket')}:{parts.get('port', 5432)}/{parts.get('dbname')}"
        remedy = (
            "Start it with `movierec db start`."
            if get_settings().database_url is None
            else "See that this server runs, or correct MOVIEREC_DATABASE_URL."
        )
        return DatabaseUnavailableError(
            f"The ratings database does not answer at {where}: {str(error).strip()}. {remedy}"
        )

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """A cursor in a transaction: committed at the end, rolled back by an exception."""
        with self._session() as connection, connection, connection.cursor() as cursor:
            yield cursor

    def _session(self) -> AbstractContextManager[Connection]:
        """The connection of a transaction; what is set on it beyond the transaction may be lost afterwards."""
        return self.connect()

    def rows(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a small query."""
        with self.transaction() as cursor:
            cursor.execute(query, parameters)
            return cursor.fetchall()

    def scalar(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
        """First column of the first row of a query."""
        return self.rows(query, parameters)[0][0]

    def columns(
        self, query: str, kinds: Mapping[str, Kind], parameters: Sequence[Any] = ()
    ) -> dict[str, npt.NDArray[Any]]:
        """Columns of a large query without nulls, read by binary COPY.

        Parameters
        ----------
        query : str
            Its columns have the names and types of `kinds`, in that order.
        kinds : mapping of column name to type
        parameters : sequence
            Bound into the query.

        Returns
        -------
        dict of arrays, as `binary_copy.RowDecoder` gives them
        """
        with self._ready_to_copy(query, parameters) as (cursor, bound):
            return copy_out(cursor, bound, kinds)

    def copy_to(
        self, file: io.RawIOBase | io.BytesIO, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
    ) -> None:
        """Write the rows of a query to a file in binary COPY format, as they arrive."""
        with self._ready_to_copy(query, parameters) as (cursor, bound):
            cursor.copy_expert(f"COPY ({bound}) TO STDOUT (FORMAT BINARY)", file)

    @contextmanager
    def _ready_to_copy(self, query: str, parameters: Sequence[Any] | Mapping[str, Any]) -> Iterator[tuple[Cursor, str]]:
        with self.transaction() as cursor:
            bound = cursor.mogrify(query, parameters or None).decode()
            # COPY takes its snapshot before it waits for locks: after a replacement it would find the new table and see
            # none of its rows. A query that is planned first holds the locks already.
            cursor.execute(sql.SQL("SELECT FROM ({}) planned LIMIT 0").format(sql.SQL(bound)))
            yield cursor, bound

    @contextmanager
    def replace(self, table: str, log: Log = _log.warning, companions: Sequence[str] = ()) -> Iterator[Replacement]:
        """Replace all rows of a table in one transaction.

        The new rows go to another table. At the end of the block it is indexed like the old one and replaces it, as
        soon as nobody reads the old one; later readers do not wait. An exception in the block leaves everything as it
        was. Two replacements of one table wait for each other.

        Parameters
        ----------
        table : str
        log : callable
            Called with a line about the readers it waits for.
        companions : sequence of str
            Tables that are replaced together with it, and never without it.

        Raises
        ------
        TableBusyError
            When readers hold the table for too long.
        """
        with self.transaction() as cursor:
            take_lock(cursor, table)
            cursor.execute("SELECT txid_current()")
            suffix = first_value(cursor)
            others = [fresh_table(cursor, companion, suffix) for companion in companions]
            replacement = fresh_table(cursor, table, suffix, others)
            yield replacement
            for each in (replacement, *others):
                add_primary_key(each)
            insist(lambda: swap(cursor, (replacement, *others)), partial(_rows, cursor), table, log)
        # Joins are planned by statistics of the table itself. Afterwards, because readers wait from the swap to the end
        # of the transaction.
        with self.transaction() as cursor:
            for name in (table, *companions):
                cursor.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(SCHEMA, name)))

    def last_load(self, table: str) -> Load | None:
        """The record of the last load of a table; None before the first."""
        found = self.rows(f"SELECT version, source, details FROM {SCHEMA}.loads WHERE table_name = %s", [table])
        return Load(*found[0]) if found else None


def record_load(cursor: Cursor, table: str, load: Load, dataset_id: int | None = None) -> None:
    """Record a load, and the dataset that was loaded, in the transaction that loads the table."""
    cursor.execute(
        f"""
        INSERT INTO {SCHEMA}.loads (table_name, version, source, details, dataset_id) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (table_name) DO UPDATE
        SET version = excluded.version, source = excluded.source, details = excluded.details,
            dataset_id = excluded.dataset_id, loaded_at = now()
        """,
        [table, load.version, load.source, json.dumps(load.details), dataset_id],
    )


def _rows(cursor: Cursor, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    cursor.execute(query, parameters)
    return cursor.fetchall()


def first_value(cursor: Cursor) -> Any:
    """The first column of the next row, which there is."""
    row = cursor.fetchone()
    assert row is not None
    return row[0]
