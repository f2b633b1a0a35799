"""Copies of files that cannot be read as they are: made once, and again when the original changes.

Belongs here: the directory of the copies, when a copy is valid, and how much of the disk copies may take. Does not:
unpacking (`compressed`, `archive`, `parquet`).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.file_lock import locked

KEPT_FREE = 256 << 20
"""Bytes of the disk that unpacking leaves free, for the database and everything else."""

_VERSION = 1
"""Raise it when the same original gives another copy than before."""
_STAMP = "copied-from.json"
_CHUNK = 1 << 20
_CHECK_EVERY = 64 << 20


def kept_copy(cache: Path, source: Path, part: str, make: Callable[[Path], None]) -> Path:
    """Directory with the files that `make` writes from a source file.

    Copies of removed files are removed, too. Calls for the same copy wait for one another.

    Parameters
    ----------
    cache : Path
        Directory of copies; made if missing.
    source : Path
        The file. A copy is valid while size and modification time of the file are the same.
    part : str
        Name of the part of the file that is copied; each part has a copy of its own.
    make : callable
        Writes into the given empty directory.

    Raises
    ------
    DatasetError
        If the copy cannot be made; an earlier copy stays.
    """
    source = source.resolve()
    key = f"{source.name}-{blake2b(json.dumps([str(source), part]).encode(), digest_size=6).hexdigest()}"
    target = cache / key
    stamp = _stamp_of(source, part)
    if _stamp_in(target) == stamp:
        return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache / f".{key}.lock", remove=True):
            if _stamp_in(target) != stamp:
                _remove_stale(cache, key)
                _make(cache, key, make, stamp)
    except OSError as error:
        raise DatasetError(
            f"{source}: cannot be unpacked into {cache} ({error.strerror or error}). Free some space, or set "
            "MOVIEREC_STATE_DIR to another directory."
        ) from error
    if _stamp_of(source, part) != stamp:
        raise DatasetError(f"{source}: the file changed while it was unpacked. Try again when nothing writes to it.")
    return target


def _make(cache: Path, key: str, make: Callable[[Path], None], stamp: dict[str, Any]) -> None:
    """Write beside the target, then rename."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=cache))
    try:
        made, before = temporary / "new", temporary / "old"
        made.mkdir()
        make(made)
        (made / _STAMP).write_text(json.dumps(stamp), encoding="utf-8")
        if (cache / key).exists():
            os.replace(cache / key, before)
        os.replace(made, cache / key)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_stale(cache: Path, key: str) -> None:
    for left_over in cache.glob(f".{key}.*/"):  # of a process that was killed; we hold the lock
        shutil.rmtree(left_over, ignore_errors=True)
    for copy in cache.iterdir():
        stamp = _stamp_in(copy)
        if stamp is not None and not Path(stamp["source"]).exists():
            shutil.rmtree(copy, ignore_errors=True)


def _stamp_of(source: Path, part: str) -> dict[str, Any]:
    try:
        found = source.stat()
    except OSError as error:
        raise DatasetError(f"{source}: cannot be read ({error.strerror}). Check the path.") from error
    return {
        "source": str(source),
        "part": part,
        "bytes": found.st_size,
        "mtime_ns": found.st_mtime_ns,
        "version": _VERSION,
    }


def _stamp_in(directory: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((directory / _STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "source" in found else None


def copy_within_space(packed: IO[bytes], out: IO[bytes], source: Path, directory: Path) -> None:
    """Copy a stream of unknown length for as long as the disk has room.

    Raises
    ------
    DatasetError
    """
    written = next_check = 0
    while block := packed.read(_CHUNK):
        if written >= next_check:
            require_space(directory, len(block), source)
            next_check = written + _CHECK_EVERY
        out.write(block)
        written += len(block)


def require_space(directory: Path, size: int, source: Path) -> None:
    """Refuse to write `size` bytes into a directory when the disk would be too full then.

    Raises
    ------
    DatasetError
    """
    free = shutil.disk_usage(directory).free
    if size + KEPT_FREE > free:
        raise DatasetError(
            f"{source}: unpacked, it does not fit into {directory.parent.parent}: another {size / 1e6:,.0f} MB or more "
            f"are needed, {free / 1e6:,.0f} MB are free, and {KEPT_FREE / 1e6:,.0f} MB must stay free. Free some "
            "space, or set MOVIEREC_STATE_DIR to another disk."
        )
