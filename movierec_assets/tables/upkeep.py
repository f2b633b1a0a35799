"""Vacuum and analyze of a whole database.

Belongs here: the statement, without waiting for locks. Does not: which databases there are (`database_urls`), removing
rows.

https://www.postgresql.org/docs/current/routine-vacuuming.html
"""

from __future__ import annotations

from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT

from movierec_assets.tables.database import Database


def vacuum(database: Database) -> int:
    """Vacuum and analyze all tables of a database; returns the bytes that it has on disk afterwards.

    A table that another session has locked is left out: the next time does it.

    Raises
    ------
    DatabaseUnavailableError
    """
    with database.connect() as connection:
        connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE, SKIP_LOCKED)")
            cursor.execute("SELECT pg_database_size(current_database())")
            row = cursor.fetchone()
            return int(row[0]) if row else 0
