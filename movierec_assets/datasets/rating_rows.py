"""From the bytes of a file of ratings to four columns of numbers.

Belongs here: cutting the file into blocks of whole lines, and parsing lines into four numbers. Does not: judging the
numbers (`rating_scan`).

`parse_line` defines how a line is read. For speed, polars parses a block with types. Where many lines do not give four
finite numbers, polars parses it again with floating-point ids and times of ISO 8601. Lines that still fail, and lines
that polars might read differently, are parsed by `parse_line`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import polars as pl

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.file_format import Header
from movierec_assets.datasets.rejects import RejectReason
from movierec_assets.datasets.times import parse_time, parse_times
from movierec_assets.datasets.whole_numbers import LARGEST_EXACT, NUMBER, whole_number

BLOCK_BYTES = 16 << 20
_END_BYTES = 64 << 10
_LINE_BY_LINE = 128
_MANY = 1 / 16
"""Share of the lines of a block from which parsing them one by one takes longer than the whole block again."""

_MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "\\n"})
_SPACES = str.maketrans("\t\n\v\f\r", "     ")
"""Includes a bare carriage return, which polars and csv read differently."""
BLANK = 255
"""Code of an empty line, which is not a row."""

_MISSING_REASONS = (
    RejectReason.MISSING_USER,
    RejectReason.MISSING_MOVIE,
    RejectReason.MISSING_RATING,
    RejectReason.MISSING_TIMESTAMP,
)
_SHAPE_REASONS = (
    RejectReason.USER_NOT_INTEGER,
    RejectReason.MOVIE_NOT_INTEGER,
    RejectReason.RATING_NOT_NUMBER,
    RejectReason.TIMESTAMP_NOT_INTEGER,
)
_QUOTE, _COMMA, _NEWLINE = b'",\n'
_BEFORE_FIELD = np.frombuffer(b",\n", np.uint8)
_BEHIND_FIELD = np.frombuffer(b",\r\n", np.uint8)
_TYPES = (pl.Int64, pl.Int64, pl.Float64, pl.Int64)
_LOOSE_TYPES = (pl.Float64, pl.Float64, pl.Float64, pl.String)
_PERHAPS_THOUSANDS = re.compile(rb"\.000(?![0-9])")


@dataclass(frozen=True)
class Block:
    """Whole lines of a file with their position; `data` ends with a line feed.

    `open`: the file lacks this last line feed. `unended`: it lacks a carriage return as well, as if it was cut off.
    """

    offset: int
    data: bytes
    first_line: int
    lines: int
    unended: bool = False
    open: bool = False


@dataclass(frozen=True)
class ParsedRows:
    """One entry per physical line of a block.

    Attributes
    ----------
    user_id, movie_id, rated_at : int64 array
        Clipped to 64 bits; 0 where `code` is not 0.
    rating : float64 array
        Stars; 0 where `code` is not 0.
    code : uint8 array
        0, a `RejectReason`, or `BLANK`.
    detail : int64 array
        Number of fields found, where that is the reason.
    assumed_utc : bool array
        The time names no zone.
    """

    user_id: npt.NDArray[np.int64]
    movie_id: npt.NDArray[np.int64]
    rating: npt.NDArray[np.float64]
    rated_at: npt.NDArray[np.int64]
    code: npt.NDArray[np.uint8]
    detail: npt.NDArray[np.int64]
    assumed_utc: npt.NDArray[np.bool_]


Row = tuple[int, int, float, int, int, int, bool]


def read_blocks(stream: BinaryIO, path: Path, first_line: int, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """Cut the rest of a file into blocks that end where a line ends.

    Raises
    ------
    DatasetError
        If a single line is longer than a block.
    """
    offset = stream.tell()
    while data := stream.read(block_bytes):
        cut = data.rfind(b"\n") + 1
        if cut == 0 and len(data) == block_bytes:
            raise DatasetError(
                f"{path}, line {first_line}: no line end within {block_bytes:,} bytes (from byte {offset:,}); "
                "this is not a CSV of ratings. Fetch the release again."
            )
        unended = is_open = False
        if len(data) < block_bytes and cut < len(data):
            unended = not data.endswith(b"\r")  # a carriage return shows that the line is complete
            size, data, is_open = len(data), data + b"\n", True
        else:
            size = cut
            data = data[:cut] if cut < len(data) else data
            stream.seek(offset + cut)
        lines = data.count(b"\n")
        yield Block(offset, data, first_line, lines, unended, is_open)
        offset += size
        first_line += lines


def skip_blocks(stream: BinaryIO, size: int, block_bytes: int = BLOCK_BYTES) -> Iterator[int]:
    """Skip the blocks that `read_blocks` cuts from the rest of a file; reads the end of each, where its last line ends.

    Parameters
    ----------
    stream : file
        It stays before the first block that `read_blocks` refuses, and at the end of the file where there is none.
    size : int
        Bytes of the file.

    Yields
    ------
    int
        Bytes of the file up to the end of each block.
    """
    offset = stream.tell()
    while size - offset >= block_bytes:
        for length in (min(_END_BYTES, block_bytes), block_bytes):
            stream.seek(offset + block_bytes - length)
            data = stream.read(length)
            cut = data.rfind(b"\n") + 1
            if cut or len(data) < length:
                break
        if cut == 0:
            stream.seek(offset)
            return
        offset += block_bytes - length + cut
        yield offset
    stream.seek(size)


def parse_line(line: bytes, header: Header) -> Row:
    """Parse one line, with commas between its fields: (user id, movie id, rating, time, code, detail, assumed UTC).

    This defines a readable row. Quoted values, surrounding spaces and signs are allowed. Ids and times are whole
    numbers, in any notation; a time may be ISO 8601; a rating may have a decimal comma.
    """
    text = line.decode("utf-8", "replace").translate(_SPACES).strip(" ")
    if not text:
        return _rejected(BLANK)
    if '"' in text:
        try:
            fields = next(csv.reader([text], skipinitialspace=True, strict=True))
        except (csv.Error, StopIteration):
            return _rejected(RejectReason.MALFORMED)
    else:
        fields = text.split(",")
    if len(fields) != header.width:
        return _rejected(RejectReason.FIELD_COUNT, len(fields))
    values = [fields[position].strip(" ") for position in header.positions]
    for value, reason in zip(values, _MISSING_REASONS, strict=True):
        if value.lower() in _MISSING:
            return _rejected(reason)
    user, movie, rating = whole_number(values[0]), whole_number(values[1]), _decimal(values[2])
    rated_at, assumed_utc = whole_number(values[3]), False
    if rated_at is None and (moment := parse_time(values[3])) is not None:
        rated_at, assumed_utc = moment
    if user is None or movie is None or rating is None or rated_at is None:
        found = (user, movie, rating, rated_at)
        return _rejected(next(reason for value, reason in zip(found, _SHAPE_REASONS, strict=True) if value is None))
    return user, movie, rating, rated_at, 0, 0, assumed_utc


def _rejected(code: int, detail: int = 0) -> Row:
    return 0, 0, 0.0, 0, code, detail, False


def _decimal(text: str) -> float | None:
    if text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    return float(text) if NUMBER.fullmatch(text) else None


def parse_rows(data: bytes, lines: int, header: Header) -> ParsedRows:
    """Parse every line of a block; `lines` is the number of its line ends."""
    if lines > _LINE_BY_LINE:
        rows = _parse_typed(data, lines, header)
        if rows is not None:
            return rows
        middle = data.find(b"\n", len(data) // 2) + 1
        if 0 < middle < len(data):
            first, second = data[:middle], data[middle:]
            before = first.count(b"\n")
            return _joined(parse_rows(first, before, header), parse_rows(second, lines - before, header))
    return _from_rows([parse_line(line, header) for line in data.split(b"\n")[:-1]])


def _from_rows(rows: list[Row]) -> ParsedRows:
    columns = list(zip(*rows, strict=True)) or [()] * 7
    dtypes = (np.int64, np.int64, np.float64, np.int64, np.uint8, np.int64, np.bool_)
    return ParsedRows(*(np.array(column, dtype) for column, dtype in zip(columns, dtypes, strict=True)))


def _joined(first: ParsedRows, second: ParsedRows) -> ParsedRows:
    return ParsedRows(*(np.concatenate([getattr(first, n), getattr(second, n)]) for n in first.__dataclass_fields__))


def _parse_typed(data: bytes, lines: int, header: Header) -> ParsedRows | None:
    """Parse a block with polars, and with `parse_line` every line that polars may have read differently.

    None where polars fails or finds another number of lines.
    """
    quoted = b'"' in data
    masked, unpaired = _mask_unpaired_quotes(data) if quoted else (data, np.empty(0, np.int64))
    frame = _read(masked, lines, header, _TYPES, quoted=quoted)
    if frame is None:
        return None
    suspects = _unsure(frame)
    assumed_utc = np.zeros(lines, np.bool_)
    if len(suspects) > lines * _MANY:
        loose = _read(masked, lines, header, _LOOSE_TYPES, quoted=quoted)
        if loose is not None:
            frame = _whole(loose, header)
            assumed_utc = frame["assumed_utc"].fill_null(False).to_numpy(writable=True)
            frame = frame.drop("assumed_utc")
            suspects = np.union1d(_unsure(frame), _perhaps_thousands(data))
    suspects = np.union1d(suspects, unpaired)
    reread = _lines_at(data, suspects)
    # Each other line has a value in every column, so at least width - 1 commas. If the sum is right, each line is.
    commas = data.count(b",") - sum(line.count(b",") for line in reread)
    if commas != (lines - len(suspects)) * (header.width - 1):
        suspects = np.union1d(suspects, np.flatnonzero(_commas_per_line(data) != header.width - 1))
        reread = _lines_at(data, suspects)
    wanted = (frame.columns[position] for position in header.positions)
    user, movie, rating, rated_at = (frame.get_column(name).fill_null(0).to_numpy(writable=True) for name in wanted)
    code, detail = np.zeros(lines, np.uint8), np.zeros(lines, np.int64)
    if len(suspects):
        again = _from_rows([parse_line(line, header) for line in reread])
        user[suspects], movie[suspects] = again.user_id, again.movie_id
        rating[suspects], rated_at[suspects] = again.rating, again.rated_at
        code[suspects], detail[suspects] = again.code, again.detail
        assumed_utc[suspects] = again.assumed_utc
    return ParsedRows(user, movie, rating, rated_at, code, detail, assumed_utc)


def _read(
    data: bytes, lines: int, header: Header, types: tuple[type[pl.DataType], ...], *, quoted: bool
) -> pl.DataFrame | None:
    """All columns of a block, the wanted ones in these types; None where polars fails or finds other lines."""
    names = [f"c{index}" for index in range(header.width)]
    schema: dict[str, type[pl.DataType]] = dict.fromkeys(names, pl.String)
    schema.update(zip((names[position] for position in header.positions), types, strict=True))
    try:
        # Without a header line, polars takes the number of columns from the first row, which may be incomplete.
        frame = pl.read_csv(
            ",".join(names).encode() + b"\n" + data,
            schema=schema,
            ignore_errors=True,
            truncate_ragged_lines=True,
            quote_char='"' if quoted else None,
            encoding="utf8-lossy" if pl.String in schema.values() else "utf8",
        )
    except pl.exceptions.PolarsError:
        return None
    return frame if frame.height == lines else None


def _unsure(frame: pl.DataFrame) -> npt.NDArray[np.int64]:
    """Indices of rows with a missing or an infinite value."""
    infinite = [~pl.col(name).is_finite().fill_null(False) for name, kind in frame.schema.items() if kind == pl.Float64]
    return np.flatnonzero(frame.select(pl.any_horizontal(pl.all().is_null(), *infinite)).to_series().to_numpy())


def _whole(loose: pl.DataFrame, header: Header) -> pl.DataFrame:
    """Numbers and ISO times as whole numbers, null where they are not whole; with a column `assumed_utc`."""
    user, movie, _, rated_at = (loose.columns[position] for position in header.positions)
    texts = loose[rated_at]
    seconds = texts.cast(pl.Float64, strict=False)
    times = parse_times(texts) if seconds.null_count() > texts.null_count() else None
    found = loose.with_columns(
        _as_integer(pl.col(user)), _as_integer(pl.col(movie)), _as_integer(pl.lit(seconds)).alias(rated_at)
    )
    if times is None:
        return found.with_columns(assumed_utc=pl.lit(value=False))
    return found.with_columns(pl.col(rated_at).fill_null(times["seconds"]), times["assumed_utc"])


def _as_integer(numbers: pl.Expr) -> pl.Expr:
    exact = (numbers.abs() < LARGEST_EXACT) & (numbers.floor() == numbers)
    return pl.when(exact).then(numbers).cast(pl.Int64)


def _perhaps_thousands(data: bytes) -> npt.NDArray[np.int64]:
    """Indices of lines with a number such as 1.000, which `parse_line` does not accept."""
    starts = np.array([found.start() for found in _PERHAPS_THOUSANDS.finditer(data)], np.int64)
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == _NEWLINE)
    return np.unique(np.searchsorted(ends, starts))


def _mask_unpaired_quotes(data: bytes) -> tuple[bytes, npt.NDArray[np.int64]]:
    """Replace the quotes of lines in which they do not enclose whole fields in pairs.

    After a quote that does not close, polars would read the next lines as one value. Returns the data with these quotes
    replaced, and the indices of these lines.
    """
    raw = np.frombuffer(data, np.uint8)
    marks = np.flatnonzero((raw == _QUOTE) | (raw == _NEWLINE))
    is_quote = raw[marks] == _QUOTE
    quotes, line = marks[is_quote], np.cumsum(~is_quote)[is_quote]
    starts_line = np.append(True, line[1:] != line[:-1])
    ordinal = np.arange(len(line)) - np.flatnonzero(starts_line)[np.cumsum(starts_line) - 1]
    opens = ordinal % 2 == 0
    before, behind = raw[np.maximum(quotes - 1, 0)], raw[quotes + 1]
    encloses = np.where(opens, np.isin(before, _BEFORE_FIELD) | (quotes == 0), np.isin(behind, _BEHIND_FIELD))
    stays_open = np.append(starts_line[1:], True) & opens
    unpaired = np.unique(line[~encloses | stays_open])
    if len(unpaired) == 0:
        return data, unpaired
    masked = raw.copy()
    masked[quotes[np.isin(line, unpaired)]] = ord("x")
    return masked.tobytes(), unpaired


def _commas_per_line(data: bytes) -> npt.NDArray[np.int64]:
    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw[(raw == _COMMA) | (raw == _NEWLINE)] == _NEWLINE)
    return np.diff(ends, prepend=-1) - 1


def _lines_at(data: bytes, indices: npt.NDArray[np.int64]) -> list[bytes]:
    """Bytes of the lines with these ascending indices, without line ends."""
    if len(indices) == 0:
        return []
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == _NEWLINE)
    starts = np.concatenate([[0], ends[:-1] + 1])
    return [data[a:b] for a, b in zip(starts[indices].tolist(), ends[indices].tolist(), strict=True)]


def lines_of(block: Block, numbers: npt.NDArray[np.int64]) -> list[bytes]:
    """Bytes of the lines with these ascending physical numbers, all within the block."""
    return _lines_at(block.data, numbers - block.first_line)
