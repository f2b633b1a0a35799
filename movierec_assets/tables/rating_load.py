"""A file of ratings into its table, as a whole.

Belongs here: replacing all rows in one transaction, and recording the state of the file for the next load. Does not:
merging rows that were appended (`rating_append`), and whether anything needs loading (`loading`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.datasets.duplicates import Superseded, find_superseded, rising
from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.identity import PairSketch
from movierec_assets.datasets.judgement import Limits, misfit_of_ratings, misfit_of_tail
from movierec_assets.datasets.layout import ContentDigest, MovieLensFiles
from movierec_assets.datasets.rating_rows import BLOCK_BYTES
from movierec_assets.datasets.rating_scan import RatingScan, ResumePoint, complete_rows
from movierec_assets.datasets.rejects import Rejects
from movierec_assets.datasets.totals import Totals
from movierec_assets.progress import Log, Progress
from movierec_assets.ratings import STAR_BITS, FileRatings, pair_key
from movierec_assets.settings import get_settings
from movierec_assets.tables.binary_copy import Columns, Kind
from movierec_assets.tables.database import SCHEMA, Database, Load, copy_in, copy_out, copy_rows, record_load
from movierec_assets.tables.known_datasets import recognize
from movierec_assets.tables.user_rows import HISTORY_TYPES, UserRows, encode_users

COLUMNS: dict[str, Kind] = {
    "user_id": "integer",
    "movie_id": "integer",
    "rating": "real",
    "rated_at": "timestamptz",
    "line": "integer",
}
_STAR_TOTALS: dict[str, Kind] = {"movie_id": "integer", "rating": "real", "ratings": "bigint"}
_USER_TOTALS: dict[str, Kind] = {"user_id": "integer", "ratings": "integer"}
HISTORIES = "rating_histories"
HISTORY_COLUMNS = ("user_id", "movie_ids", "times_and_stars")
_MIN_BLOCK = 1 << 20
_HISTORY_ROWS = 500_000

NOTHING_REPLACED = "Nothing was replaced: the tables stay as they were."


@dataclass(frozen=True)
class FileState:
    """State of a file of ratings when it was loaded, stored with the load as JSON under these names.

    Attributes
    ----------
    bytes : int
    sha256 : str
        Of the content.
    lines : int
        Lines read, the header included.
    place : dict
        The `ResumePoint` of the scan.
    acceptable_from : int or None
        Unix time from which the first of the rows rejected for a time in the future is valid.
    """

    bytes: int
    sha256: str
    lines: int
    place: dict[str, Any]
    acceptable_from: int | None

    @classmethod
    def of(cls, last: Load | None) -> FileState | None:
        """The state that is stored with a load."""
        found = last.details.get("file") if last else None
        return cls(**found) if found else None

    @classmethod
    def after(cls, scan: RatingScan, digest: ContentDigest, rejects: Rejects, earlier: int | None = None) -> FileState:
        """The state at the end of a scan; `earlier` is `acceptable_from` before the scan."""
        times = [at for at in (earlier, scan.acceptable_from(rejects)) if at is not None]
        return cls(scan.size, digest.digest().hex(), scan.lines, asdict(scan.end), min(times, default=None))

    @property
    def resume_point(self) -> ResumePoint:
        """Where the scan of appended rows starts."""
        return ResumePoint(**self.place)


@dataclass(frozen=True)
class RatingLoad:
    """One load of a file of ratings: its source, its target and its limits.

    Attributes
    ----------
    database : Database
    files : MovieLensFiles
    movie_ids : int32 array
        Movies that may be rated.
    last : Load or None
        The load whose rows are in the table.
    to_record : callable
        Makes the record of this load from its details.
    limits : Limits
    rejected_movies : list of str
        Text of the rows of the file of movies that did not load.
    progress : callable, optional
        Called with bytes read and bytes in all.
    log : callable
    """

    database: Database
    files: MovieLensFiles
    movie_ids: npt.NDArray[np.int32]
    last: Load | None
    to_record: Callable[[dict[str, Any]], Load]
    limits: Limits
    rejected_movies: list[str]
    progress: Progress | None
    log: Log

    def scan(self, *, start: ResumePoint | None = None, digest: ContentDigest | None = None) -> RatingScan:
        """A scan of the file, in blocks that fit into memory."""
        return RatingScan(
            self.files,
            self.movie_ids,
            start=start,
            digest=digest,
            progress=self.progress,
            block_bytes=block_bytes(),
        )

    def refuse_misfit(self, scan: RatingScan, appended_after: int) -> None:
        """Refuse a scanned file that does not fit, or whose rows behind line `appended_after` do not.

        Parameters
        ----------
        scan : RatingScan
            Of the whole file.
        appended_after : int
            0 where the file is not an earlier one with appended rows.

        Raises
        ------
        DatasetError
        """
        file, movies = self.files.rating_file, self.files.movie_file.shown
        misfit = misfit_of_ratings(
            file, scan.reject_counts(), scan.evidence, self.limits, movies=movies, lost=self.rejected_movies
        )
        if misfit is None and appended_after:
            misfit = misfit_of_tail(file, scan.reject_counts(appended_after), scan.evidence, self.limits)
        self._refuse(misfit)

    def refuse_misfit_of_tail(self, scan: RatingScan) -> None:
        """Refuse appended rows that do not fit; they are all that was scanned.

        Raises
        ------
        DatasetError
        """
        self._refuse(misfit_of_tail(self.files.rating_file, scan.reject_counts(), scan.evidence, self.limits))

    @staticmethod
    def _refuse(misfit: str | None) -> None:
        if misfit is not None:
            raise DatasetError(f"{misfit}\n{NOTHING_REPLACED}")


def block_bytes() -> int:
    """Bytes of the file to read at a time; parsed, checked and encoded, a block takes up to thirty times as much."""
    return int(np.clip(get_settings().memory_limit // 30, _MIN_BLOCK, BLOCK_BYTES))


def name_of(last: Load | None) -> str:
    """Name of the file whose rejects are stored."""
    return str(last.details.get("name", "ratings.csv")) if last else "ratings.csv"


def load_all(load: RatingLoad, expected: bytes | None) -> dict[str, Any]:
    """Replace the table by the ratings in the file; returns the details of the load.

    Parameters
    ----------
    load : RatingLoad
    expected : bytes or None
        SHA-256 of the file, where it was computed before.

    Raises
    ------
    DatasetError
    """
    state = FileState.of(load.last)
    digest = ContentDigest(state.bytes if state else 0)
    passed = _PassedOn()
    with load.scan(digest=digest) as scan, load.database.replace("ratings", load.log, [HISTORIES]) as table:
        written = table.write_parts(passed.columns(scan), COLUMNS)
        if expected not in (None, digest.digest()):
            raise scan.changed()
        has_grown = state is not None and digest.of_prefix == bytes.fromhex(state.sha256)
        load.refuse_misfit(scan, state.lines if state is not None and has_grown else 0)
        load.log(f"Looking for repeated pairs in {written:,} ratings")
        superseded = passed.superseded()
        rejects = scan.rejects(superseded)
        if len(superseded):
            passed.totals.add(_remove_lines(table.cursor, table.relation, superseded.line), sign=-1)
        table.in_order = passed.in_order
        (histories,) = table.companions
        histories.in_order = True
        histories.write_blocks(encode_users(passed.histories(), HISTORY_TYPES), HISTORY_COLUMNS)
        rows = written - len(superseded)
        details = {
            "rows": rows,
            "rows_read": rows + len(rejects),
            "rows_complete": rows + complete_rows(rejects),
            "rejected": rejects.by_reason(),
            "name": load.files.rating_file.name,
            "assumed_utc": scan.assumed_utc,
            "months": passed.totals.of_months(),
            "file": asdict(FileState.after(scan, digest, rejects)),
        }
        replace_rejects(table.cursor, name_of(load.last), rejects)
        for name, columns, kinds in by_table(passed.totals):
            table.cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(SCHEMA, name)))
            copy_in(table.cursor, sql.Identifier(SCHEMA, name), columns, kinds)
        dataset = recognize(table.cursor, load.files.name, passed.pairs)
        record_load(table.cursor, "ratings", load.to_record(details), dataset.id)
        load.log(f"Indexing {rows:,} ratings")
    return details


class _PassedOn:
    """Collects keys, times and lines of all ratings while they pass from the file to the table, block by block."""

    def __init__(self) -> None:
        self.totals, self.pairs = Totals(), PairSketch()
        self.in_order = True
        """Whether every pair of user and movie comes after the one before; known when all passed."""
        self._keys: list[npt.NDArray[np.int64]] = []
        self._times: list[npt.NDArray[np.int64]] = []
        self._lines: list[npt.NDArray[np.int32]] = []
        self._stars: list[npt.NDArray[np.uint8]] = []

    def columns(self, scan: RatingScan) -> Iterator[Columns]:
        """Columns of the table, a block at a time."""
        for block in scan.blocks():
            self.totals.add(block)
            self._keys.append(pair_key(block.user_id, block.movie_id))
            self.pairs.add(self._keys[-1])
            self._times.append(block.rated_at)
            self._lines.append(block.line)
            self._stars.append((block.rating * 2).astype(np.uint8))
            yield vars(block)

    def superseded(self) -> Superseded:
        """Rows that a later rating of the same pair replaces; the others are put in order."""
        self.in_order = rising(self._keys)
        if self.in_order:
            return Superseded.none()
        key, time = _joined(self._keys, np.int64), _joined(self._times, np.int64)
        found = find_superseded(key, time, _joined(self._lines, np.int32))
        counts = np.ones(len(key), np.bool_)
        counts[found.position] = False
        order = np.argsort(key, kind="stable")
        order = order[counts[order]]
        stars = _joined(self._stars, np.uint8)
        for start in range(0, len(order), _HISTORY_ROWS):
            block = order[start : start + _HISTORY_ROWS]
            self._keys.append(key[block])
            self._times.append(time[block])
            self._stars.append(stars[block])
        return found

    def histories(self) -> Iterator[UserRows]:
        """Rows of `rating_histories`, in the order of users; what was collected is given up."""
        key, time, stars = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8)
        while self._keys:
            key = np.append(key, self._keys.pop(0))
            time = np.append(time, self._times.pop(0))
            stars = np.append(stars, self._stars.pop(0))
            # The last user may go on in the next block.
            end = int(np.searchsorted(key >> 32, key[-1] >> 32)) if self._keys and len(key) else len(key)
            if end:
                yield _by_user(key[:end], time[:end], stars[:end])
            key, time, stars = key[end:], time[end:], stars[end:]


def _by_user(key: npt.NDArray[np.int64], time: npt.NDArray[np.int64], stars: npt.NDArray[np.uint8]) -> UserRows:
    users = (key >> 32).astype(np.int32)
    starts = np.flatnonzero(np.append(True, users[1:] != users[:-1]))
    lengths = np.diff(starts, append=len(users))
    return UserRows(users[starts], (key.astype(np.int32), (time << STAR_BITS) | stars), (lengths, lengths))


def _joined(blocks: list[npt.NDArray[Any]], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """All values; the list is emptied, so that only one column at a time is held twice."""
    whole = np.concatenate([np.empty(0, dtype), *blocks])
    blocks.clear()
    return whole


def _remove_lines(cursor: Cursor, relation: sql.Identifier, lines: npt.NDArray[np.int64]) -> FileRatings:
    """Delete the rows that came from these lines, and return them."""
    cursor.execute("CREATE TEMPORARY TABLE superseded (line integer) ON COMMIT DROP")
    copy_in(cursor, sql.Identifier("superseded"), {"line": lines}, {"line": "integer"})
    cursor.execute("ANALYZE superseded")
    names = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    query = sql.SQL("SELECT {} FROM {} WHERE line IN (SELECT line FROM superseded)").format(names, relation)
    removed = copy_out(cursor, query.as_string(cursor), COLUMNS)
    cursor.execute(sql.SQL("DELETE FROM {} WHERE line IN (SELECT line FROM superseded)").format(relation))
    return FileRatings(**removed)


def replace_rejects(cursor: Cursor, before: str, rejects: Rejects) -> None:
    """Replace the rejects of the file `before` by the rejects of a new one."""
    cursor.execute(f"DELETE FROM {SCHEMA}.rejected_ratings WHERE file IN (%s, %s)", [before, rejects.file])
    add_rejects(cursor, rejects)


def add_rejects(cursor: Cursor, rejects: Rejects) -> None:
    """Store rejects beside those that are stored already."""
    copy_rows(cursor, "rejected_ratings", ("file", "line", "raw_text", "reason"), rejects.rows())


def by_table(totals: Totals) -> Iterator[tuple[str, Columns, dict[str, Kind]]]:
    """Name, columns and their types of each table of totals."""
    yield "rating_totals", _arrays(totals.of_stars()), _STAR_TOTALS
    yield "user_totals", _arrays(totals.of_users()), _USER_TOTALS


def _arrays(frame: pl.DataFrame) -> Columns:
    return {name: frame[name].to_numpy() for name in frame.columns}
