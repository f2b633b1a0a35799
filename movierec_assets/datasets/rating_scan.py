"""One pass over a file of ratings, or over the rows that were appended to it, block by block.

Belongs here: which values make a rating, the rows that are rejected, and where the next scan starts. Does not: parsing
text (`rating_rows`), which of two ratings of a movie counts (`duplicates`), storing anything.
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

from movierec_assets.datasets.duplicates import Superseded
from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.evidence import Evidence
from movierec_assets.datasets.file_format import find_columns, open_file
from movierec_assets.datasets.judgement import RejectCounts
from movierec_assets.datasets.layout import ContentDigest, MovieLensFiles
from movierec_assets.datasets.rating_rows import (
    BLANK,
    BLOCK_BYTES,
    Block,
    ParsedRows,
    lines_of,
    parse_rows,
    read_blocks,
    skip_blocks,
)
from movierec_assets.datasets.rejects import INCOMPLETE, MAX_ID, RejectReason, Rejects, clean_text
from movierec_assets.progress import Progress
from movierec_assets.ratings import FIRST_APP_USER_ID, FileRatings

IntArray = npt.NDArray[np.int64]

_ONE_DAY = 86_400
_FIRST_RATING = 788_918_400
"""Start of 1995, the year in which MovieLens began to take ratings."""
_MAX_TABLE = 1 << 26
_MAX_KEPT_TEXT = 16 << 20
"""Bytes of rejected lines that are kept while scanning; beyond, their blocks are read again for the text."""
_ISO_TIME = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.Z+-]*)?$")
_FRACTION = re.compile(rb"\.[0-9]+")


@dataclass(frozen=True)
class ResumePoint:
    """Where a scan of the file ended, and the next one starts when the file has grown.

    Attributes
    ----------
    byte : int
        Nothing before it is read again.
    line : int
        Physical line that begins there.
    open : bool
        The line before has no line end yet, and was accepted: the bytes that follow must begin with one.
    again : int
        The line that begins here may be incomplete, and was rejected for this `RejectReason`; 0 otherwise.
    """

    byte: int
    line: int
    open: bool = False
    again: int = 0


class RatingScan:
    """A pass over a file of ratings; use as a context manager.

    Iterate over `blocks` to the end first.

    Parameters
    ----------
    files : MovieLensFiles
    known_movie_ids : array_like of int
        Ids of the movies that may be rated.
    start : ResumePoint, optional
        Where an earlier scan ended; the beginning of the file by default.
    digest : ContentDigest, optional
        Gets the bytes of the whole file; not together with `start`.
    progress : callable, optional
        Called with bytes read and bytes in all after each block.
    now : float, optional
        Unix time, for the rule that no rating is from after tomorrow; the present by default.
    block_bytes : int
        Bytes read at a time.

    Attributes
    ----------
    assumed_utc : int
        Ratings so far whose times have no time zone, so that UTC was assumed.

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
        start: ResumePoint | None = None,
        digest: ContentDigest | None = None,
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
        self._digest = digest
        self._blocks: list[Block] = []
        self._kept: list[pl.Series | None] = []
        self._kept_bytes = 0
        self._lines: list[IntArray] = []
        self._codes: list[npt.NDArray[np.uint8]] = []
        self._details: list[IntArray] = []
        self.evidence = Evidence()
        self._stream = open_file(files.ratings)
        try:
            self._before = os.fstat(self._stream.fileno())
            self._header = find_columns(self._stream, self._file)
            self.end = start or ResumePoint(self._stream.tell(), self._header.line + 1)
            if digest is not None:
                self._stream.seek(0)
                digest.update(self._stream.read(self.end.byte))
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

    def blocks(self) -> Iterator[FileRatings]:
        """Yield the ratings of each block."""
        stream, size = self._stream, self.size
        first = self.end.line
        if self.end.open and self.end.byte < size:
            stream.readline()  # the line end that was missing
            self.end = ResumePoint(stream.tell(), first)
        for block in read_blocks(stream, self._file.shown, first, self._block_bytes):
            if self._digest is not None:
                self._digest.update(memoryview(block.data)[: len(block.data) - block.open])
            rows = parse_rows(self._header.with_commas(block.data), block.lines, self._header)
            _reject_bad_values(rows, self._is_known, self._latest, block)
            self.evidence.add(rows.user_id, rows.rating, rows.rated_at, rows.code, rows.detail)
            rejected = np.flatnonzero(rows.code)
            self._lines.append(rejected + block.first_line)
            self._codes.append(rows.code[rejected])
            self._details.append(rows.detail[rejected])
            self._kept.append(self._text_to_keep(block, self._lines[-1]))
            self.assumed_utc += int((rows.assumed_utc & (rows.code == 0)).sum())
            self._blocks.append(replace(block, data=b""))
            self.end = _end_of(block, rows, stream.tell())
            self.lines = block.first_line + block.lines - 1
            if stream.tell() > size:  # another process appends, perhaps as fast as this one reads
                raise self.changed()
            if self._progress:
                self._progress(stream.tell(), size)
            yield _accepted(rows, block.first_line)

    def check_rest(self) -> None:
        """Check only that the rest of the file consists of lines; most of it is not read for that.

        Raises
        ------
        DatasetError
        """
        start = self._stream.tell()
        for offset in skip_blocks(self._stream, self.size, self._block_bytes):
            if self._progress:
                self._progress(offset, self.size)
        if self._stream.tell() < self.size:
            self._stream.seek(start)
            for _ in read_blocks(self._stream, self._file.shown, self.end.line, self._block_bytes):
                pass

    def reject_counts(self, since: int = 0) -> RejectCounts:
        """Count the rejected rows so far by reason, with the text of the first row of each.

        Parameters
        ----------
        since : int
            Rows up to this line are not counted.
        """
        line = np.concatenate([np.empty(0, np.int64), *self._lines])
        later = line > since
        code = np.concatenate([np.empty(0, np.uint8), *self._codes])[later]
        rows = self.lines - max(since, self._before_first) - int((code == BLANK).sum())
        codes, first, counts = np.unique(code, return_index=True, return_counts=True)
        found = {
            RejectReason(int(each)): int(count) for each, count in zip(codes, counts, strict=True) if each != BLANK
        }
        first = np.sort(first[codes != BLANK])
        line, code = line[later][first], code[first]
        detail = np.concatenate([np.empty(0, np.int64), *self._details])[later][first]
        texts, width = self._texts(line), self._header.width
        return RejectCounts(rows, found, Rejects(self._file.name, line, code, detail, texts, width, self._movies))

    def rejects(self, superseded: Superseded) -> Rejects:
        """All rejected rows with their text; the scan is over then.

        Parameters
        ----------
        superseded : Superseded
            Accepted rows that a later rating of the same pair replaces.

        Raises
        ------
        DatasetError
            If the file has changed since the scan began.
        """
        line = np.concatenate([np.empty(0, np.int64), *self._lines, superseded.line])
        code = np.concatenate(
            [np.empty(0, np.uint8), *self._codes, np.full(len(superseded), RejectReason.DUPLICATE_RATING, np.uint8)]
        )
        detail = np.concatenate([np.empty(0, np.int64), *self._details, superseded.winner])
        order = np.argsort(line)
        order = order[code[order] != BLANK]
        texts, width = self._texts(line[order]), self._header.width
        found = Rejects(self._file.name, line[order], code[order], detail[order], texts, width, self._movies)
        after = os.fstat(self._stream.fileno())
        if (self._before.st_size, self._before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise self.changed()
        return found

    def acceptable_from(self, rejects: Rejects) -> int | None:
        """Unix time from which the first of the rows rejected for a time in the future is valid; None without any."""
        future = (rejects.code == RejectReason.TIMESTAMP_RANGE) & (rejects.detail > self._latest)
        return int(rejects.detail[future].min()) - _ONE_DAY if future.any() else None

    def changed(self) -> DatasetError:
        """The error for a file that changes while it is read."""
        return DatasetError(
            f"{self._file.shown}: the file changed while it was read. Try again when nothing writes to it."
        )

    def _text_to_keep(self, block: Block, lines: IntArray) -> pl.Series | None:
        """Text of the rejected lines of a block; None when it would be too much to keep."""
        self._kept_bytes += len(lines) * (len(block.data) // max(1, block.lines) + 1)
        return None if self._kept_bytes > _MAX_KEPT_TEXT else _text_of(block, lines)

    def _texts(self, lines: IntArray) -> pl.Series:
        """Text of lines; blocks whose text was not kept are read again."""
        texts = [pl.Series("text", [], pl.String)]
        bounds = np.append(np.searchsorted(lines, [block.first_line for block in self._blocks]), len(lines))
        for index, block in enumerate(self._blocks):
            numbers = lines[bounds[index] : bounds[index + 1]]
            kept, own = self._kept[index], self._lines[index]
            if not len(numbers):
                continue
            if kept is not None and np.isin(numbers, own).all():
                texts.append(kept.gather(np.searchsorted(own, numbers)))
            else:
                self._stream.seek(block.offset)
                blocks = read_blocks(self._stream, self._file.shown, block.first_line, self._block_bytes)
                again = next(blocks, None)
                if again is None or again.lines != block.lines:
                    raise self.changed()
                texts.append(_text_of(again, numbers))
        return pl.concat(texts)


def _text_of(block: Block, lines: IntArray) -> pl.Series:
    return pl.Series("text", [clean_text(raw) for raw in lines_of(block, lines)], pl.String)


def complete_rows(rejects: Rejects) -> int:
    """Number of rejected rows in which every column has a value, valid or not."""
    return len(rejects) - int(np.isin(rejects.code, INCOMPLETE).sum())


def _accepted(rows: ParsedRows, first_line: int) -> FileRatings:
    good = np.flatnonzero(rows.code == 0) if rows.code.any() else slice(None)
    return FileRatings(
        rows.user_id[good].astype(np.int32),
        rows.movie_id[good].astype(np.int32),
        rows.rating[good].astype(np.float32),
        rows.rated_at[good],
        np.arange(first_line, first_line + len(rows.code), dtype=np.int32)[good],
    )


def _end_of(block: Block, rows: ParsedRows, stopped: int) -> ResumePoint:
    """Where the next scan starts: after the block, or at its last line where that may be incomplete."""
    if not block.open:
        return ResumePoint(stopped, block.first_line + block.lines)
    if rows.code[-1] == 0:
        return ResumePoint(stopped, block.first_line + block.lines, open=True)
    start = block.data.rfind(b"\n", 0, len(block.data) - 1) + 1
    code = int(rows.code[-1])
    return ResumePoint(block.offset + start, block.first_line + block.lines - 1, again=0 if code == BLANK else code)


def _membership(ids: IntArray) -> Callable[[IntArray], npt.NDArray[np.bool_]]:
    """A function that says for each of some ids in 1 to MAX_ID whether it is one of `ids`."""
    known = np.unique(ids)
    if len(known) == 0:
        return lambda asked: np.zeros(len(asked), np.bool_)
    largest = int(known[-1])
    if largest < _MAX_TABLE:
        table = np.zeros(largest + 2, np.bool_)
        table[known[known >= 0]] = True
        return lambda asked: table[np.clip(asked, 0, largest + 1)]
    return lambda asked: known[np.minimum(np.searchsorted(known, asked), len(known) - 1)] == asked


def _reject_bad_values(
    rows: ParsedRows, is_known: Callable[[IntArray], npt.NDArray[np.bool_]], latest: int, block: Block
) -> None:
    """Set the code of every row whose values are not a rating, by the first rule that the row breaks."""
    readable = rows.code == 0

    def reject(bad: npt.NDArray[np.bool_], reason: RejectReason, detail: IntArray | None = None) -> None:
        bad &= readable
        if bad.any():
            rows.code[bad] = reason
            readable[bad] = False
            if detail is not None:
                rows.detail[bad] = detail[bad]

    user, movie, rating, seconds = rows.user_id, rows.movie_id, rows.rating, rows.rated_at
    reject((user < 1) | (user > MAX_ID), RejectReason.USER_RANGE)
    reject(user >= FIRST_APP_USER_ID, RejectReason.USER_RESERVED)
    reject((movie < 1) | (movie > MAX_ID), RejectReason.MOVIE_RANGE)
    reject(~is_known(movie), RejectReason.UNKNOWN_MOVIE, movie)
    halves = rating * 2
    reject((halves != np.floor(halves)) | (halves < 1) | (halves > 10), RejectReason.RATING_GRID)
    reject((seconds <= 0) | (seconds > latest), RejectReason.TIMESTAMP_RANGE, seconds)
    if block.unended:
        last = np.arange(len(seconds)) == len(seconds) - 1
        reject(last & ((seconds < _FIRST_RATING) | _time_is_cut(block.data)), RejectReason.TRUNCATED, seconds)


def _time_is_cut(data: bytes) -> bool:
    """Whether the last line ends in a shorter ISO time than the line before: 2015-03-31 after 2015-03-31 06:40."""
    before, last = ([b"", *data.splitlines()])[-2:]
    times = [_ISO_TIME.search(line) for line in (before, last)]
    ends = [len(_FRACTION.sub(b"", found[0])) if found else 0 for found in times]
    return 0 < ends[1] < ends[0]
