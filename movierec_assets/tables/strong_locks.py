"""Exclusive locks of tables, taken without making later readers wait.

While an exclusive lock waits for one long reader, Postgres makes every later reader wait as well. So the lock is
requested with a short timeout, and again when the readers that hold the table have ended.

Belongs here: requesting again, and reporting the readers. Does not: the work under the lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from psycopg2.errors import DeadlockDetected, LockNotAvailable

from movierec_assets.errors import ExplainedError
from movierec_assets.progress import Log
from movierec_assets.sql import SCHEMA

T = TypeVar("T")
Rows = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

IN_THE_WAY = (LockNotAvailable, DeadlockDetected)
"""Errors of an attempt when others hold the lock."""
LOCK_TIMEOUT = "1500ms"
"""Longer than Postgres' `deadlock_timeout`, after which an autovacuum gives up its lock."""
PATIENCE = 3600.0
"""Seconds after which there is no further attempt."""
_POLL_SECONDS = 0.2
_QUERY_CHARACTERS = 100

_READERS = """
SELECT l.pid || ' ' || l.virtualtransaction, l.pid, a.application_name, a.usename, a.xact_start, a.state, a.query
FROM pg_locks l
JOIN pg_class c ON c.oid = l.relation
LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_backend_pid()
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND c.relnamespace = %s::regnamespace
AND (
    %s::regclass IS NULL OR c.oid = %s::regclass
    OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = %s::regclass)
)
AND (a.xact_start IS NULL OR a.xact_start < %s)
AND coalesce(a.backend_type, 'client backend') = 'client backend' -- an autovacuum gives up by itself
GROUP BY 1, 2, 3, 4, 5, 6, 7
ORDER BY a.xact_start, l.pid
"""
_REMAINING = "SELECT count(*) FROM pg_locks WHERE pid || ' ' || virtualtransaction = ANY(%s)"


class TableBusyError(ExplainedError, RuntimeError):
    """Other transactions read a table that must be locked; the message lists them."""


@dataclass(frozen=True)
class Reader:
    """A transaction that holds a lock.

    Attributes
    ----------
    transaction : str
        Identifies it.
    pid : int
        Of the server's process.
    application, user : str or None
        None where the account may not see it.
    since : datetime or None
    query : str
        Its latest query, in one line.
    """

    transaction: str
    pid: int
    application: str | None
    user: str | None
    since: datetime | None
    query: str

    def __str__(self) -> str:
        since = f" since {self.since:%Y-%m-%d %H:%M:%S %Z}" if self.since else ""
        return f"pid {self.pid} ({self.application or 'no application name'}, user {self.user}){since}: {self.query}"


def insist(attempt: Callable[[], T], rows: Rows, table: str | None, log: Log) -> T:
    """Repeat an attempt until no reader holds the lock that it needs.

    Parameters
    ----------
    attempt : callable
        Requests its locks with LOCK_TIMEOUT. When others hold them, it raises one of IN_THE_WAY and holds no lock.
    rows : callable
        Runs a query on the same server, outside of the attempt; returns its rows.
    table : str or None
        The table of the schema that is locked; None for any.
    log : callable
        Called with a line about the readers it waits for, once for each reader.

    Returns
    -------
    The result of the attempt.

    Raises
    ------
    TableBusyError
        After PATIENCE seconds.
    """
    deadline = time.monotonic() + PATIENCE
    reported: set[str] = set()
    while True:
        [[began]] = rows("SELECT clock_timestamp()", ())
        try:
            return attempt()
        except IN_THE_WAY as error:
            readers = _readers(rows, table, began)
            if time.monotonic() > deadline:
                raise TableBusyError(_gave_up(table, readers)) from error
        if new := [reader for reader in readers if reader.transaction not in reported]:
            log(f"Waiting for {_counted(readers, table)} to end: {'; '.join(map(str, new))}")
            reported.update(reader.transaction for reader in new)
        _wait_for(readers, rows, deadline)


def _readers(rows: Rows, table: str | None, began: datetime) -> list[Reader]:
    """Transactions that held a lock before the attempt began; later ones neither wait nor are waited for."""
    rows("SELECT pg_stat_clear_snapshot()", ())  # otherwise a transaction keeps seeing its first result
    name = None if table is None else f"{SCHEMA}.{table}"
    return [
        Reader(transaction, pid, application or None, user, since, _shown(state, query))
        for transaction, pid, application, user, since, state, query in rows(
            _READERS, [SCHEMA, name, name, name, began]
        )
    ]


def _shown(state: str | None, query: str | None) -> str:
    line = " ".join((query or "unknown query").split())
    line = line if len(line) <= _QUERY_CHARACTERS else f"{line[:_QUERY_CHARACTERS]} ..."
    return f"idle in a transaction, after {line}" if state and state.startswith("idle") else line


def _wait_for(readers: list[Reader], rows: Rows, deadline: float) -> None:
    """Wait until each has ended, without asking for any lock."""
    transactions = [reader.transaction for reader in readers]
    while True:
        time.sleep(_POLL_SECONDS)
        if time.monotonic() > deadline or not rows(_REMAINING, [transactions])[0][0]:
            return


def _counted(readers: list[Reader], table: str | None) -> str:
    number = f"{len(readers)} reader{'s' * (len(readers) != 1)}"
    return f"{number} of {'the ratings database' if table is None else f'{SCHEMA}.{table}'}"


def _gave_up(table: str | None, readers: list[Reader]) -> str:
    what = "the schema of the ratings database" if table is None else f"the rows of {SCHEMA}.{table}"
    who = "".join(f"\n  {reader}" for reader in readers) or " others that have ended by now, again and again"
    return (
        f"Gave up after {PATIENCE / 60:.0f} minutes: {what} cannot be replaced while somebody reads. Nothing was "
        f"changed. In the way:{who}\nEnd them, for example with `SELECT pg_terminate_backend(pid)`, and try again."
    )
