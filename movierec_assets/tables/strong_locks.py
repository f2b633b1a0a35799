"""Locks that readers are in the way of, taken without making later readers wait.

Postgres lets nobody pass who waits for a table: while a strong lock waits for one long reader, every later reader
waits as well. So such a lock is asked for a moment only, and asked again when the readers in the way have ended.

Belongs here: asking again, and saying who is in the way. What is done under the lock is said by the callers.
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
"""What an attempt fails with when others hold the lock."""
LOCK_TIMEOUT = "1500ms"
"""Longer than Postgres' `deadlock_timeout`, after which an autovacuum makes way."""
PATIENCE = 3600.0
"""Seconds after which there is no further attempt."""
_LOOK_SECONDS = 0.2
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
AND coalesce(a.backend_type, 'client backend') = 'client backend' -- an autovacuum makes way by itself
GROUP BY 1, 2, 3, 4, 5, 6, 7
ORDER BY a.xact_start, l.pid
"""
_REMAINING = "SELECT count(*) FROM pg_locks WHERE pid || ' ' || virtualtransaction = ANY(%s)"


class TableBusyError(ExplainedError, RuntimeError):
    """Somebody else reads a table that must be locked; the message says who."""


@dataclass(frozen=True)
class Reader:
    """A transaction that holds a lock.

    Attributes
    ----------
    transaction : str
        Told apart from others by this.
    pid : int
        Of the server's process.
    application, user : str or None
        None where the account may not see it.
    since : datetime or None
    query : str
        Its latest one, in one line.
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
    """Attempt something again and again until no reader is in the way.

    Parameters
    ----------
    attempt : callable
        Asks for its locks with LOCK_TIMEOUT. When others have them it raises one of IN_THE_WAY and holds no lock.
    rows : callable
        Runs a query on the same server, outside of what was attempted; returns its rows.
    table : str or None
        The table of the schema that is locked; None for any.
    log : callable
        Told whom it waits for, once for each reader.

    Returns
    -------
    What the attempt returns.

    Raises
    ------
    TableBusyError
        After PATIENCE seconds.
    """
    deadline = time.monotonic() + PATIENCE
    told: set[str] = set()
    while True:
        [[began]] = rows("SELECT clock_timestamp()", ())
        try:
            return attempt()
        except IN_THE_WAY as error:
            readers = _readers(rows, table, began)
            if time.monotonic() > deadline:
                raise TableBusyError(_gave_up(table, readers)) from error
        if new := [reader for reader in readers if reader.transaction not in told]:
            log(f"Waiting for {_counted(readers, table)} to end: {'; '.join(map(str, new))}")
            told.update(reader.transaction for reader in new)
        _wait_for(readers, rows, deadline)


def _readers(rows: Rows, table: str | None, began: datetime) -> list[Reader]:
    """Who held a lock before the attempt began; who came later waits for nobody, and nobody for them."""
    rows("SELECT pg_stat_clear_snapshot()", ())  # or a transaction sees what it saw at its first look
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
        time.sleep(_LOOK_SECONDS)
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
