"""Rows of Postgres' binary COPY format that each hold a whole user: decoded into blocks of arrays, and encoded.

Belongs here: the format. A row has the user's id, then a byte string for each column: its values in network byte order,
one after the other. So a user with a hundred ratings costs both sides one row instead of a hundred. Does not: the
queries (`histories`).

References
----------
PostgreSQL documentation, COPY, "Binary Format".
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from movierec_assets.tables.binary_copy import HEADER, TRAILER

HISTORY_TYPES = (np.int32, np.int64)
"""Types in the byte strings of `rating_histories`: movies; times and half stars, in the lowest `STAR_BITS`."""
_SHORT, _INT = struct.Struct(">h"), struct.Struct(">i")


@dataclass(frozen=True)
class UserRows:
    """Users with lists of values.

    Attributes
    ----------
    user_ids : int32 array, shape (n_users,)
    values : tuple of arrays, each of shape (all values of the column,)
        In the order of users.
    lengths : tuple of int64 array, each of shape (n_users,)
        Number of values of the column for each user.
    """

    user_ids: npt.NDArray[np.int32]
    values: tuple[npt.NDArray[Any], ...]
    lengths: tuple[npt.NDArray[np.int64], ...]


class UserRowDecoder(io.RawIOBase):
    """A writable file that calls a function with each block of users.

    Parameters
    ----------
    types : sequence of numpy types
        Of the values of each column of byte strings.
    hand_on : callable
        Called with each `UserRows`.
    block_bytes : int
        Bytes of values after which a block ends; it has at least one user.
    """

    def __init__(self, types: Sequence[npt.DTypeLike], hand_on: Callable[[UserRows], None], block_bytes: int) -> None:
        self._types = [np.dtype(each).newbyteorder(">") for each in types]
        self._hand_on = hand_on
        self._block_bytes = block_bytes
        self._header_left = len(HEADER)
        self._rest = b""
        self._ended = False
        self._begin_block()

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any) -> int:
        """Take the next bytes of the stream; a driver passes on one row at a time."""
        stream = self._rest + bytes(data)
        at = min(self._header_left, len(stream))
        self._header_left -= at
        while not self._ended and (end := self._row(stream, at)) is not None:
            at = end
            if self._bytes >= self._block_bytes:
                self._end_block()
        self._rest = stream[at:]
        return len(data)

    def finish(self) -> None:
        """Hand on the last block.

        Raises
        ------
        ValueError
            When the stream did not consist of such rows.
        """
        if not self._ended or self._rest:
            raise ValueError(f"The COPY stream does not end after a user with {len(self._types)} byte strings.")
        if self._user_ids:
            self._end_block()

    def _row(self, stream: bytes, at: int) -> int | None:
        """Decode the row that begins at `at`; returns where it ends, or None when it has not arrived completely."""
        if len(stream) < at + len(TRAILER):
            return None
        if stream.startswith(TRAILER, at):
            self._ended = True
            return at + len(TRAILER)
        (fields,) = _SHORT.unpack_from(stream, at)
        if fields != 1 + len(self._types):
            raise ValueError(f"A row of the COPY stream has {fields} fields, not {1 + len(self._types)}.")
        found, at = [], at + _SHORT.size
        for _ in range(fields):
            if len(stream) < at + _INT.size:
                return None
            (length,) = _INT.unpack_from(stream, at)
            begin = at + _INT.size
            at = begin + max(0, length)  # -1 stands for null: there were no values to aggregate
            if len(stream) < at:
                return None
            found.append(stream[begin:at])
        if len(found[0]) != _INT.size:
            raise ValueError("The first field of the COPY stream is not an integer.")
        self._user_ids.append(found[0])
        for column, part in zip(self._columns, found[1:], strict=True):
            column.append(part)
            self._bytes += len(part)
        return at

    def _begin_block(self) -> None:
        self._user_ids: list[bytes] = []
        self._columns: list[list[bytes]] = [[] for _ in self._types]
        self._bytes = 0

    def _end_block(self) -> None:
        values, lengths = [], []
        for column, wire in zip(self._columns, self._types, strict=True):
            values.append(np.frombuffer(b"".join(column), dtype=wire).astype(wire.newbyteorder("=")))
            lengths.append(np.array([len(part) // wire.itemsize for part in column], dtype=np.int64))
        user_ids = np.frombuffer(b"".join(self._user_ids), dtype=">i4").astype(np.int32)
        self._begin_block()
        self._hand_on(UserRows(user_ids, tuple(values), tuple(lengths)))


def encode_users(blocks: Iterator[UserRows], types: Sequence[npt.DTypeLike]) -> Iterator[bytes]:
    """Blocks of a binary COPY stream from blocks of users.

    Parameters
    ----------
    blocks : iterator of UserRows
    types : sequence of numpy types
        Of the values of each column of byte strings, as they are written.
    """
    wires = [np.dtype(each).newbyteorder(">") for each in types]
    head = struct.pack(">hi", 1 + len(wires), _INT.size)
    yield HEADER
    for block in blocks:
        columns = [values.astype(wire).tobytes() for values, wire in zip(block.values, wires, strict=True)]
        sizes = [lengths * wire.itemsize for lengths, wire in zip(block.lengths, wires, strict=True)]
        ends = [np.cumsum(size).tolist() for size in sizes]
        starts = [[0, *end[:-1]] for end in ends]
        parts: list[bytes] = []
        for row, user in enumerate(block.user_ids.tolist()):
            parts += (head, _INT.pack(user))
            for column, start, end in zip(columns, starts, ends, strict=True):
                parts += (_INT.pack(end[row] - start[row]), column[start[row] : end[row]])
        yield b"".join(parts)
    yield TRAILER
