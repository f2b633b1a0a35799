"""How one file of a dataset is written: its columns, their separator, and the encoding of its titles.

Belongs here: the description, and finding the columns of an open file. Does not: reading rows (`movies`,
`rating_scan`), and which files make a dataset (`sources`).
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from movierec_assets.datasets.causes import GET_TIMES, NOTHING_IS_EARLIER
from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.exports import export_with

TIME_COLUMN = "timestamp"
RATING_COLUMNS = ("userId", "movieId", "rating", TIME_COLUMN)
MOVIE_COLUMNS = ("movieId", "title", "genres")
LINK_COLUMNS = ("movieId", "imdbId", "tmdbId")

BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_MAX_HEADER = 1 << 16
_SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_POINTS = bytes.maketrans(b",", b".")


@dataclass(frozen=True)
class Table:
    """How a file is written.

    Attributes
    ----------
    columns : tuple of str
        The columns that are read, in the order in which readers expect them.
    example : str
        A row, for messages.
    separator : str or None
        None where a header line names the columns and shows the separator.
    positions : tuple of int
        Without a header line: index of each column in a row.
    width : int
        Without a header line: fields in a row.
    latin : bool
        Titles are Latin-1, unless the whole file is UTF-8. Otherwise they are UTF-8.
    flags : tuple of str
        Genres of the columns of 0 and 1 after id and title; empty where genres are written as names.
    """

    columns: tuple[str, ...]
    example: str
    separator: str | None = None
    positions: tuple[int, ...] = ()
    width: int = 0
    latin: bool = False
    flags: tuple[str, ...] = ()


RATINGS = Table(RATING_COLUMNS, "1,2,3.5,1112486027")
MOVIES = Table(MOVIE_COLUMNS, "1,Toy Story (1995),Adventure|Comedy")
LINKS = Table(LINK_COLUMNS, "1,0114709,862")


@dataclass(frozen=True)
class DataFile:
    """One file of a dataset.

    Attributes
    ----------
    path : Path
        The file that is read: the user's own, or a copy that was unpacked.
    shown : Path
        The path in messages: the user's own file, or its path within an archive.
    table : Table
    """

    path: Path
    shown: Path
    table: Table

    @property
    def name(self) -> str:
        """Name of the file as the user has it."""
        return self.shown.name

    @classmethod
    def plain(cls, path: Path, table: Table) -> DataFile:
        """A file that is read directly, without unpacking."""
        return cls(path, path, table)


@dataclass(frozen=True)
class Header:
    """Which fields of a row are the wanted columns.

    Attributes
    ----------
    positions : tuple of int
        Index of each wanted column in a row, in the order asked for.
    width : int
        Fields in a row, with other columns.
    line : int
        Physical line of the header, 1-based; 0 without one.
    separator : str
        Between two fields.
    """

    positions: tuple[int, ...]
    width: int
    line: int
    separator: str = ","

    def with_commas(self, data: bytes) -> bytes:
        """Rows of numbers with commas as separators; where the separator was another, decimal commas become points."""
        if self.separator == ",":
            return data
        return data.translate(_POINTS).replace(self.separator.encode(), b",")


def open_file(path: Path) -> BinaryIO:
    """Open a file of the dataset for reading.

    Raises
    ------
    DatasetError
        If the system refuses.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}). Check the path and its permissions.") from error


def size_of(path: Path) -> int:
    """Bytes of a file of the dataset; fails as `open_file` does."""
    with open_file(path) as stream:
        return os.fstat(stream.fileno()).st_size


def find_columns(stream: BinaryIO, file: DataFile) -> Header:
    """Find the columns of an open file, and leave the stream at its first row.

    Raises
    ------
    DatasetError
        If the file is empty or its header line cannot be used.
    """
    table = file.table
    if table.separator is None:
        return read_header(stream, file.shown, table.columns)
    if not os.fstat(stream.fileno()).st_size:
        raise DatasetError(f"{file.shown}: the file is empty (0 bytes). Fetch the release again.")
    if stream.read(len(BOM)) != BOM:
        stream.seek(0)
    return Header(table.positions, table.width, 0, table.separator)


def read_header(stream: BinaryIO, path: Path, columns: Sequence[str]) -> Header:
    """Read the header line and leave the stream at the first line behind it.

    Case, underscores and surrounding spaces of names do not count. A byte-order mark, quotes, another order and further
    columns are allowed. Fields are separated by commas, semicolons, tabs or bars; a line `sep=;` may come first, as
    spreadsheets write it.

    Raises
    ------
    DatasetError
        If the file is empty, is not UTF-8 text with line ends, or lacks a header or a column.
    """
    expected = ",".join(columns)
    remedy = f"The first line must be {expected}; add it, or fetch the release again."
    separator, number, raw = None, 0, b""
    while not raw.strip():
        raw = stream.readline(_MAX_HEADER)
        number += 1
        if not raw:
            size = "0 bytes" if os.fstat(stream.fileno()).st_size == 0 else "blank lines only"
            raise DatasetError(f"{path}: the file is empty ({size}), not even a header. {remedy}")
        if number == 1:
            raw = raw.removeprefix(BOM)
            if declared := _SEPARATOR_LINE.fullmatch(raw.strip(b" \r\n").decode("latin-1")):
                separator, raw = declared[1], b""
    where = f"{path}, line {number}"
    text = raw.strip()
    if raw.startswith(_UTF16_BOMS) or b"\0" in raw:
        raise DatasetError(f"{where}: not UTF-8 text (UTF-16 or a binary file). Save the file as UTF-8.")
    if b"\r" in text:
        raise DatasetError(
            f"{where}: lines end in a bare carriage return. Convert the file to \\n or \\r\\n line ends, "
            f"for instance with `tr '\\r' '\\n' < {path.name}`."
        )
    if len(raw) == _MAX_HEADER and not raw.endswith(b"\n"):
        raise DatasetError(f"{where}: no line end in the first {_MAX_HEADER} bytes; this is not a CSV. {remedy}")
    try:
        line = text.decode("utf-8")
        separator = separator or _separator_of(line, columns)
        found = _split(line, separator)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{where}: the header cannot be read ({error}). {remedy}") from error
    names = [plain_name(name) for name in found]
    missing = [name for name in columns if plain_name(name) not in names]
    if missing:
        if missing == [TIME_COLUMN]:
            raise DatasetError(
                f"{where}: no column {TIME_COLUMN}, found {','.join(found)[:200]}. {NOTHING_IS_EARLIER}\n{GET_TIMES}"
            )
        export = export_with(found)
        why = f"this is {export.sentence}" if export else f"{_why_missing(line, found, columns, missing)} {remedy}"
        raise DatasetError(f"{where}: {why}")
    twice = [name for name in columns if names.count(plain_name(name)) > 1]
    if twice:
        raise DatasetError(f"{where}: column {', '.join(twice)} appears twice. Remove one of the two.")
    return Header(tuple(names.index(plain_name(name)) for name in columns), len(found), number, separator)


def _split(line: str, separator: str) -> list[str]:
    return [name.strip() for name in next(csv.reader([line], delimiter=separator, strict=True))]


def plain_name(name: str) -> str:
    """Name of a column without case and underscores, for comparison."""
    return name.casefold().replace("_", "")


def _separator_of(line: str, columns: Sequence[str]) -> str:
    """The separator that gives the largest number of wanted columns; a comma where none gives two."""
    wanted = {plain_name(name) for name in columns}

    def columns_found(separator: str) -> int:
        try:
            return len(wanted & {plain_name(name) for name in _split(line, separator)})
        except csv.Error:
            return -1

    found = max(_SEPARATORS, key=columns_found)
    return found if columns_found(found) > 1 else ","


def _why_missing(line: str, found: list[str], columns: Sequence[str], missing: list[str]) -> str:
    expected = f"Expected the columns {','.join(columns)}, found {','.join(found)[:200]}."
    if found[0].lstrip("-").isdecimal():
        return f"the header is missing, this looks like data. {expected}"
    names = [re.sub("(?<=[a-z])(?=[A-Z])", "_?", name) for name in columns]
    between = {part.strip("\"' ") or part for part in re.split("(?i)" + "|".join(names), line)[1:-1]}
    if len(found) == 1 and len(between) == 1:
        return (
            f"the columns are separated by {between.pop()!r}. Commas, semicolons, tabs and bars can be read; "
            f"write the file with one of them. {expected}"
        )
    return f"no column {', '.join(missing)}. {expected}"
