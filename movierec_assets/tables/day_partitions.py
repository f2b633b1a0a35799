"""Tables with a partition for each day in UTC: new days, and the end of old ones.

Belongs here: making and dropping partitions while others read and write. Does not: the rows (`shown`).

https://www.postgresql.org/docs/current/ddl-partitioning.html
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.progress import Log
from movierec_assets.tables.advisory_locks import take_lock
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.strong_locks import LOCK_TIMEOUT, insist

BY_DAY = ("served", "events")
_LOCK = "days"
_log = logging.getLogger(__name__)


def make_days(cursor: Cursor, days: Iterable[date]) -> None:
    """Make the partitions of some days where they are missing, in a transaction that should end soon.

    Neither readers nor writers of other days wait. Of several processes, one makes a partition, and the others wait for
    it.
    """
    missing = [(table, day) for day in sorted(days) for table in BY_DAY if not _exists(cursor, table, day)]
    if not missing:
        return
    take_lock(cursor, _LOCK)
    for table, day in missing:
        if _exists(cursor, table, day):
            continue
        parent, child = sql.Identifier(SCHEMA, table), sql.Identifier(SCHEMA, _name(table, day))
        # CREATE TABLE ... PARTITION OF would lock the whole table against readers; ATTACH does not.
        cursor.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(child, parent))
        cursor.execute(
            sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM (%s) TO (%s)").format(parent, child),
            [_start(day), _start(day + timedelta(1))],
        )


def days_of(database: Database) -> list[date]:
    """Days that have a partition, the earliest first."""
    found = database.rows(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = %s::regclass",
        [f"{SCHEMA}.{BY_DAY[0]}"],
    )
    return sorted(_day(name) for (name,) in found)


def drop_days(database: Database, days: Iterable[date], log: Log = _log.warning) -> None:
    """Drop the partitions of some days with everything in them, each as soon as nobody reads the tables.

    Raises
    ------
    TableBusyError
        When readers hold a table for too long.
    """
    for day in days:
        insist(lambda day=day: _drop(database, day), database.rows, None, log)  # type: ignore[misc]


def _drop(database: Database, day: date) -> None:
    with database.transaction() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        take_lock(cursor, _LOCK)
        for table in BY_DAY:
            cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(SCHEMA, _name(table, day))))


def _exists(cursor: Cursor, table: str, day: date) -> bool:
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [f"{SCHEMA}.{_name(table, day)}"])
    row = cursor.fetchone()
    return bool(row and row[0])


def _name(table: str, day: date) -> str:
    return f"{table}_{day:%Y%m%d}"


def _day(name: str) -> date:
    return datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC).date()


def _start(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
