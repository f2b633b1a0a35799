"""Directories in memory, for files that tests make and drop by the thousand.

Belongs here: finding one, and removing those of test runs that were killed. Does not: what is stored there.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_MEMORY = Path("/dev/shm")
_PREFIX = "movierec-tests-"
_ENOUGH_BYTES = 3 << 30
_DAY = 86_400.0


@contextmanager
def memory_directory(otherwise: Path) -> Iterator[Path]:
    """A directory in memory, removed at the end; `otherwise` where the system has none with gigabytes free.

    A copied database is a thousand files. After so many were dropped, ext4 took half a second to make them.
    """
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _ENOUGH_BYTES:
        yield otherwise
        return
    for left in _MEMORY.glob(f"{_PREFIX}*"):
        number = left.name.removeprefix(_PREFIX).partition("-")[0]
        gone = number.isdigit() and not psutil.pid_exists(int(number))
        if gone and time.time() - left.stat().st_mtime > _DAY:  # a container may share the memory, and not the numbers
            shutil.rmtree(left, ignore_errors=True)
    name = f"{_PREFIX}{os.getpid()}-"
    # What the last process of a server writes while files are removed stays until the tests of another day.
    with tempfile.TemporaryDirectory(prefix=name, dir=_MEMORY, ignore_cleanup_errors=True) as directory:
        # The server's account enters it, so that the data is here as well when root runs the tests.
        os.chmod(directory, 0o711)
        yield Path(directory)
