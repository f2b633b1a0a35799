"""The highest values of each row of a matrix, in order.

Belongs here: finding them fast. Does not: the meaning of rows, columns and values (`ranking`).
"""

from __future__ import annotations

import numpy as np

from movierec_assets.recsys.interactions import FloatArray, IntArray

NOTHING = np.float32(-np.inf)
"""A value that is never among the highest."""

_GROUPS = 512
"""Partitioning rows of this length is very much faster than of longer ones."""


def highest(scores: FloatArray, k: int, floor: FloatArray | None = None) -> tuple[IntArray, FloatArray]:
    """Columns and values of the k highest of each row, highest first, equal ones in the order of columns.

    Parameters
    ----------
    scores : float32 array, shape (n, m)
        Numbers, or `NOTHING`.
    k : int
        At least 1.
    floor : float32 array, shape (n,), optional
        A value for each row that at least k of its scores reach, to save finding one; not a number where none is known.

    Returns
    -------
    columns : int array, shape (n, k)
        -1 at the end of rows with fewer than k values.
    values : float32 array, shape (n, k)
        Not a number there.

    Examples
    --------
    >>> highest(np.array([[3, 1, 3, 9], [2, -np.inf, -np.inf, -np.inf]], dtype=np.float32), 2)[0]
    array([[ 3,  0],
           [ 0, -1]])
    """
    n, m = scores.shape
    columns, values = np.full((n, k), -1), np.full((n, k), np.nan, dtype=np.float32)
    if n == 0 or m == 0:
        return columns, values
    floor = np.full(n, np.nan, dtype=np.float32) if floor is None else floor.copy()
    unknown = np.isnan(floor)
    floor[unknown] = _kth(_highest_of_groups(scores[unknown], k), k)
    cells = np.flatnonzero(scores >= floor[:, None])
    rows, found = cells // m, cells % m
    while True:
        value = scores[rows, found]
        # Of many values equal to the floor, such as the scores of a zero vector, the first k are enough.
        equal = np.flatnonzero(value == floor[rows])
        spare = equal[number_in_row(rows[equal], n) >= k]
        rows, found, value = (np.delete(array, spare) for array in (rows, found, value))
        number = number_in_row(rows, n)
        width = int(number.max(initial=-1)) + 1
        table = np.full((n, max(width, k)), NOTHING)
        table[rows, number] = value
        if width <= 4 * k:
            break
        # A floor that was found among few columns can be too low. With the exact one, less than 2 k values are left.
        floor = _kth(table, k)
        kept = value >= floor[rows]
        rows, found = rows[kept], found[kept]
    column = np.full(table.shape, -1)
    column[rows, number] = found
    order = np.argsort(-table, axis=1, kind="stable")[:, :k]
    columns, values = np.take_along_axis(column, order, axis=1), np.take_along_axis(table, order, axis=1)
    values[columns < 0] = np.nan
    return columns, values


def _highest_of_groups(scores: FloatArray, k: int) -> FloatArray:
    """Highest value of each of many groups of columns; the k-th highest of them is hardly below the row's k-th."""
    groups = max(_GROUPS, 16 * k)
    each = scores.shape[1] // groups
    if each < 2:
        return scores
    highest_of: FloatArray = scores[:, : groups * each].reshape(len(scores), each, groups).max(axis=1)
    return highest_of


def _kth(scores: FloatArray, k: int) -> FloatArray:
    """The k-th highest of each row; the lowest float32 where a row has no more than k columns."""
    lowest = np.finfo(np.float32).min
    if scores.shape[1] <= k:
        return np.full(len(scores), lowest)
    column = scores.shape[1] - k
    kth: FloatArray = np.maximum(np.partition(scores, column, axis=1)[:, column], lowest)
    return kth


def number_in_row(rows: IntArray, n: int) -> IntArray:
    """Number of entries of the same row before each entry; entries are in the order of rows."""
    count = np.bincount(rows, minlength=n)
    number: IntArray = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    return number
