"""Columns of numbers to and from Postgres' binary COPY format, without a Python object per value.

Belongs here: the format. Which tables are read and written is decided in `database`'s callers.

References
----------
PostgreSQL documentation, COPY, "Binary Format".
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["smallint", "integer", "bigint", "real", "timestamptz"]
Columns = Mapping[str, npt.NDArray[Any]]

_WIRE: dict[Kind, str] = {"smallint": ">i2", "integer": ">i4", "bigint": ">i8", "real": ">f4", "timestamptz": ">i8"}
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_POSTGRES_EPOCH = 946_684_800
"""2000-01-01 in Unix seconds; a timestamptz counts microseconds from there."""


def _row_type(kinds: Mapping[str, Kind]) -> np.dtype[Any]:
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for name, kind in kinds.items():
        fields += [(f"{name} length", ">i4"), (name, _WIRE[kind])]
    return np.dtype(fields)


def decode(data: bytes | memoryview, kinds: Mapping[str, Kind]) -> dict[str, npt.NDArray[Any]]:
    """Columns of a binary COPY stream.

    Parameters
    ----------
    data : bytes
        A whole stream, header and trailer included; no value may be null.
    kinds : mapping of column name to type, in the order of the query

    Returns
    -------
    dict of arrays, each of shape (rows,)
        In native byte order; `timestamptz` as int64 Unix seconds.

    Raises
    ------
    ValueError
        When the stream does not consist of rows of these types without nulls.
    """
    row = _row_type(kinds)
    body = len(data) - len(_HEADER) - len(_TRAILER)
    if body % row.itemsize:
        raise ValueError(f"The COPY stream is not made of rows of {dict(kinds)} without nulls.")
    rows = np.frombuffer(data, dtype=row, count=body // row.itemsize, offset=len(_HEADER))
    columns = {}
    for name, kind in kinds.items():
        if (rows[f"{name} length"] != row[name].itemsize).any():
            raise ValueError(f"Column {name} of the COPY stream is not {kind}, or holds nulls.")
        values = rows[name].astype(row[name].newbyteorder("="))
        columns[name] = values // 1_000_000 + _POSTGRES_EPOCH if kind == "timestamptz" else values
    return columns


def encode(columns: Columns, kinds: Mapping[str, Kind], batch: int = 500_000) -> Iterator[bytes]:
    """Blocks of a binary COPY stream of columns, `batch` rows at a time.

    Parameters
    ----------
    columns : mapping of column name to array, each of shape (rows,)
        `timestamptz` as Unix seconds.
    kinds : mapping of column name to type, in the order of the COPY command

    Raises
    ------
    ValueError
        When columns differ in length, or a value does not fit its column; numpy would let it wrap around.
    """
    row = _row_type(kinds)
    lengths = {len(columns[name]) for name in kinds}
    if len(lengths) != 1:
        raise ValueError(f"Columns of one table have one length, not {sorted(lengths)}.")
    (total,) = lengths
    yield _HEADER
    for start in range(0, total, batch):
        stop = min(start + batch, total)
        rows = np.empty(stop - start, dtype=row)
        rows["fields"] = len(kinds)
        for name, kind in kinds.items():
            values = columns[name][start:stop]
            rows[f"{name} length"] = row[name].itemsize
            with np.errstate(invalid="ignore"):
                rows[name] = (
                    (values.astype(np.int64) - _POSTGRES_EPOCH) * 1_000_000 if kind == "timestamptz" else values
                )
            if kind in ("smallint", "integer", "bigint") and not np.array_equal(rows[name], values):
                raise ValueError(f"A value of column {name} does not fit {kind}.")
        yield rows.tobytes()
    yield _TRAILER


class BlockReader(io.RawIOBase):
    """A readable file over blocks of bytes that are made as they are read."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as the current block reaches; 0 at the end."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
