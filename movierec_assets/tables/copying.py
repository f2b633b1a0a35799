"""Rows into and out of Postgres by COPY, on a cursor.

Belongs here: arrays, rows and ready blocks. Does not: the bytes of the binary format (`binary_copy`, `user_rows`), and
connections (`database`).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy.typing as npt
import psycopg2
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.sql import SCHEMA
from movierec_assets.tables.binary_copy import BlockReader, Columns, Kind, RowDecoder, encode_parts

_READ_BYTES = 4 << 20
_SENT_BYTES = 4 << 20


def copy_in(cursor: Cursor, relation: sql.Identifier, columns: Columns, kinds: Mapping[str, Kind]) -> int:
    """COPY arrays into a table that exists, binary; returns the number of rows."""
    return copy_stream(cursor, relation, kinds, BlockReader(encode_parts([columns], kinds)), "BINARY")


def copy_out(cursor: Cursor, query: str, kinds: Mapping[str, Kind]) -> dict[str, npt.NDArray[Any]]:
    """COPY the rows of a query out, binary, into arrays; see `Database.columns`."""
    decoder = RowDecoder(kinds)
    with io.BufferedWriter(decoder, _READ_BYTES) as stream:
        cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT BINARY)", stream)
        stream.flush()
        return decoder.columns()


def copy_rows(cursor: Cursor, table: str | sql.Identifier, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """COPY rows of text, numbers, None and lists of text into a table; returns the number of rows.

    A table given as text is in the schema.
    """
    relation = sql.Identifier(SCHEMA, table) if isinstance(table, str) else table
    return copy_stream(cursor, relation, names, BlockReader(_as_csv(rows)), "CSV")


def copy_stream(cursor: Cursor, relation: sql.Identifier, names: Iterable[str], stream: BlockReader, form: str) -> int:
    """COPY a stream in this form into a table; returns the number of rows, and raises the stream's own errors."""
    command = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(
        relation, sql.SQL(", ").join(map(sql.Identifier, names)), sql.SQL(form)
    )
    try:
        cursor.copy_expert(command, stream, size=_SENT_BYTES)
    except psycopg2.Error:
        if stream.error is not None:
            raise stream.error from None  # the cause, rather than the cancelled COPY
        raise
    return cursor.rowcount


def _as_csv(rows: Iterable[Sequence[Any]], batch: int = 10_000) -> Iterator[bytes]:
    """Rows in COPY's CSV, `batch` at a time: None is an unquoted empty field, which the csv module cannot write."""
    remaining = iter(rows)
    while block := list(islice(remaining, batch)):
        yield "".join(",".join(map(_csv_field, row)) + "\n" for row in block).encode()


def _csv_field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        value = "{" + ",".join(_quoted(item, "\\") for item in value) + "}"
    return _quoted(str(value), '"')


def _quoted(text: str, escape: str) -> str:
    """Text in double quotes: doubled inside in CSV, after a backslash inside in an array literal."""
    if escape != '"':
        text = text.replace(escape, escape * 2)
    return '"' + text.replace('"', escape + '"') + '"'
