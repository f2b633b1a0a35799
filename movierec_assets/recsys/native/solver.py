"""The native solver: half a pass of alternating least squares, and the training loss.

Belongs here: what the library of `solver.c` reads and writes, and every check of it. Does not: finding the library
(`library`) and the passes (`fit`). The library checks nothing: whatever is given to it is checked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.sparse import csr_matrix

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import FloatArray, IntArray
from movierec_assets.recsys.native import library
from movierec_assets.recsys.native.library import WIDTHS, Library, load
from movierec_assets.recsys.threads import ALL_CORES, in_threads, one_blas_thread

_BLOCK = 16
"""Factors of one block of `solver.c`."""
_ALIGNMENT = 64
_ENTRIES_PER_CALL = 65_536
_ROWS_PER_CALL = 1024
"""A thread takes rows with about this many entries, at most this many rows: a few milliseconds."""
_GRAM_ROWS = 8192
"""The Gram matrix is summed over parts of this many rows, so that it does not depend on the number of threads."""


def padded(factors: FloatArray) -> FloatArray:
    """A copy that the library can work on: float32, aligned, rows padded with zeros to one of `WIDTHS`."""
    rows, width = factors.shape
    found = zeros(rows, width)
    found[:, :width] = factors
    return found


def zeros(rows: int, factors: int) -> FloatArray:
    """Padded factors of 0, float32, shape (rows, the next of `WIDTHS`)."""
    shape = (rows, next(width for width in WIDTHS if width >= factors))
    memory = np.zeros(4 * shape[0] * shape[1] + _ALIGNMENT, dtype=np.uint8)
    offset = -memory.ctypes.data % _ALIGNMENT
    found: FloatArray = memory[offset : len(memory) - _ALIGNMENT + offset].view(np.float32).reshape(shape)
    return found


@dataclass(frozen=True)
class Rows:
    """A sparse matrix of confidences that the library can read, and calls that cover it.

    Attributes
    ----------
    indptr : int64 array, shape (n_rows + 1,)
    indices : int32 array, shape (nnz,)
    confidences : float32 array, shape (nnz,)
    columns : int
    calls : tuple of int32 arrays
        Rows of each call, those with the most entries first.
    """

    indptr: IntArray
    indices: IntArray
    confidences: FloatArray
    columns: int
    calls: tuple[IntArray, ...]

    @classmethod
    def of(cls, matrix: csr_matrix) -> Self:
        """Check a matrix and cut it into calls.

        Raises
        ------
        RecsysError
            When an entry lies outside the matrix, or its arrays do not fit together.
        """
        indptr = np.ascontiguousarray(matrix.indptr, dtype=np.int64)
        rows, columns = (int(size) for size in matrix.shape)
        lengths = np.diff(indptr)
        entries = len(matrix.indices)
        if len(indptr) != rows + 1 or indptr[0] != 0 or (lengths < 0).any() or indptr[-1] > entries:
            raise RecsysError(
                f"The matrix of confidences is broken: its row pointers do not rise from 0 to its {entries:,} entries."
            )
        if len(matrix.data) != entries:
            raise RecsysError(
                f"The matrix of confidences is broken: {entries:,} columns, but {len(matrix.data):,} values."
            )
        used = matrix.indices[: indptr[-1]]
        if len(used) and (used.min() < 0 or used.max() >= columns):
            raise RecsysError(
                f"The matrix of confidences is broken: columns from {used.min():,} to {used.max():,}, of {columns:,}."
            )
        indices = np.ascontiguousarray(used, dtype=np.int32)
        confidences = np.ascontiguousarray(matrix.data, dtype=np.float32)
        return cls(indptr, indices, confidences, columns, tuple(_calls(lengths)))

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def transposed(self) -> Rows:
        """The same entries by column."""
        matrix = csr_matrix((self.confidences, self.indices, self.indptr), shape=(len(self), self.columns))
        return Rows.of(matrix.T.tocsr())


def _calls(lengths: IntArray) -> list[IntArray]:
    order = np.argsort(-lengths, kind="stable").astype(np.int32)
    work = np.cumsum(lengths[order] / _ENTRIES_PER_CALL + 1 / _ROWS_PER_CALL)
    return np.split(order, np.flatnonzero(np.diff(work.astype(np.int64))) + 1) if len(order) else []


def gram(factors: FloatArray, threads: int = ALL_CORES) -> FloatArray:
    """Sum of y y^T over padded factors, float32; the same for any number of threads."""
    starts = range(0, len(factors), _GRAM_ROWS)
    parts = np.empty((len(starts), factors.shape[1], factors.shape[1]), dtype=np.float32)

    def part(number: int) -> None:
        some = factors[starts[number] : starts[number] + _GRAM_ROWS]
        np.matmul(some.T, some, out=parts[number])

    with one_blas_thread():
        in_threads(part, range(len(starts)), threads)
    total: FloatArray = parts.sum(axis=0, dtype=np.float32)
    return total


def solve(
    rows: Rows, x: FloatArray, y: FloatArray, gram_matrix: FloatArray, steps: int, threads: int = ALL_CORES
) -> None:
    """Improve the factors of rows in place by conjugate gradients; see `solver.c`.

    Parameters
    ----------
    rows : Rows
    x, y : float32 arrays, shapes (n_rows, padded factors) and (n_columns, padded factors)
        From `padded` or `zeros`.
    gram_matrix : float32 array, shape (padded factors, padded factors)
        Sum of y y^T over all columns, and the regularization on its diagonal.
    steps : int
        At most; a row whose squared residual falls below 1e-20 is solved.
    threads : int
        The result does not depend on it.

    Raises
    ------
    MemoryError
    RecsysError
        When shapes do not fit.
    """
    library, blocks = _ready(rows, x, y)
    matrix = padded(gram_matrix)
    if matrix.shape != (x.shape[1], x.shape[1]):
        raise RecsysError(f"A Gram matrix of shape {gram_matrix.shape} does not fit {x.shape[1]} factors.")

    def call(some: IntArray) -> None:
        status = library.functions.movierec_solve(
            library.target,
            blocks,
            *(each.ctypes.data for each in (rows.indptr, rows.indices, rows.confidences, y, matrix, x, some)),
            len(some),
            steps,
        )
        if status:
            raise MemoryError("There is no memory for the solver.")

    in_threads(call, rows.calls, threads)


class SolverOfOne:
    """Solves for one row at a time, from one thread at a time: its arrays are kept from call to call.

    Parameters
    ----------
    y : float32 array, shape (n_columns, factors)
    gram_matrix : float32 array, shape (factors, factors)
    back : float64 array, shape (factors, factors)
        What a solution is multiplied by.
    steps : int
    """

    def __init__(self, y: FloatArray, gram_matrix: FloatArray, back: FloatArray, steps: int) -> None:
        self._loaded, self._y = library.loaded(), padded(y)
        self._gram = padded(np.vstack([gram_matrix, np.zeros((self._y.shape[1] - y.shape[1], y.shape[1]))]))
        self._back, self._steps = np.ascontiguousarray(back, np.float64), steps
        self._x, self._out = zeros(1, y.shape[1]), np.empty(y.shape[1], np.float32)
        self._indices, self._confidences = np.empty(len(y), np.int32), np.empty(len(y), np.float32)
        arrays = self._indices, self._confidences, self._y, self._gram, self._back, self._x, self._out
        self._at = [each.ctypes.data for each in arrays]

    def __call__(self, indices: IntArray, confidences: FloatArray) -> FloatArray:
        """`back` times the solution, float32, shape (factors,).

        Parameters
        ----------
        indices : int array, shape (n,)
            Different columns.
        confidences : float array, shape (n,)

        Raises
        ------
        MemoryError
        RecsysError
            When an index is no column.
        """
        n, (at_indices, at_confidences, *others, at_x, at_out) = len(indices), self._at
        self._indices[:n], self._confidences[:n] = indices, confidences
        failed = self._loaded.functions.movierec_solve_one(
            self._loaded.target,
            self._y.shape[1] // _BLOCK,
            len(self._y),
            at_indices,
            at_confidences,
            n,
            *others,
            len(self._out),
            self._steps,
            at_x,
            at_out,
        )
        if failed > 0:
            raise RecsysError(f"A like names a movie outside the {len(self._y):,} of the model.")
        if failed:
            raise MemoryError("There is no memory for the solver.")
        return self._out.copy()


def loss_of_entries(rows: Rows, x: FloatArray, y: FloatArray, threads: int = ALL_CORES) -> tuple[float, float]:
    """The part of the training loss that the entries add to that of an empty matrix, and the sum of confidences."""
    library, blocks = _ready(rows, x, y)
    parts = np.zeros((len(rows.calls), 2))

    def call(number: int) -> None:
        some = rows.calls[number]
        library.functions.movierec_loss(
            library.target,
            blocks,
            *(each.ctypes.data for each in (rows.indptr, rows.indices, rows.confidences, y, x, some)),
            len(some),
            parts[number].ctypes.data,
        )

    in_threads(call, range(len(parts)), threads)
    loss, confidence = parts.sum(axis=0)
    return float(loss), float(confidence)


def _ready(rows: Rows, x: FloatArray, y: FloatArray) -> tuple[Library, int]:
    """The library and the number of blocks of a factor, once the library can work on these arrays."""
    loaded = load()
    if isinstance(loaded, str):
        raise RecsysError(f"The native solver cannot be used: {loaded}.")
    for name, factors, length in (("rows", x, len(rows)), ("columns", y, rows.columns)):
        usable = factors.dtype == np.float32 and factors.flags.c_contiguous and factors.ctypes.data % _ALIGNMENT == 0
        width = factors.shape[1] if factors.ndim == 2 else 0
        if not usable or factors.shape != (length, x.shape[1]) or width not in WIDTHS:
            raise RecsysError(f"Factors of shape {factors.shape} do not fit {length:,} {name}; pad them with `padded`.")
    return loaded, x.shape[1] // _BLOCK
