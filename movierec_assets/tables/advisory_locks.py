"""Advisory locks of Postgres: who may load, migrate, promote or run, among all processes that use the database.

Belongs here: taking one, and giving back those of a session. Does not: the work under it, and locks of
tables (`strong_locks`).

https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

from typing import Literal

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.sql import SCHEMA


def take_lock(
    cursor: Cursor,
    key: str | int,
    *,
    until: Literal["transaction ends", "session ends"] = "transaction ends",
    wait: bool = True,
    bits: Literal[32, 64] = 32,
) -> bool:
    """Take a lock that one transaction or session at a time holds; Postgres releases it at the end, however that comes.

    Parameters
    ----------
    cursor : cursor
    key : str or int
        A name within the schema, or a number within the database.
    until : {"transaction ends", "session ends"}
    wait : bool
        Whether to wait while somebody else holds the lock.
    bits : {32, 64}
        Of the hash of a name. Use one width for one name: hashes of different widths do not exclude each other.

    Returns
    -------
    bool
        Whether the lock is held; always, after waiting.
    """
    function = f"pg_{'' if wait else 'try_'}advisory_{'xact_' if until == 'transaction ends' else ''}lock"
    number = "%s" if isinstance(key, int) else {32: "hashtext(%s)", 64: "hashtextextended(%s, 0)"}[bits]
    cursor.execute(f"SELECT {function}({number})", [key if isinstance(key, int) else f"{SCHEMA}.{key}"])
    row = cursor.fetchone()
    return wait or bool(row and row[0])


def release_locks(cursor: Cursor) -> None:
    """Give back what the session holds until it ends.

    Closing a connection does so too, but after `close` has returned: the next process that does not wait may still find
    the lock taken.
    """
    cursor.execute("SELECT pg_advisory_unlock_all()")
