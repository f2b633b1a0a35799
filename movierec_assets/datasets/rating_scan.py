"""One pass over a file of ratings, block by block, or over what was appended to it.

Belongs here: which values make a rating, the lines of those that do not, and where the file was left. What does
not: parsing text (`rating_rows`), which of two ratings of a movie counts (`duplicates`), storing anything.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from movierec_assets.datasets.duplicates import Losers
from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.evidence import Evidence
from movierec_assets.datasets.judgement import Tally
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.rating_rows import (
    BLANK,
    BLOCK_BYTES,
    Block,
    ParsedRows,
    lines_of,
    parse_rows,
    read_blocks,
)
from movierec_assets.datasets.rejects import FIRST_APP_USER_ID, INCOMPLETE, MAX_ID, Reason, Rejects, clean_text
from movierec_assets.datasets.tables import find_columns, open_file
from movierec_assets.progress import Progress

IntArray = npt.NDArray[np.int64]

_ONE_DAY = 86_400
_FIRST_RATING = 788_918_400
"""Start of 1995, the year in which MovieLens began to take ratings."""
_LARGEST_TABLE = 1 << 26
_ISO_TIME = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.Z+-]*)?$")
_FRACTION = re.compile(rb"\.[0-9]+")


@dataclass(frozen=True)
class Accepted:
    """Rows that are ratings, in file order, of which several may be of one pair.

    Attributes
    ----------
    user_id, movie_id : int32 array, shape (n,)
    rating : float32 array, shape (n,)
        Stars.
    rated_at : int64 array, shape (n,)
        Unix seconds.
    line : int32 array, shape (n,)
        Physical line of the file, 1-based.
    """

    user_id: npt.NDArray[np.int32]
    movie_id: npt.NDArray[np.int32]
    rating: npt.NDArray[np.float32]
    rated_at: IntArray
    line: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.user_id)

    def chosen(self, rows: npt.NDArray[np.bool_] | IntArray) -> Accepted:
        """Some of the rows."""
        return Accepted(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @classmethod
    def joined(cls, parts: list[Accepted]) -> Accepted:
        """All rows of some parts."""
        dtypes = (np.int32, np.int32, np.float32, np.int64, np.int32)
        return cls(
            *(
                np.concatenate([np.empty(0, dtype), *(getattr(part, name) for part in parts)])
                for name, dtype in zip(cls.__dataclass_fields__, dtypes, strict=True)
            )
        )


@dataclass(frozen=True)
class Place:
    """Where a scan of the file stopped, and the next one may go on when the file has grown.

    Attributes
    ----------
    byte : int
        Everything before is settled.
    line : int
        Physical line that begins there.
    open : bool
        The line before has no line end yet, and was accepted: what follows must begin with one.
    again : int
        The line that begins here was read already, in part, and rejected for this `Reason`; 0 when it was not.
    """

    byte: int
    line: int
    open: bool = False
    again: int = 0


class RatingScan:
    """A pass over a file of ratings; use as a context manager.

    Iterate `blocks` to the end, then ask for the rest.

    Parameters
    ----------
    files : MovieLensFiles
    known_movie_ids : array_like of int
        Ids of the movies that may be rated.
    start : Place, optional
        Where an earlier scan stopped; the beginning of the file by default.
    progress : callable, optional
        Called with (bytes done, bytes in all) after each block.
    now : float, optional
        Unix time that "tomorrow" is counted from; the present by default.
    block_bytes : int
        Bytes read at a time.

    Attributes
    ----------
    assumed_utc : int
        Ratings so far whose times name no zone, so that UTC was assumed.

    Raises
    ------
    DatasetError
        If the file has no readable header, or changes while it is read.
    """

    def __init__(
        self,
        files: MovieLensFiles,
        known_movie_ids: npt.ArrayLike,
        *,
        start: Place | None = None,
        progress: Progress | None = None,
        now: float | None = None,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self._file, self._movies = files.rating_file, files.movie_file.name
        self.assumed_utc = 0
        self._progress = progress
        self._block_bytes = block_bytes
        self._latest = int(time.time() if now is None else now) + _ONE_DAY
        self._is_known = _membership(np.asarray(known_movie_ids, np.int64))
        self._blocks: list[Block] = []
        self._lines: list[IntArray] = []
        self._codes: list[npt.NDArray[np.uint8]] = []
        self._details: list[IntArray] = []
        self.evidence = Evidence()
        self._stream = open_file(files.ratings)
        try:
            self._before = os.fstat(self._stream.fileno())
            self._header = find_columns(self._stream, self._file)
            self.end = start or Place(self._stream.tell(), self._header.line + 1)
            self._stream.seek(self.end.byte)
            self.lines = self._before_first = self.end.line - 1
        except BaseException:
            self._stream.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._before.st_size

    def blocks(self) -> Iterator[Accepted]:
        """Yield the ratings of each block."""
        stream, size = self._stream, self.size
        first = self.end.line
        if self.end.open and self.end.byte < size:
            stream.readline()  # the line end that was missing
            self.end = Place(stream.tell(), first)
        for block in read_blocks(stream, self._file.shown, first, self._block_bytes):
            rows = parse_rows(self._header.with_commas(block.data), block.lines, self._header)
            _judge(rows, self._is_known, self._latest, block)
            self.evidence.add(rows.user_id, rows.rating, rows.rated_at, rows.code, rows.detail)
            left_out = np.flatnonzero(rows.code)
            self._lines.append(left_out + block.first_line)
            self._codes.append(rows.code[left_out])
            self._details.append(rows.detail[left_out])
            self.assumed_utc += int((rows.assumed_utc & (rows.code == 0)).sum())
            self._blocks.append(replace(block, data=b""))
            self.end = _end_of(block, rows, stream.tell())
            self.lines = block.first_line + block.lines - 1
            if stream.tell() > size:  # someone appends, perhaps as fast as we read
                raise self.changed()
            if self._progress:
                self._progress(stream.tell(), size)
            yield _accepted(rows, block.first_line)

    def check_rest(self) -> None:
        """See to it that the rest of the file is lines at least; they are not parsed.

        Raises
        ------
        DatasetError
        """
        for _ in read_blocks(self._stream, self._file.shown, self.end.line, self._block_bytes):
            if self._progress:
                self._progress(self._stream.tell(), self.size)

    def tally(self, since: int = 0) -> Tally:
        """What was left out so far, counted, with the text of the first row of each reason.

        Parameters
        ----------
        since : int
            Lines up to this one are not counted.
        """
        line = np.concatenate([np.empty(0, np.int64), *self._lines])
        later = line > since
        code = np.concatenate([np.empty(0, np.uint8), *self._codes])[later]
        rows = self.lines - max(since, self._before_first) - int((code == BLANK).sum())
        codes, first, counts = np.unique(code, return_index=True, return_counts=True)
        found = {Reason(int(each)): int(count) for each, count in zip(codes, counts, strict=True) if each != BLANK}
        first = np.sort(first[codes != BLANK])
        line, code = line[later][first], code[first]
        detail = np.concatenate([np.empty(0, np.int64), *self._details])[later][first]
        texts, width = self._texts(line), self._header.width
        return Tally(rows, found, Rejects(self._file.name, line, code, detail, texts, width, self._movies))

    def rejects(self, losers: Losers) -> Rejects:
        """Everything that was left out, with its text; the last thing to ask for.

        Parameters
        ----------
        losers : Losers
            Accepted rows that another row of their pair outdoes.
        """
        line = np.concatenate([np.empty(0, np.int64), *self._lines, losers.line])
        code = np.concatenate(
            [np.empty(0, np.uint8), *self._codes, np.full(len(losers), Reason.DUPLICATE_RATING, np.uint8)]
        )
        detail = np.concatenate([np.empty(0, np.int64), *self._details, losers.winner])
        order = np.argsort(line)
        order = order[code[order] != BLANK]
        texts, width = self._texts(line[order]), self._header.width
        found = Rejects(self._file.name, line[order], code[order], detail[order], texts, width, self._movies)
        after = os.fstat(self._stream.fileno())
        if (self._before.st_size, self._before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise self.changed()
        return found

    def acceptable_from(self, rejects: Rejects) -> int | None:
        """Unix time from which the earliest of the rows rejected as of the future is none; None without one."""
        future = (rejects.code == Reason.TIMESTAMP_RANGE) & (rejects.detail > self._latest)
        return int(rejects.detail[future].min()) - _ONE_DAY if future.any() else None

    def changed(self) -> DatasetError:
        """What to raise when the file changed under the scan."""
        return DatasetError(
            f"{self._file.shown}: the file changed while it was read. Try again when nothing writes to it."
        )

    def _texts(self, lines: IntArray) -> pl.Series:
        """Fetch the text of rejected lines, reading again only the blocks that hold some."""
        texts = [pl.Series("text", [], pl.String)]
        bounds = np.append(np.searchsorted(lines, [block.first_line for block in self._blocks]), len(lines))
        for index, block in enumerate(self._blocks):
            numbers = lines[bounds[index] : bounds[index + 1]]
            if len(numbers):
                self._stream.seek(block.offset)
                blocks = read_blocks(self._stream, self._file.shown, block.first_line, self._block_bytes)
                again = next(blocks, None)
                if again is None or again.lines != block.lines:
                    raise self.changed()
                texts.append(pl.Series("text", [clean_text(raw) for raw in lines_of(again, numbers)], pl.String))
        return pl.concat(texts)


def counted(rejects: Rejects) -> int:
    """Rows among the rejected in which every column has a value, whether or not it is a valid one."""
    return len(rejects) - int(np.isin(rejects.code, INCOMPLETE).sum())


def _accepted(rows: ParsedRows, first_line: int) -> Accepted:
    good = np.flatnonzero(rows.code == 0) if rows.code.any() else slice(None)
    return Accepted(
        rows.user_id[good].astype(np.int32),
        rows.movie_id[good].astype(np.int32),
        rows.rating[good].astype(np.float32),
        rows.rated_at[good],
        np.arange(first_line, first_line + len(rows.code), dtype=np.int32)[good],
    )


def _end_of(block: Block, rows: ParsedRows, stopped: int) -> Place:
    """Where the next scan goes on: behind the block, or at its last line where that may be half a line."""
    if not block.open:
        return Place(stopped, block.first_line + block.lines)
    if rows.code[-1] == 0:
        return Place(stopped, block.first_line + block.lines, open=True)
    start = block.data.rfind(b"\n", 0, len(block.data) - 1) + 1
    code = int(rows.code[-1])
    return Place(block.offset + start, block.first_line + block.lines - 1, again=0 if code == BLANK else code)


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


def _judge(rows: ParsedRows, is_known: Callable[[IntArray], npt.NDArray[np.bool_]], latest: int, block: Block) -> None:
    """Set the code of every row whose values are no rating; the first rule that a row breaks counts."""
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
    if block.unended:
        last = np.arange(len(seconds)) == len(seconds) - 1
        reject(last & ((seconds < _FIRST_RATING) | _time_is_cut(block.data)), Reason.TRUNCATED, seconds)


def _time_is_cut(data: bytes) -> bool:
    """Whether the last of some lines ends in a shorter ISO time than the one before: 2015-03-31 of 2015-03-31 06:40."""
    before, last = ([b"", *data.splitlines()])[-2:]
    times = [_ISO_TIME.search(line) for line in (before, last)]
    ends = [len(_FRACTION.sub(b"", found[0])) if found else 0 for found in times]
    return 0 < ends[1] < ends[0]
