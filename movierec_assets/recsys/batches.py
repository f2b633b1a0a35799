"""How much is worked on at a time: rows in batches that fit in memory, told about as they are done.

Belongs here: cutting rows into batches. How much memory there is, and what a row needs, is known to the caller.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from movierec_assets.progress import Progress
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import IntArray

BATCH_BYTES = 256 * 2**20
"""Memory for the temporary arrays of one batch, unless the caller says otherwise."""


_MOST_ROWS = 8192
"""However much memory there is: so that progress is told a few times a second."""


def batches(
    ends: IntArray, batch_bytes: int = BATCH_BYTES, progress: Progress | None = None, most: int = _MOST_ROWS
) -> Iterator[slice]:
    """Consecutive rows that together need no more than some memory, at least one row at a time.

    Parameters
    ----------
    ends : int array, shape (n_rows,)
        Bytes that are needed for each row and all before it, not falling.
    batch_bytes : int
    progress : callable, optional
        Called after each batch was worked on.
    most : int
        Rows at a time, whatever they need.

    Yields
    ------
    slice
        Not empty; together all rows, in order.

    Raises
    ------
    RecsysError
        When there is no memory at all.

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
        stop = max(start + 1, min(fitting, start + most))
        yield slice(start, stop)
        if progress is not None:
            progress(stop, len(ends))
        start = stop


def stage(progress: Progress | None, number: int, of: int) -> Progress | None:
    """What to tell in one of several stages, each over the same rows, so that the whole is told once.

    Parameters
    ----------
    progress : callable, optional
        Of the whole; told rows times stages.
    number, of : int
        Which stage, counted from 0, and how many there are.
    """
    if progress is None:
        return None
    told = progress
    return lambda done, total: told(number * total + done, of * total)
