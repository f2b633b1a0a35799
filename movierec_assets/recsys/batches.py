"""Rows in batches that fit in memory, with progress after each batch.

Belongs here: cutting rows into batches. Does not: how much memory there is, and how much a row needs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from movierec_assets.progress import Progress
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import IntArray

BATCH_BYTES = 256 * 2**20
"""Default memory for the temporary arrays of one batch."""

_MAX_ROWS = 8192
"""Rows of a batch, whatever the memory: so that progress is reported a few times a second."""


def batches(
    ends: IntArray, batch_bytes: int = BATCH_BYTES, progress: Progress | None = None, max_rows: int = _MAX_ROWS
) -> Iterator[slice]:
    """Consecutive rows that together need no more than some memory, at least one row at a time.

    Parameters
    ----------
    ends : int array, shape (n_rows,)
        Memory in bytes for each row and all rows before it, not falling.
    batch_bytes : int
    progress : callable, optional
        Called after each batch.
    max_rows : int
        Rows of a batch, whatever their memory.

    Yields
    ------
    slice
        Not empty; together all rows, in order.

    Raises
    ------
    RecsysError
        When there is no memory.

    Examples
    --------
    >>> list(batches(np.array([3, 4, 14, 15, 16]), batch_bytes=5))
    [slice(0, 2, None), slice(2, 3, None), slice(3, 5, None)]
    """
    if batch_bytes < 1:
        raise RecsysError(f"{batch_bytes} bytes are not enough to work on a batch; allow more memory.")
    start = 0
    while start < len(ends):
        before = int(ends[start - 1]) if start else 0
        fitting = int(np.searchsorted(ends, before + batch_bytes, side="right"))
        stop = max(start + 1, min(fitting, start + max_rows))
        yield slice(start, stop)
        if progress is not None:
            progress(stop, len(ends))
        start = stop


def stage(progress: Progress | None, number: int, of: int) -> Progress | None:
    """Progress of one of several stages over the same rows, as a part of the progress of all stages.

    Parameters
    ----------
    progress : callable, optional
        Of all stages; called with rows times stages.
    number, of : int
        The stage, counted from 0, and the number of stages.
    """
    if progress is None:
        return None
    whole = progress
    return lambda done, total: whole(number * total + done, of * total)
