"""Columns of numbers to and from Postgres' binary COPY format, without a Python object for each value.

Belongs here: the format. Does not: which tables are read and written.

References
----------
PostgreSQL documentation, COPY, "Binary Format".
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["smallint", "integer", "bigint", "real", "timestamptz"]
Columns = Mapping[str, npt.NDArray[Any]]

_WIRE: dict[Kind, str] = {"smallint": ">i2", "integer": ">i4", "bigint": ">i8", "real": ">f4", "timestamptz": ">i8"}
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
POSTGRES_EPOCH = 946_684_800
"""2000-01-01 in Unix seconds; a timestamptz counts microseconds from there."""

_BATCH = 25_000
"""Rows to encode at a time: about a megabyte, which fits into a processor's cache."""


def _row_type(kinds: Mapping[str, Kind]) -> np.dtype[Any]:
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for name, kind in kinds.items():
        fields += [(f"{name} length", ">i4"), (name, _WIRE[kind])]
    return np.dtype(fields)


class RowDecoder(io.RawIOBase):
    """A writable file that decodes a binary COPY stream into columns as it arrives, without holding the stream.

    Wrap it in `io.BufferedWriter`: each write costs a Python call, and a driver may write every row.

    Parameters
    ----------
    kinds : mapping of column name to type, in the order of the query
    """

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self._kinds = kinds
        self._row = _row_type(kinds)
        self._rest = b""
        self._skip = len(HEADER)
        self._parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in kinds}

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any) -> int:
        """Decode the next bytes of the stream."""
        block = self._rest + bytes(data) if self._rest else bytes(data)
        skipped = min(self._skip, len(block))
        self._skip -= skipped
        count = (len(block) - skipped) // self._row.itemsize
        rows = np.frombuffer(block, dtype=self._row, count=count, offset=skipped)
        self._rest = block[skipped + count * self._row.itemsize :]
        if count and (rows["fields"] != len(self._kinds)).any():
            raise ValueError(f"The COPY stream is not made of rows of {dict(self._kinds)} without nulls.")
        for name, kind in self._kinds.items():
            if (rows[f"{name} length"] != self._row[name].itemsize).any():
                raise ValueError(f"Column {name} of the COPY stream is not {kind}, or holds nulls.")
            values = rows[name].astype(self._row[name].newbyteorder("="))
            if kind == "timestamptz":
                values //= 1_000_000
                values += POSTGRES_EPOCH
            self._parts[name].append(values)
        return len(data)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Columns of the whole stream; call once. They are joined one at a time, so that only one is held twice.

        Returns
        -------
        dict of arrays, each of shape (rows,)
            In native byte order; `timestamptz` as int64 Unix seconds.

        Raises
        ------
        ValueError
            When the stream did not consist of rows of these types without nulls.
        """
        if self._rest != TRAILER:
            raise ValueError(f"The COPY stream is not made of rows of {dict(self._kinds)} without nulls.")
        found = {}
        for name in self._kinds:
            empty = np.empty(0, self._row[name].newbyteorder("="))
            found[name] = np.concatenate([empty, *self._parts.pop(name)])
        return found


def encode_parts(parts: Iterable[Columns], kinds: Mapping[str, Kind], batch: int = _BATCH) -> Iterator[bytes]:
    """Blocks of a binary COPY stream, made from a table in parts, at most `batch` rows at a time.

    Parameters
    ----------
    parts : iterable of mappings of column name to array, each of shape (rows of the part,)
        `timestamptz` as Unix seconds.
    kinds : mapping of column name to type, in the order of the COPY command

    Raises
    ------
    ValueError
        When columns differ in length, or a value does not fit its column, where numpy would let it wrap around.
    """
    row = _row_type(kinds)
    yield HEADER
    for columns in parts:
        lengths = {len(columns[name]) for name in kinds}
        if len(lengths) != 1:
            raise ValueError(f"Columns of one table have one length, not {sorted(lengths)}.")
        (total,) = lengths
        frame = np.empty(min(batch, total), dtype=row)
        frame["fields"] = len(kinds)
        for name in kinds:
            frame[f"{name} length"] = row[name].itemsize
        for start in range(0, total, batch):
            rows = frame[: min(batch, total - start)]
            for name, kind in kinds.items():
                _set(rows[name], columns[name][start : start + batch], name, kind)
            yield rows.tobytes()
    yield TRAILER


def _set(target: npt.NDArray[Any], values: npt.NDArray[Any], name: str, kind: Kind) -> None:
    if kind == "timestamptz":
        values = (values.astype(np.int64) - POSTGRES_EPOCH) * 1_000_000
    with np.errstate(invalid="ignore"):
        target[:] = values
    whole = kind in ("smallint", "integer", "bigint")
    if whole and not np.can_cast(values.dtype, target.dtype) and not np.array_equal(target, values):
        raise ValueError(f"A value of column {name} does not fit {kind}.")


class BlockReader(io.RawIOBase):
    """A readable file over blocks of bytes that are made as they are read."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")
        self.error: BaseException | None = None
        """The exception raised while a block was made; a driver may report it as another one."""

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The rest of the current block, at most `size` bytes of it; empty at the end."""
        block = self._current()
        given = block if size < 0 or size >= len(block) else block[:size]
        self._rest = block[len(given) :]
        whole = given.obj
        return whole if isinstance(whole, bytes) and len(whole) == len(given) else bytes(given)

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as the current block reaches; 0 at the end."""
        block = self._current()
        count = min(len(buffer), len(block))
        buffer[:count] = block[:count]
        self._rest = block[count:]
        return count

    def _current(self) -> memoryview:
        """The rest of the current block, or the next block; empty at the end."""
        while not self._rest:
            try:
                block = next(self._blocks, None)
            except BaseException as error:
                self.error = error
                raise
            if block is None:
                break
            self._rest = memoryview(block)
        return self._rest
