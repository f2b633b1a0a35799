"""Single files that are compressed by gzip or Zstandard, as ratings.csv.gz and ratings.csv.zst are.

Belongs here: unpacking one file. Does not: archives of several files (`archive`), keeping the copies (`unpacked`).
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.sources.unpacked import copy_within_space


def _open_zstandard(path: Path) -> IO[bytes]:
    import pyarrow as pa  # noqa: PLC0415 - the import takes a third of a second

    stream: IO[bytes] = pa.input_stream(str(path), compression="zstd")
    return stream


def _open_gzip(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.GzipFile(path))


_OPENERS: dict[str, Callable[[Path], IO[bytes]]] = {".gz": _open_gzip, ".zst": _open_zstandard}
SUFFIXES = tuple(_OPENERS)
"""Suffixes of compressed files."""


def decompress(source: Path, target: Path, shown: Path) -> None:
    """Unpack a file, which messages name as `shown`.

    Raises
    ------
    DatasetError
        If it is damaged or cut off, or the disk is too small for its content.
    """
    try:
        with _OPENERS[source.suffix](source) as packed, target.open("wb") as out:
            copy_within_space(packed, out, shown, target.parent)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise _damaged(shown, error) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise _damaged(shown, error) from error  # Arrow reports damage like this


def head_of(source: Path, size: int) -> bytes:
    """The first bytes of a file, unpacked; empty where it cannot be read."""
    try:
        with _OPENERS[source.suffix](source) if source.suffix in _OPENERS else source.open("rb") as stream:
            return stream.read(size)
    except (OSError, EOFError, zlib.error):
        return b""


def _damaged(shown: Path, error: Exception) -> DatasetError:
    return DatasetError(
        f"{shown}: cannot be unpacked ({error}). It is damaged, cut off or not what its name says; fetch it again."
    )
