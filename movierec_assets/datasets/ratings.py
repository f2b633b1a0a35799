"""Reading ratings.csv: 20 million rows in seconds, every bad row kept with its reason.

What belongs here: which values make a rating, and which of two ratings of the same movie counts. What does not:
parsing text (`rating_rows`), storing anything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from .errors import DatasetError
from .layout import RATING_COLUMNS, Header, MovieLensFiles, open_file, read_header
from .rating_rows import BLANK, BLOCK_BYTES, Block, ParsedRows, lines_of, parse_rows, read_blocks
from .rejects import FIRST_APP_USER_ID, INCOMPLETE, MAX_ID, Reason, Rejects, clean_text

IntArray = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]
Scalar = TypeVar("Scalar", bound=np.generic)

_ONE_DAY = 86_400
_FIRST_RATING = 788_918_400
"""Start of 1995, the year in which MovieLens began to take ratings."""
_LARGEST_TABLE = 1 << 26


@dataclass(frozen=True)
class Ratings:
    """The ratings of a file, in file order, one per (user, movie).

    Attributes
    ----------
    user_id, movie_id : int32 array, shape (n,)
        Ids as in the file.
    rating : float32 array, shape (n,)
        Stars, 0.5 to 5.0 in steps of one half.
    rated_at : int64 array, shape (n,)
        Unix seconds.
    rows_read : int
        Rows in the file, header and blank lines left out; always `len(self) + len(rejects)`.
    rows_complete : int
        Rows in which every column has a value, whether or not it is a valid one.
    rejects : Rejects
        The rows that did not load.
    """

    user_id: npt.NDArray[np.int32]
    movie_id: npt.NDArray[np.int32]
    rating: npt.NDArray[np.float32]
    rated_at: IntArray
    rows_read: int
    rows_complete: int
    rejects: Rejects

    def __len__(self) -> int:
        return len(self.user_id)


def read_ratings(
    files: MovieLensFiles,
    known_movie_ids: npt.ArrayLike,
    *,
    progress: Progress | None = None,
    now: float | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Ratings:
    """Read and validate ratings.csv.

    A row is rejected if a value is missing (empty, NaN, NA, null) or is not a number, if an id is outside 1 to
    2147483647, if the user id is reserved for the app, if the movie is not known, if the rating is off the half-star
    grid, or if the timestamp is not between 1970 and tomorrow in seconds. A last line without a line end is rejected
    if its timestamp is before 1995: digits that were cut off make that of any later one. Of two ratings of a movie by
    one user the later timestamp wins, and the later line where timestamps are equal.

    Parameters
    ----------
    files : MovieLensFiles
        The dataset.
    known_movie_ids : array_like of int
        Ids of the movies that may be rated, as from `read_movies(files).movie_id`.
    progress : callable, optional
        Called with (bytes done, bytes in all) after each block.
    now : float, optional
        Unix time that "tomorrow" is counted from; the present by default.
    block_bytes : int
        Bytes read at a time. Memory beyond the result is a small multiple of it.

    Returns
    -------
    Ratings

    Raises
    ------
    DatasetError
        If the file has no readable header, changes while it is read, or holds no row that loads.
    """
    path = files.ratings
    latest = int(time.time() if now is None else now) + _ONE_DAY
    is_known = _membership(np.asarray(known_movie_ids, np.int64))
    with open_file(path) as stream:
        before = os.fstat(stream.fileno())
        header = read_header(stream, path, RATING_COLUMNS)
        columns, tally = _Columns(), _Tally(header.line + 1)
        blocks: list[Block] = []
        for block in read_blocks(stream, path, header.line + 1, block_bytes):
            rows = parse_rows(block.data, block.lines, header)
            _judge(rows, is_known, latest, block.unended)
            columns.add(rows)
            tally.add(rows, block.first_line)
            blocks.append(replace(block, data=b""))
            if stream.tell() > before.st_size:  # someone appends, perhaps as fast as we read
                raise _changed(files)
            if progress:
                progress(stream.tell(), before.st_size)
        ratings = columns.joined()
        tally.end()
        ratings, losers = _drop_duplicates(ratings, tally.line_of)
        rejects = _collect(tally, losers, header, path.name)
        rejects = replace(rejects, text=_texts(stream, files, blocks, rejects.line, block_bytes))
        after = os.fstat(stream.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise _changed(files)
    accepted = len(ratings[0])
    if accepted == 0:
        raise DatasetError(
            f"{path}: none of its {len(rejects):,} rows can be loaded. {rejects.summary() if len(rejects) else ''} "
            f"Each row must read like 1,2,3.5,1112486027 ({','.join(RATING_COLUMNS)}), with movies from "
            f"{files.movies.name}; correct the file, or fetch the release again."
        )
    incomplete = int(np.isin(rejects.code, INCOMPLETE).sum())
    rows_read = accepted + len(rejects)
    return Ratings(*ratings, rows_read, rows_read - incomplete, rejects)


def _membership(ids: IntArray) -> Callable[[IntArray], npt.NDArray[np.bool_]]:
    """Make a vectorized `in ids` for ids in 1 to MAX_ID."""
    known = np.unique(ids)
    if len(known) == 0:
        return lambda asked: np.zeros(len(asked), np.bool_)
    largest = int(known[-1])
    if largest < _LARGEST_TABLE:
        table = np.zeros(largest + 2, np.bool_)
        table[known[known >= 0]] = True
        return lambda asked: table[np.clip(asked, 0, largest + 1)]
    return lambda asked: known[np.minimum(np.searchsorted(known, asked), len(known) - 1)] == asked


def _judge(rows: ParsedRows, is_known: Callable[[IntArray], npt.NDArray[np.bool_]], latest: int, unended: bool) -> None:
    """Set the code of every row whose values are no rating; the first rule that a row breaks counts.

    `unended` says that the last row is the end of a file without a line end.
    """
    readable = rows.code == 0

    def reject(bad: npt.NDArray[np.bool_], reason: Reason, detail: IntArray | None = None) -> None:
        bad &= readable
        if bad.any():
            rows.code[bad] = reason
            readable[bad] = False
            if detail is not None:
                rows.detail[bad] = detail[bad]

    user, movie, rating, seconds = rows.user_id, rows.movie_id, rows.rating, rows.rated_at
    reject((user < 1) | (user > MAX_ID), Reason.USER_RANGE)
    reject(user >= FIRST_APP_USER_ID, Reason.USER_RESERVED)
    reject((movie < 1) | (movie > MAX_ID), Reason.MOVIE_RANGE)
    reject(~is_known(movie), Reason.UNKNOWN_MOVIE, movie)
    halves = rating * 2
    reject((halves != np.floor(halves)) | (halves < 1) | (halves > 10), Reason.RATING_GRID)
    reject((seconds <= 0) | (seconds > latest), Reason.TIMESTAMP_RANGE, seconds)
    if unended:
        last = np.arange(len(seconds)) == len(seconds) - 1
        reject(last & (seconds < _FIRST_RATING), Reason.TRUNCATED, seconds)


Values = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32], IntArray]


class _Columns:
    """Accepted values, block by block."""

    def __init__(self) -> None:
        self._users: list[npt.NDArray[np.int32]] = []
        self._movies: list[npt.NDArray[np.int32]] = []
        self._ratings: list[npt.NDArray[np.float32]] = []
        self._seconds: list[IntArray] = []

    def add(self, rows: ParsedRows) -> None:
        good = rows.code == 0
        chosen = slice(None) if good.all() else good
        self._users.append(rows.user_id[chosen].astype(np.int32))
        self._movies.append(rows.movie_id[chosen].astype(np.int32))
        self._ratings.append(rows.rating[chosen].astype(np.float32))
        self._seconds.append(rows.rated_at[chosen].copy())

    def joined(self) -> Values:
        """Give the columns away, one at a time so that only one is held twice."""
        return (
            _joined(self._users, np.int32),
            _joined(self._movies, np.int32),
            _joined(self._ratings, np.float32),
            _joined(self._seconds, np.int64),
        )


def _joined(parts: list[npt.NDArray[Scalar]], dtype: type[Scalar]) -> npt.NDArray[Scalar]:
    whole = np.concatenate([np.empty(0, dtype), *parts])
    parts.clear()
    return whole


class _Tally:
    """Lines that are not accepted ratings, and from them the line of each accepted one."""

    def __init__(self, first_line: int) -> None:
        self._first_line = first_line
        self._lines: list[IntArray] = []
        self._codes: list[npt.NDArray[np.uint8]] = []
        self._details: list[IntArray] = []

    def add(self, rows: ParsedRows, first_line: int) -> None:
        left_out = np.flatnonzero(rows.code)
        self._lines.append(left_out + first_line)
        self._codes.append(rows.code[left_out])
        self._details.append(rows.detail[left_out])

    def end(self) -> None:
        lines = np.concatenate([np.empty(0, np.int64), *self._lines])
        codes = np.concatenate([np.empty(0, np.uint8), *self._codes])
        details = np.concatenate([np.empty(0, np.int64), *self._details])
        # Accepted lines before the i-th line left out: that many positions come before it.
        self._accepted_before = lines - self._first_line - np.arange(len(lines))
        rows = codes != BLANK
        self.line, self.code, self.detail = lines[rows], codes[rows], details[rows]

    def line_of(self, position: IntArray) -> IntArray:
        """Physical line of the accepted rows at these positions."""
        skipped = np.searchsorted(self._accepted_before, position, side="right")
        return position + self._first_line + skipped


def _drop_duplicates(values: Values, line_of: Callable[[IntArray], IntArray]) -> tuple[Values, tuple[IntArray, ...]]:
    """Keep one rating per (user, movie); returns what is kept, and (line, winning line) of what is not."""
    user, movie, _, rated_at = values
    none = (np.empty(0, np.int64), np.empty(0, np.int64))
    key = user.astype(np.int64)
    key <<= 32
    key |= movie
    if len(key) < 2 or bool((key[1:] > key[:-1]).all()):
        return values, none
    ordered = np.sort(key)
    if not bool((ordered[1:] == ordered[:-1]).any()):
        return values, none
    del ordered
    order = np.argsort(key, kind="stable")
    key = key[order]
    same = key[1:] == key[:-1]
    del key
    shared = np.append(same, False) | np.append(False, same)
    candidates = order[shared]
    group = np.cumsum(np.append(True, ~same)[shared]) - 1
    del order, same, shared
    # Stable: equal timestamps stay in file order, so the last of each group is the winner.
    order = np.lexsort((rated_at[candidates], group))
    group, candidates = group[order], candidates[order]
    last = np.append(group[1:] != group[:-1], True)
    winners = candidates[last][group]
    losers, winners = candidates[~last], winners[~last]
    order = np.argsort(losers)
    losers, winners = losers[order], winners[order]
    keep = np.ones(len(user), np.bool_)
    keep[losers] = False
    kept = (user[keep], movie[keep], values[2][keep], rated_at[keep])
    return kept, (line_of(losers), line_of(winners))


def _collect(tally: _Tally, losers: tuple[IntArray, ...], header: Header, name: str) -> Rejects:
    line = np.concatenate([tally.line, losers[0]])
    code = np.concatenate([tally.code, np.full(len(losers[0]), Reason.DUPLICATE_RATING, np.uint8)])
    detail = np.concatenate([tally.detail, losers[1]])
    order = np.argsort(line)
    return Rejects(name, line[order], code[order], detail[order], pl.Series("text", [], pl.String), header.width)


def _texts(
    stream: BinaryIO, files: MovieLensFiles, blocks: list[Block], lines: IntArray, block_bytes: int
) -> pl.Series:
    """Fetch the text of rejected lines, reading again only the blocks that hold some."""
    texts = [pl.Series("text", [], pl.String)]
    bounds = np.append(np.searchsorted(lines, [block.first_line for block in blocks]), len(lines))
    for index, block in enumerate(blocks):
        numbers = lines[bounds[index] : bounds[index + 1]]
        if len(numbers):
            stream.seek(block.offset)
            again = next(read_blocks(stream, files.ratings, block.first_line, block_bytes), None)
            if again is None or again.lines != block.lines:
                raise _changed(files)
            texts.append(pl.Series("text", [clean_text(raw) for raw in lines_of(again, numbers)], pl.String))
    return pl.concat(texts)


def _changed(files: MovieLensFiles) -> DatasetError:
    return DatasetError(f"{files.ratings}: the file changed while it was read. Try again when nothing writes to it.")
