"""A new version of a table, which replaces the old one within a transaction.

Belongs here: filling, indexing and exchanging it. Does not: the transaction, and the locks against other replacements
(`database`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.sql import SCHEMA
from movierec_assets.tables.binary_copy import BlockReader, Columns, Kind, encode_parts
from movierec_assets.tables.copying import copy_rows, copy_stream
from movierec_assets.tables.read_ahead import ahead
from movierec_assets.tables.strong_locks import IN_THE_WAY, LOCK_TIMEOUT


class Replacement:
    """A new version of a table, empty at first, within the transaction that replaces the old one."""

    def __init__(self, cursor: Cursor, table: str, name: str, companions: Sequence[Replacement] = ()) -> None:
        self.cursor = cursor
        self.table = table
        self.companions = companions
        self.in_order = False
        """Whether rows were written in the order of the primary key."""
        self._name = name

    def write(self, columns: Columns, kinds: Mapping[str, Kind]) -> int:
        """COPY arrays in, binary; returns the number of rows."""
        return self.write_parts([columns], kinds)

    def write_parts(self, parts: Iterable[Columns], kinds: Mapping[str, Kind]) -> int:
        """COPY a table in, part by part; returns the number of rows.

        One thread makes the next part, and another one encodes the last one, while the server reads: it need not wait.
        """
        # FREEZE: no other transaction sees the table yet, and its first reader need not mark every row.
        with closing(ahead(iter(parts))) as made, closing(ahead(encode_parts(made, kinds))) as encoded:
            return copy_stream(self.cursor, self.relation, kinds, BlockReader(encoded), "BINARY, FREEZE")

    def write_blocks(self, blocks: Iterator[bytes], names: Sequence[str]) -> int:
        """COPY blocks of a binary COPY stream in, which a thread makes ahead; returns the number of rows."""
        with closing(ahead(blocks)) as made:
            return copy_stream(self.cursor, self.relation, names, BlockReader(made), "BINARY, FREEZE")

    @property
    def relation(self) -> sql.Identifier:
        """The new table, to be named in statements."""
        return sql.Identifier(SCHEMA, self._name)

    def write_rows(self, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """COPY rows of text, numbers, None and lists of text in; returns the number of rows."""
        return copy_rows(self.cursor, self._name, names, rows)


def fresh_table(cursor: Cursor, table: str, suffix: int, companions: Sequence[Replacement] = ()) -> Replacement:
    """An empty table like another one; tables of one transaction have one suffix."""
    fresh = Replacement(cursor, table, f"{table}_{suffix}", companions)
    cursor.execute(
        sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)").format(
            fresh.relation, sql.Identifier(SCHEMA, table)
        )
    )
    return fresh


def add_primary_key(fresh: Replacement) -> None:
    """Index a new table like the old one."""
    cursor = fresh.cursor
    cursor.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'p'",
        [f"{SCHEMA}.{fresh.table}"],
    )
    ((definition,),) = cursor.fetchall()
    # Rows in order need no sorting, and workers would divide them only to merge them again.
    workers = sql.SQL("SET LOCAL max_parallel_maintenance_workers = {}")
    cursor.execute(workers.format(sql.Literal(0)) if fresh.in_order else "RESET max_parallel_maintenance_workers")
    cursor.execute(sql.SQL("ALTER TABLE {} ADD {}").format(fresh.relation, sql.SQL(definition)))


def swap(cursor: Cursor, replacements: Sequence[Replacement]) -> None:
    """Replace old partitions by new ones; when readers hold a table, fail without keeping a lock."""
    cursor.execute("SAVEPOINT swap")
    try:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        for each in replacements:
            parent = sql.Identifier(SCHEMA, each.table)
            cursor.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(parent))
            cursor.execute(
                "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass",
                [f"{SCHEMA}.{each.table}"],
            )
            for (old,) in cursor.fetchall():
                cursor.execute(sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(parent, sql.SQL(old)))
                cursor.execute(sql.SQL("DROP TABLE {}").format(sql.SQL(old)))
            cursor.execute(
                sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM (MINVALUE) TO (MAXVALUE)").format(
                    parent, each.relation
                )
            )
    except IN_THE_WAY:
        cursor.execute("ROLLBACK TO SAVEPOINT swap; RELEASE SAVEPOINT swap")
        raise
