"""A full disk, explained where files are written.

Belongs here: recognizing it, and the message. Does not: the alert before a disk is full (`alerts`), the disk of
Postgres (`tables.database`).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from movierec_assets.errors import ExplainedError

_NUMBERS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""No space, a quota, and the largest file of a process or file system."""


class DiskFullError(ExplainedError, OSError):
    """A file was not written, because the disk is full."""


def is_full(error: Exception) -> bool:
    """Whether a disk, a quota or a limit of file sizes is exhausted."""
    # Errors of pyarrow and MLflow have the number in their text only.
    number = error.errno if isinstance(error, OSError) else None
    return number in _NUMBERS or any(f"[errno {each}]" in str(error).lower() for each in _NUMBERS)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Raise DiskFullError, which names `what` was being written, instead of the error of a full disk."""
    try:
        yield
    except DiskFullError:
        raise
    except Exception as error:
        if not is_full(error):
            raise
        reason = " ".join(str(error).split())
        raise DiskFullError(
            f"The disk is full, so {what} was not written ({reason}). What was there before is as it was. Free space, "
            "or move the files to another disk with MOVIEREC_STATE_DIR, MOVIEREC_STORAGE_URL or TMPDIR; then run the "
            "job again."
        ) from None  # a failed step shows the innermost error
