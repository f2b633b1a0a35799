"""Locks between processes, by files.

Belongs here: taking one. Does not: the work under the lock, and locks in Postgres (`tables.advisory_locks`).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def locked(path: Path, operation: int = fcntl.LOCK_EX, *, create: bool = True, remove: bool = False) -> Iterator[int]:
    """Hold a flock on a file; with LOCK_NB, BlockingIOError says that another process has it.

    The system releases it when the process ends, however it ends. With `remove`, the file is removed with the lock.
    Without `create`, FileNotFoundError says that the file is not there, or was removed while the lock was waited for.

    Yields
    ------
    int
        The descriptor, closed on exec and on exit. It is closed and not unlocked, so that a forked child which
        still uses the server keeps its lease.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)
        try:
            fcntl.flock(descriptor, operation)
            # Another process may have removed the file, and made it anew, in the meantime.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                    break
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    try:
        yield descriptor
    finally:
        if remove:
            path.unlink(missing_ok=True)
        os.close(descriptor)
