"""A file of ratings into its table: all of it, or what was appended since.

Belongs here: the two ways, each in one transaction, and the record that the second one goes by. Whether anything needs
loading is decided in `loading`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from time import time
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.datasets.duplicates import Losers, find_losers, pair_key, rising
from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.identity import PairSample
from movierec_assets.datasets.judgement import Limits, misfit_of_ratings, misfit_of_tail
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.rating_rows import BLOCK_BYTES
from movierec_assets.datasets.rating_scan import Accepted, Place, RatingScan, counted
from movierec_assets.datasets.rejects import INCOMPLETE, Reason, Rejects
from movierec_assets.datasets.texts import text_of_lines
from movierec_assets.datasets.totals import Totals
from movierec_assets.progress import Log, Progress
from movierec_assets.settings import get_settings
from movierec_assets.sql import read_sql
from movierec_assets.tables.binary_copy import Columns, Kind
from movierec_assets.tables.database import SCHEMA, Database, Load, copy_in, copy_out, copy_rows, lock, record_load
from movierec_assets.tables.known_datasets import recognize

COLUMNS: dict[str, Kind] = {
    "user_id": "integer",
    "movie_id": "integer",
    "rating": "real",
    "rated_at": "timestamptz",
    "line": "integer",
}
STAR_TOTALS: dict[str, Kind] = {"movie_id": "integer", "rating": "real", "ratings": "bigint"}
USER_TOTALS: dict[str, Kind] = {"user_id": "integer", "ratings": "integer"}
SMALLEST_BLOCK = 1 << 20
LARGEST_TAIL = 0.25
"""Share of a file above which what was appended is not merged: loading everything anew is quicker then."""

NOTHING_REPLACED = "Nothing was replaced: the tables stay as they were."


@dataclass(frozen=True)
class Judge:
    """Refuses a file that does not fit, before anything is replaced.

    Attributes
    ----------
    files : MovieLensFiles
    limits : Limits
    lost : list of str
        Rows of the file of movies that did not load.
    """

    files: MovieLensFiles
    limits: Limits
    lost: list[str]

    def whole(self, scan: RatingScan, since: int) -> None:
        """Judge all of a file, and what was appended behind line `since`, where that is not 0.

        Raises
        ------
        DatasetError
        """
        file = self.files.rating_file
        misfit = misfit_of_ratings(
            file, scan.tally(), scan.evidence, self.limits, movies=self.files.movie_file.shown, lost=self.lost
        )
        if misfit is None and since:
            misfit = misfit_of_tail(file, scan.tally(since), scan.evidence, self.limits)
        self._refuse(misfit)

    def tail(self, scan: RatingScan) -> None:
        """Judge what was appended, which is all that was scanned.

        Raises
        ------
        DatasetError
        """
        self._refuse(misfit_of_tail(self.files.rating_file, scan.tally(), scan.evidence, self.limits))

    @staticmethod
    def _refuse(misfit: str | None) -> None:
        if misfit is not None:
            raise DatasetError(f"{misfit}\n{NOTHING_REPLACED}")


@dataclass(frozen=True)
class FileState:
    """What is known of the file as it was read: enough to tell whether it only grew, and to go on from there.

    Attributes
    ----------
    bytes : int
    sha256 : str
        Of the content.
    lines : int
        Lines read, the header included.
    place : dict
        A `Place`.
    acceptable_from : int or None
        Unix time from which a row that was rejected as of the future no longer would be.
    """

    bytes: int
    sha256: str
    lines: int
    place: dict[str, Any]
    acceptable_from: int | None


def block_bytes() -> int:
    """Bytes of the file to read at a time; parsed, checked and encoded, a block takes up to thirty times as much."""
    return int(np.clip(get_settings().memory_limit // 30, SMALLEST_BLOCK, BLOCK_BYTES))


def load_all(
    database: Database,
    files: MovieLensFiles,
    known: npt.NDArray[np.int32],
    last: Load | None,
    load: Callable[[dict[str, Any]], Load],
    digest: bytes,
    length: int,
    progress: Progress | None,
    log: Log,
    judge: Judge,
    since: int = 0,
) -> dict[str, Any]:
    """Replace the table by what is in the file; returns the details of the load.

    Raises
    ------
    DatasetError
    """
    totals, pairs, keys, times, lines = Totals(), PairSample(), [], [], []

    def parts(scan: RatingScan) -> Iterator[Columns]:
        for rows in scan.blocks():
            totals.add(rows)
            keys.append(pair_key(rows.user_id, rows.movie_id))
            pairs.add(keys[-1])
            times.append(rows.rated_at)
            lines.append(rows.line)
            yield _columns(rows)

    with (
        RatingScan(files, known, progress=progress, block_bytes=block_bytes()) as scan,
        database.replace("ratings", log) as table,
    ):
        if scan.size != length:
            raise scan.changed()
        written = table.write_parts(parts(scan), COLUMNS)
        judge.whole(scan, since)
        log(f"Looking for repeated pairs in {written:,} ratings")
        losers = (
            Losers.none()
            if rising(keys)
            else find_losers(_emptied(keys, np.int64), _emptied(times, np.int64), _emptied(lines, np.int32))
        )
        rejects = scan.rejects(losers)
        if len(losers):
            totals.add(_take_out(table.cursor, table.relation, losers), sign=-1)
        rows = written - len(losers)
        details = {
            "rows": rows,
            "rows_read": rows + len(rejects),
            "rows_complete": rows + counted(rejects),
            "rejected": rejects.by_reason(),
            "name": files.rating_file.name,
            "assumed_utc": scan.assumed_utc,
            "file": asdict(_state(scan, rejects, digest)),
        }
        _store_rejects(table.cursor, name_of(last), rejects)
        for name, frame, kinds in _by_table(totals):
            table.cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(SCHEMA, name)))
            copy_in(table.cursor, sql.Identifier(SCHEMA, name), _arrays(frame), kinds)
        dataset = recognize(table.cursor, files.name, pairs)
        record_load(table.cursor, "ratings", load(details), dataset.id)
        log(f"Indexing {rows:,} ratings")
    return details


def state_of(last: Load | None) -> FileState | None:
    """What the record of a load says of the file."""
    found = last.details.get("file") if last else None
    return FileState(**found) if found else None


def name_of(last: Load | None) -> str:
    """Name of the file whose rejects are kept."""
    return str(last.details.get("name", "ratings.csv")) if last else "ratings.csv"


def may_append(files: MovieLensFiles, last: Load, length: int) -> bool:
    """Whether the rest of a file that grew can be merged; its beginning is known to be the same."""
    state = state_of(last)
    if state is None or name_of(last) != files.rating_file.name:
        return False
    place = Place(**state.place)
    if length - state.bytes > max(BLOCK_BYTES, LARGEST_TAIL * state.bytes):
        return False
    if state.acceptable_from is not None and time() >= state.acceptable_from:
        return False
    with files.ratings.open("rb") as stream:
        stream.seek(place.byte)
        return not place.open or stream.read(2).startswith((b"\n", b"\r\n"))


def append(
    database: Database,
    files: MovieLensFiles,
    known: npt.NDArray[np.int32],
    last: Load,
    load: Callable[[dict[str, Any]], Load],
    digest: bytes,
    length: int,
    progress: Progress | None,
    log: Log,
    judge: Judge,
) -> tuple[dict[str, Any], int] | None:
    """Merge what was appended to the file.

    Returns the details of the load, which are those of a full one, and how many of the new rows loaded; None when the
    table meanwhile is that of another load.

    Raises
    ------
    DatasetError
    """
    state = state_of(last)
    assert state is not None
    place = Place(**state.place)
    with (
        RatingScan(files, known, start=place, progress=progress, block_bytes=block_bytes()) as scan,
        ThreadPoolExecutor(1) as pool,
        database.transaction() as cursor,
    ):
        lock(cursor, "ratings")
        cursor.execute(f"SELECT version, dataset_id FROM {SCHEMA}.loads WHERE table_name = 'ratings'")
        found = cursor.fetchone()
        if found is None or found[0] != last.version:
            return None
        if scan.size != length:
            raise scan.changed()
        tail = Accepted.joined(list(scan.blocks()))
        judge.tail(scan)
        log(f"Merging {len(tail):,} ratings")
        old = _stage(cursor, tail)
        both = Accepted.joined([old, tail])
        losers = find_losers(pair_key(both.user_id, both.movie_id), both.rated_at, both.line)
        is_old = losers.position < len(old)
        ousted = Losers(losers.position[is_old], losers.line[is_old], losers.winner[is_old])
        beaten = Losers(losers.position[~is_old], losers.line[~is_old], losers.winner[~is_old])
        rejects = scan.rejects(beaten)
        texts = pool.submit(text_of_lines, files.ratings, np.sort(ousted.line))  # while Postgres is at work
        _merge(cursor, beaten)
        totals = Totals()
        totals.add(tail)
        totals.add(both.chosen(losers.position), sign=-1)
        _add_totals(cursor, totals)
        if place.again:  # half a line then, read again as a whole
            cursor.execute(
                f"DELETE FROM {SCHEMA}.rejected_ratings WHERE file = %s AND line = %s", [rejects.file, place.line]
            )
        _copy_rejects(cursor, rejects)
        _oust(cursor, rejects.file, ousted, texts.result())
        details = _added_up(last.details, rejects, len(ousted), len(tail) - len(losers), place)
        details["name"] = rejects.file
        details["assumed_utc"] = last.details.get("assumed_utc", 0) + scan.assumed_utc
        details["file"] = asdict(_state(scan, rejects, digest, state.acceptable_from))
        pairs = PairSample()
        pairs.add(pair_key(tail.user_id, tail.movie_id))
        dataset = recognize(cursor, files.name, pairs, continues=found[1])
        record_load(cursor, "ratings", load(details), dataset.id)
    return details, len(tail) - len(beaten)


def _columns(rows: Accepted) -> Columns:
    return {name: getattr(rows, name) for name in COLUMNS}


def _emptied(parts: list[npt.NDArray[Any]], dtype: type[np.generic]) -> npt.NDArray[Any]:
    whole = np.concatenate([np.empty(0, dtype), *parts])
    parts.clear()
    return whole


def _state(scan: RatingScan, rejects: Rejects, digest: bytes, earlier: int | None = None) -> FileState:
    times = [at for at in (earlier, scan.acceptable_from(rejects)) if at is not None]
    return FileState(scan.size, digest.hex(), scan.lines, asdict(scan.end), min(times, default=None))


def _take_out(cursor: Cursor, relation: sql.Identifier, losers: Losers) -> Accepted:
    """Delete the rows of these lines, and return them."""
    cursor.execute("CREATE TEMPORARY TABLE loser (line integer) ON COMMIT DROP")
    copy_in(cursor, sql.Identifier("loser"), {"line": losers.line}, {"line": "integer"})
    cursor.execute("ANALYZE loser")
    names = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    found = sql.SQL("SELECT {} FROM {} WHERE line IN (SELECT line FROM loser)").format(names, relation)
    taken = copy_out(cursor, found.as_string(cursor), COLUMNS)
    cursor.execute(sql.SQL("DELETE FROM {} WHERE line IN (SELECT line FROM loser)").format(relation))
    return Accepted(**taken)


def _store_rejects(cursor: Cursor, before: str, rejects: Rejects) -> None:
    cursor.execute(f"DELETE FROM {SCHEMA}.rejected_ratings WHERE file IN (%s, %s)", [before, rejects.file])
    _copy_rejects(cursor, rejects)


def _copy_rejects(cursor: Cursor, rejects: Rejects) -> None:
    copy_rows(cursor, "rejected_ratings", ("file", "line", "raw_text", "reason"), rejects.rows())


def _add_totals(cursor: Cursor, totals: Totals) -> None:
    cursor.execute(read_sql("stage_totals"))
    for name, frame, kinds in _by_table(totals):
        staged = sql.Identifier(f"more_{name}")
        copy_in(cursor, staged, _arrays(frame), kinds)
        cursor.execute(sql.SQL("ANALYZE {}").format(staged))
    cursor.execute(read_sql("add_totals"))


def _by_table(totals: Totals) -> tuple[tuple[str, pl.DataFrame, dict[str, Kind]], ...]:
    return ("rating_totals", totals.of_stars(), STAR_TOTALS), ("user_totals", totals.of_users(), USER_TOTALS)


def _arrays(frame: pl.DataFrame) -> Columns:
    return {name: frame[name].to_numpy() for name in frame.columns}


def _stage(cursor: Cursor, tail: Accepted) -> Accepted:
    """Put new rows into the temporary table `tail`, and into `known` the rows there are of the same pairs.

    Returns the latter.
    """
    cursor.execute(read_sql("stage_tail"))
    copy_in(cursor, sql.Identifier("tail"), _columns(tail), COLUMNS)
    cursor.execute("ANALYZE tail")
    cursor.execute(read_sql("known_pairs"))
    return Accepted(**copy_out(cursor, f"SELECT {', '.join(COLUMNS)} FROM known", COLUMNS))


def _merge(cursor: Cursor, beaten: Losers) -> None:
    if len(beaten):
        cursor.execute("CREATE TEMPORARY TABLE beaten (line integer) ON COMMIT DROP")
        copy_in(cursor, sql.Identifier("beaten"), {"line": beaten.line}, {"line": "integer"})
        cursor.execute("DELETE FROM tail t USING beaten b WHERE b.line = t.line")
    cursor.execute(read_sql("merge_tail"))


def _oust(cursor: Cursor, file: str, ousted: Losers, texts: pl.Series) -> None:
    """Reject rows that were in the table until now, and what they had won against points to the new winner."""
    if not len(ousted):
        return
    order = np.argsort(ousted.line)
    line, winner = ousted.line[order], ousted.winner[order]
    code = np.full(len(line), Reason.DUPLICATE_RATING, np.uint8)
    rejects = Rejects(file, line, code, winner, texts, 0)
    before = Rejects(rejects.file, line, code, line, rejects.text, 0)
    cursor.execute("CREATE TEMPORARY TABLE renamed (before text, after text) ON COMMIT DROP")
    copy_rows(cursor, sql.Identifier("renamed"), ("before", "after"), zip(before.reason, rejects.reason, strict=True))
    cursor.execute(
        f"UPDATE {SCHEMA}.rejected_ratings t SET reason = n.after FROM renamed n "
        "WHERE t.file = %s AND t.reason = n.before",
        [rejects.file],
    )
    _copy_rejects(cursor, rejects)


def _added_up(last: dict[str, Any], rejects: Rejects, ousted: int, rows: int, place: Place) -> dict[str, Any]:
    """Details of the last load and of the rest of the file together."""
    rejected = dict(last["rejected"])
    again = Rejects.compact(Reason(place.again)) if place.again else None
    for reason, count in [
        *rejects.by_reason().items(),
        (Rejects.compact(Reason.DUPLICATE_RATING), ousted),
        (again, -1),
    ]:
        if reason is not None and count:
            rejected[reason] = rejected.get(reason, 0) + count
    was_complete = bool(place.again) and Reason(place.again) not in INCOMPLETE
    return {
        # An ousted row made room for the one that ousted it.
        "rows": last["rows"] + rows,
        "rows_read": last["rows_read"] + rows + ousted + len(rejects) - bool(place.again),
        "rows_complete": last["rows_complete"] + rows + ousted + counted(rejects) - was_complete,
        "rejected": {reason: count for reason, count in rejected.items() if count},
    }
