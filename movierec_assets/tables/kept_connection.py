"""A connection that is kept between transactions, for a process that answers many requests.

Belongs here: opening and keeping it, replacing it when the server closed it, and its time limits. Does not: queries.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic

import psycopg2
from psycopg2.errors import QueryCanceled
from psycopg2.extensions import POLL_OK, POLL_WRITE
from psycopg2.extensions import connection as Connection  # noqa: N812

from movierec_assets.tables.database import Database, DatabaseUnavailableError


class NoAnswerError(psycopg2.OperationalError):
    """A server says nothing, not even that it refuses."""


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
            cursor.execute(_session(statement_seconds, settings))
    except psycopg2.Error as error:
        connection.close()
        raise database.unavailable(error) from error
    return connection


def open_asynchronous(database: Database, statement_seconds: float, settings: Sequence[str] = ()) -> Connection:
    """As `open_limited`, in psycopg2's asynchronous mode: whoever executes a statement polls until it is answered.

    Opening waits, also for the address of a host name: an event loop has it done by a thread.

    Raises
    ------
    DatabaseUnavailableError
        When the server does not answer within 2 s, or refuses the connection.
    """
    connection = database.open(_CONNECT_SECONDS, tcp_user_timeout=1000 * _SILENT_SECONDS, async_=True)
    try:
        _wait(connection)
        with connection.cursor() as cursor:
            cursor.execute(_session(statement_seconds, settings))
            _wait(connection)
    except psycopg2.Error as error:
        connection.close()
        raise database.unavailable(error) from error
    return connection


def _session(statement_seconds: float, settings: Sequence[str]) -> str:
    return "; ".join([f"SET statement_timeout = {round(1000 * statement_seconds)}", *settings])


def _wait(connection: Connection) -> None:
    """Wait until an asynchronous connection has done what it was asked for."""
    until = monotonic() + _CONNECT_SECONDS
    while (state := connection.poll()) != POLL_OK:
        if not _is_ready(connection, select.POLLOUT if state == POLL_WRITE else select.POLLIN, until - monotonic()):
            raise NoAnswerError(f"no answer for {_CONNECT_SECONDS} s")


def _is_ready(connection: Connection, event: int, seconds: float) -> bool:
    """Whether the socket can be read or written within some seconds; `select` takes no descriptor from 1024 on."""
    waiting = select.poll()
    waiting.register(connection, event)
    return bool(waiting.poll(max(0, 1000 * seconds)))


def is_closed(connection: Connection) -> bool:
    """Whether a connection without a running statement is closed, by this side or by the server.

    A server that closes a connection sends something first; otherwise it sends nothing without being asked.
    """
    if connection.closed:
        return True
    return is_readable(connection)


def is_readable(connection: Connection) -> bool:
    """Whether something of the server has arrived and is not read, or the server ended the connection."""
    return _is_ready(connection, select.POLLIN, 0)


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

    def interrupt(self) -> None:
        """End the kept connection from another thread: a statement that waits for the server fails."""
        kept = self._kept
        if kept is not None and not kept.closed:
            with suppress(OSError, psycopg2.Error), socket.socket(fileno=os.dup(kept.fileno())) as other:
                other.shutdown(socket.SHUT_RDWR)

    def _connection(self) -> Connection:
        if self._kept is None or is_closed(self._kept):
            self.close()
            self._kept = open_limited(self, self._statement_seconds)
            self._kept.autocommit = False
        return self._kept
