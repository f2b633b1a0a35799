"""Turns at a place on disk.

Belongs here: a lock between processes that leaves nothing behind. Does not: what is done under it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that the system releases when the process ends, however it ends; the file goes with the lock."""
    while True:
        with path.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not _is_at(handle, path):
                continue  # who held the lock while this waited has removed the file; others may lock a new one by now
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_at(handle: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False
