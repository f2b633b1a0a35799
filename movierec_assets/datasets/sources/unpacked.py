"""Copies of what cannot be read where it is: made once, and again when the original changes.

Belongs here: where copies are kept, when they hold, and how much of the disk they may take. Does not: how a
file is unpacked (`compressed`, `archive`, `parquet`).
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
from movierec_assets.datasets.locks import locked

KEPT_FREE = 256 << 20
"""Bytes of the disk that unpacking leaves free, for the database and everything else."""

_VERSION = 1
"""Raised when the same original gives another copy."""
_STAMP = "copied-from.json"
_CHUNK = 1 << 20
_BETWEEN_LOOKS = 64 << 20


def kept_copy(cache: Path, source: Path, part: str, make: Callable[[Path], None]) -> Path:
    """Directory with what `make` gives of a file.

    Copies of files that are gone are removed. Calls for the same copy wait for one another.

    Parameters
    ----------
    cache : Path
        Where copies are kept; made if missing.
    source : Path
        The file. A copy holds while its size and time of change are the same.
    part : str
        What of the file; another part is another copy.
    make : callable
        Writes into the empty directory it is given.

    Raises
    ------
    DatasetError
        If the copy cannot be made; one that was there stays.
    """
    source = source.resolve()
    key = f"{source.name}-{blake2b(json.dumps([str(source), part]).encode(), digest_size=6).hexdigest()}"
    target = cache / key
    stamp = _stamp_of(source, part)
    if _stamp_in(target) == stamp:
        return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache / f".{key}.lock"):
            if _stamp_in(target) != stamp:
                _remove_stale(cache, key)
                _make(cache, key, make, stamp)
    except OSError as error:
        raise DatasetError(
            f"{source}: cannot be unpacked into {cache} ({error.strerror or error}). Free some space, or set "
            "MOVIEREC_STATE_DIR to another place."
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


def copy_within_space(packed: IO[bytes], out: IO[bytes], source: Path, place: Path) -> None:
    """Copy a stream of unknown length for as long as the disk has room.

    Raises
    ------
    DatasetError
    """
    written = looked = 0
    while block := packed.read(_CHUNK):
        if written >= looked:
            require_space(place, len(block), source)
            looked = written + _BETWEEN_LOOKS
        out.write(block)
        written += len(block)


def require_space(place: Path, size: int, source: Path) -> None:
    """Refuse to write as much into a directory when the disk would be full then.

    Raises
    ------
    DatasetError
    """
    free = shutil.disk_usage(place).free
    if size + KEPT_FREE > free:
        raise DatasetError(
            f"{source}: unpacked, it does not fit into {place.parent.parent}: another {size / 1e6:,.0f} MB or more are "
            f"needed, {free / 1e6:,.0f} MB are free, and {KEPT_FREE / 1e6:,.0f} MB must stay free. Free some space, or "
            "set MOVIEREC_STATE_DIR to another disk."
        )
