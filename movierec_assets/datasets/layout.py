"""Which files make a dataset, and what their header lines must say.

What belongs here: the directory layout, the content hash, opening a file and finding its columns by name.
What does not: reading rows (`movies`, `ratings`) and deciding which dataset is meant (`locate`).
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .causes import GET_TIMES, NOTHING_IS_EARLIER
from .errors import DatasetError

TIME_COLUMN = "timestamp"
RATING_COLUMNS = ("userId", "movieId", "rating", TIME_COLUMN)
MOVIE_COLUMNS = ("movieId", "title", "genres")
LINK_COLUMNS = ("movieId", "imdbId", "tmdbId")

BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_LONGEST_HEADER = 1 << 16
_HASHED_BYTES = 4 << 20


@dataclass(frozen=True)
class MovieLensFiles:
    """A directory in MovieLens layout.

    Attributes
    ----------
    directory : Path
        Where the files are.
    ratings, movies : Path
        `ratings.csv` and `movies.csv`.
    links : Path or None
        `links.csv`, or None where the directory has none.
    """

    directory: Path
    ratings: Path
    movies: Path
    links: Path | None

    @classmethod
    def at(cls, path: Path) -> MovieLensFiles:
        """Find the files of the dataset in a directory.

        Raises
        ------
        DatasetError
            If the directory, `ratings.csv` or `movies.csv` is missing.
        """
        if not path.is_dir():
            what = "is a file" if path.exists() else "does not exist"
            raise DatasetError(f"{path}: {what}; expected a directory that holds ratings.csv and movies.csv.")
        missing = [name for name in ("ratings.csv", "movies.csv") if not (path / name).is_file()]
        if missing:
            raise DatasetError(
                f"{path}: {' and '.join(missing)} missing. A directory in MovieLens layout holds ratings.csv "
                f"({','.join(RATING_COLUMNS)}) and movies.csv ({','.join(MOVIE_COLUMNS)}); unpack the archive again "
                "or name another directory."
            )
        links = path / "links.csv"
        return cls(path, path / "ratings.csv", path / "movies.csv", links if links.is_file() else None)

    @classmethod
    def present_in(cls, path: Path) -> bool:
        """Whether a directory holds both files that a dataset needs."""
        return (path / "ratings.csv").is_file() and (path / "movies.csv").is_file()


def content_hash(*paths: Path) -> str:
    """SHA-256 over the contents of files, in the order given.

    Each file enters as its own digest, so moving bytes from the end of one file to the start of the next
    changes the result.
    """
    return combined_hash(*(file_digests(path, 0)[1] for path in paths))


def file_digests(path: Path, prefix: int) -> tuple[bytes | None, bytes, int]:
    """SHA-256 digests of the first `prefix` bytes of a file, None where it is shorter, and of all of it; its length."""
    whole, length, first = hashlib.sha256(), 0, None
    with open_file(path) as stream:
        while block := stream.read(min(_HASHED_BYTES, prefix - length) if length < prefix else _HASHED_BYTES):
            whole.update(block)
            length += len(block)
            if length == prefix:
                first = whole.digest()
    return first, whole.digest(), length


def combined_hash(*digests: bytes) -> str:
    """The content hash of files with these digests."""
    return hashlib.sha256(b"".join(digests)).hexdigest()


@dataclass(frozen=True)
class Header:
    """Where the wanted columns are.

    Attributes
    ----------
    positions : tuple of int
        Index of each wanted column in a row, in the order asked for.
    width : int
        Fields in a row, columns nobody asked for included.
    line : int
        Physical line of the header, 1-based.
    """

    positions: tuple[int, ...]
    width: int
    line: int


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


def read_header(stream: BinaryIO, path: Path, columns: Sequence[str]) -> Header:
    """Read the header line and leave the stream at the first line behind it.

    Names are compared without regard to case and surrounding spaces; a byte-order mark, quotes, another order
    and further columns are fine.

    Raises
    ------
    DatasetError
        If the file is empty, is not UTF-8 text with line ends, or lacks a header or a column.
    """
    expected = ",".join(columns)
    remedy = f"The first line must be {expected}; add it, or fetch the release again."
    number, raw = 0, b""
    while not raw.strip():
        raw = stream.readline(_LONGEST_HEADER)
        number += 1
        if not raw:
            size = "0 bytes" if path.stat().st_size == 0 else "blank lines only"
            raise DatasetError(f"{path}: the file is empty ({size}), not even a header. {remedy}")
        if number == 1:
            raw = raw.removeprefix(BOM)
    where = f"{path}, line {number}"
    text = raw.strip()
    if raw.startswith(_UTF16_BOMS) or b"\0" in raw:
        raise DatasetError(f"{where}: not UTF-8 text (UTF-16 or a binary file). Save the file as UTF-8.")
    if b"\r" in text:
        raise DatasetError(
            f"{where}: lines end in a bare carriage return. Convert the file to \\n or \\r\\n line ends, "
            f"for instance with `tr '\\r' '\\n' < {path.name}`."
        )
    if len(raw) == _LONGEST_HEADER and not raw.endswith(b"\n"):
        raise DatasetError(f"{where}: no line end in the first {_LONGEST_HEADER} bytes; this is not a CSV. {remedy}")
    try:
        found = [name.strip() for name in next(csv.reader([text.decode("utf-8")], strict=True))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{where}: the header cannot be read ({error}). {remedy}") from error
    names = [name.casefold() for name in found]
    missing = [name for name in columns if name.casefold() not in names]
    if missing:
        if missing == [TIME_COLUMN]:
            raise DatasetError(
                f"{where}: no column {TIME_COLUMN}, found {','.join(found)[:200]}. {NOTHING_IS_EARLIER}\n{GET_TIMES}"
            )
        looks_like_data = found[0].lstrip("-").isdecimal()
        what = "the header is missing, this looks like data" if looks_like_data else f"no column {', '.join(missing)}"
        raise DatasetError(f"{where}: {what}. Expected the columns {expected}, found {','.join(found)[:200]}. {remedy}")
    twice = [name for name in columns if names.count(name.casefold()) > 1]
    if twice:
        raise DatasetError(f"{where}: column {', '.join(twice)} appears twice. Remove one of the two.")
    return Header(tuple(names.index(name.casefold()) for name in columns), len(found), number)
