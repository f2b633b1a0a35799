"""A connection that is kept between transactions, for a process that answers many requests.

Belongs here: keeping it, replacing it when the server closed it, and its time limits. Does not: queries.
"""

from __future__ import annotations

import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg2
from psycopg2.errors import QueryCanceled
from psycopg2.extensions import connection as Connection  # noqa: N812

from movierec_assets.tables.database import Database, DatabaseUnavailableError

_CONNECT_SECONDS = 2
"""The shortest time that libpq takes for a limit."""
_SILENT_SECONDS = 5
"""A connection whose network is gone ends after this time."""


def open_limited(database: Database, statement_seconds: float, settings: Sequence[str] = ()) -> Connection:
    """A new connection on which no statement runs longer than a limit, in autocommit mode.

    Parameters
    ----------
    database : Database
    statement_seconds : float
    settings : sequence of str
        Further statements for the session.

    Raises
    ------
    DatabaseUnavailableError
    """
    connection = database.open(_CONNECT_SECONDS, tcp_user_timeout=1000 * _SILENT_SECONDS)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("; ".join([f"SET statement_timeout = {round(1000 * statement_seconds)}", *settings]))
    except psycopg2.Error as error:
        connection.close()
        raise database.unavailable(error) from error
    return connection


def is_closed(connection: Connection) -> bool:
    """Whether a connection without a running statement is closed, by this side or by the server.

    A server that closes a connection sends something first; otherwise it sends nothing without being asked.
    """
    if connection.closed:
        return True
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable)


class KeptDatabase(Database):
    """A database for one thread, which keeps its connection between transactions.

    Parameters
    ----------
    url : str
        libpq URL.
    statement_seconds : float
        Time limit of a statement.
    """

    def __init__(self, url: str, statement_seconds: float) -> None:
        super().__init__(url)
        self._statement_seconds = statement_seconds
        self._kept: Connection | None = None
        self._in_use = False

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """The kept connection, or a new one when the server closed it; another one within a transaction.

        Raises
        ------
        DatabaseUnavailableError
            When the server does not answer, closes the connection, or takes longer than the limit.
        """
        if self._in_use:
            with super().connect() as another:
                yield another
            return
        connection = self._connection()
        self._in_use = True
        try:
            yield connection
        except QueryCanceled as error:
            raise DatabaseUnavailableError(
                f"The ratings database took longer than {self._statement_seconds:g} s for a statement. Try again when "
                "it is less busy."
            ) from error
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            if connection.closed:
                raise self.unavailable(error) from error
            raise
        finally:
            self._in_use = False
            if not connection.closed:
                connection.rollback()

    def close(self) -> None:
        """Close the kept connection."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _connection(self) -> Connection:
        if self._kept is None or is_closed(self._kept):
            self.close()
            self._kept = open_limited(self, self._statement_seconds)
            self._kept.autocommit = False
        return self._kept
