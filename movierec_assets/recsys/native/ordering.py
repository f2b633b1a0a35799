"""Entries of each row of a sparse matrix in the order of their times, by `ordering.c`.

Belongs here: what `ordering.c` reads, made and checked. Does not: the same by numpy, and what it is for
(`interactions`).
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.native import library
from movierec_assets.recsys.threads import ALL_CORES, in_threads

_Ints = npt.NDArray[np.integer[Any]]
_ENTRIES_PER_CALL = 262_144
"""A thread takes rows with about this many entries: a few milliseconds."""
_WITHOUT_THREADS = 4096
"""Entries of all rows together up to which they are sorted without threads: starting one takes longer."""


def time_order(indptr: _Ints, times: _Ints, threads: int = ALL_CORES) -> tuple[_Ints, npt.NDArray[np.bool_]]:
    """Entries by row, then time, then place.

    Parameters
    ----------
    indptr : int array, shape (n_rows + 1,)
        Where the rows start.
    times : int64 array, shape (nnz,)
    threads : int

    Returns
    -------
    order : int32 array, shape (nnz,)
    is_new : bool array, shape (nnz,)
        Whether another row or another time begins, in this order.

    Raises
    ------
    RecsysError
        When the rows do not cover the entries, or there are more entries than an int32 counts.
    MemoryError
    """
    if len(times) > np.iinfo(np.int32).max:
        raise RecsysError(f"{len(times):,} interactions are too many to be put in order of time: 2,147,483,647 can be.")
    order, is_new = np.empty(len(times), np.int32), np.empty(len(times), np.bool_)
    _by_time(indptr, times, threads, order, is_new, None)
    return order, is_new


def recency_ranks(indptr: _Ints, times: _Ints, threads: int = ALL_CORES) -> _Ints:
    """How many entries of the same row are later than each, int32, shape (nnz,); raises as `time_order`.

    Entries of one time share the mean, rounded down.
    """
    ranks = np.empty(len(times), np.int32)
    _by_time(indptr, times, threads, None, None, ranks)
    return ranks


def _by_time(indptr: _Ints, times: _Ints, threads: int, *found: npt.NDArray[Any] | None) -> None:
    indptr, times = np.ascontiguousarray(indptr, np.int64), np.ascontiguousarray(times, np.int64)
    if len(indptr) == 0 or indptr[0] != 0 or indptr[-1] != len(times) or (np.diff(indptr) < 0).any():
        raise RecsysError(f"The rows of a matrix do not cover its {len(times):,} times.")
    function = library.loaded().functions.movierec_by_time
    places = [None if each is None else each.ctypes.data for each in found]
    at_indptr, at_times = indptr.ctypes.data, times.ctypes.data

    def call(rows: tuple[int, int]) -> None:
        if function(at_indptr, *rows, at_times, *places):
            raise MemoryError("There is no memory for sorting a row.")

    if len(times) <= _WITHOUT_THREADS:
        call((0, len(indptr) - 1))
        return
    marks = np.searchsorted(indptr, np.arange(0, len(times), _ENTRIES_PER_CALL), "right") - 1
    bounds = np.unique(np.append(marks, len(indptr) - 1)).tolist()
    in_threads(call, itertools.pairwise(bounds), threads)
