"""Rows that were appended to a loaded file of ratings, merged into its table.

Belongs here: whether rows can be merged, and merging them in one transaction, with the outcome of a full load. Does
not: loading a whole file (`rating_load`), and whether anything needs loading (`loading`).
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from time import time
from typing import Any

import numpy as np
import polars as pl
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.datasets.duplicates import Superseded, find_superseded
from movierec_assets.datasets.identity import PairSketch
from movierec_assets.datasets.layout import ContentDigest, MovieLensFiles
from movierec_assets.datasets.rating_rows import BLOCK_BYTES
from movierec_assets.datasets.rating_scan import ResumePoint, complete_rows
from movierec_assets.datasets.rejects import INCOMPLETE, RejectReason, Rejects
from movierec_assets.datasets.texts import text_of_lines
from movierec_assets.datasets.totals import Totals
from movierec_assets.ratings import FileRatings, pair_key
from movierec_assets.sql import read_sql
from movierec_assets.tables.advisory_locks import take_lock
from movierec_assets.tables.database import SCHEMA, Load, copy_in, copy_out, copy_rows, record_load
from movierec_assets.tables.known_datasets import recognize
from movierec_assets.tables.rating_load import COLUMNS, FileState, RatingLoad, add_rejects, by_table, name_of

_MAX_TAIL_SHARE = 0.25
"""Appended rows that are a larger share of the file are not merged: loading the whole file is quicker then."""


@dataclass(frozen=True)
class _Merge:
    """Appended ratings, and the ratings of the same pairs that are in the table.

    Attributes
    ----------
    both : FileRatings
        The ratings in the table first.
    in_table : Superseded
        Ratings in the table that appended ones supersede.
    in_tail : Superseded
        Appended ratings that others supersede.
    """

    both: FileRatings
    in_table: Superseded
    in_tail: Superseded

    @classmethod
    def of(cls, known: FileRatings, tail: FileRatings) -> _Merge:
        both = FileRatings.joined([known, tail])
        found = find_superseded(pair_key(both.user_id, both.movie_id), both.rated_at, both.line)
        is_known = found.position < len(known)
        return cls(both, found.chosen(is_known), found.chosen(~is_known))

    def totals(self, tail: FileRatings) -> Totals:
        """Changes of the totals."""
        totals = Totals()
        totals.add(tail)
        totals.add(self.both.chosen(np.append(self.in_table.position, self.in_tail.position)), sign=-1)
        return totals


def may_append(files: MovieLensFiles, last: Load, size: int) -> bool:
    """Whether the rows that a file of `size` bytes has beyond the loaded ones can be merged, if these are unchanged."""
    state = FileState.of(last)
    if state is None or name_of(last) != files.rating_file.name:
        return False
    if not 0 < size - state.bytes <= max(BLOCK_BYTES, _MAX_TAIL_SHARE * state.bytes):
        return False
    if state.acceptable_from is not None and time() >= state.acceptable_from:
        return False
    with files.ratings.open("rb") as stream:
        stream.seek(state.resume_point.byte)
        return not state.resume_point.open or stream.read(2).startswith((b"\n", b"\r\n"))


def append(load: RatingLoad, last: Load, digest: ContentDigest) -> tuple[dict[str, Any], int] | None:
    """Merge the rows that were appended to the file since the load `last`.

    Returns the same details as a full load, and the number of new rows that loaded; None when the table was loaded anew
    meanwhile.

    Parameters
    ----------
    load : RatingLoad
    last : Load
    digest : ContentDigest
        Of the whole file.

    Raises
    ------
    DatasetError
    """
    state = FileState.of(last)
    assert state is not None
    start = state.resume_point
    with load.scan(start=start) as scan, ThreadPoolExecutor(1) as pool, load.database.transaction() as cursor:
        take_lock(cursor, "ratings")
        cursor.execute(f"SELECT version, dataset_id FROM {SCHEMA}.loads WHERE table_name = 'ratings'")
        found = cursor.fetchone()
        if found is None or found[0] != last.version:
            return None
        if scan.size != digest.length:
            raise scan.changed()
        tail = FileRatings.joined(list(scan.blocks()))
        load.refuse_misfit_of_tail(scan)
        load.log(f"Merging {len(tail):,} ratings")
        merge = _Merge.of(_stage(cursor, tail), tail)
        rejects = scan.rejects(merge.in_tail)
        texts = pool.submit(text_of_lines, load.files.ratings, np.sort(merge.in_table.line))  # while Postgres works
        _merge_tail(cursor, merge.in_tail)
        totals = merge.totals(tail)
        _add_totals(cursor, totals)
        if start.again:  # an incomplete line then, a whole one now
            query = f"DELETE FROM {SCHEMA}.rejected_ratings WHERE file = %s AND line = %s"
            cursor.execute(query, [rejects.file, start.line])
        add_rejects(cursor, rejects)
        _reject_superseded(cursor, rejects.file, merge.in_table, texts.result())
        details = {
            **_added_up(last.details, rejects, merge, len(tail), start),
            **_months(last.details, totals),
            "name": rejects.file,
            "assumed_utc": last.details.get("assumed_utc", 0) + scan.assumed_utc,
            "file": asdict(FileState.after(scan, digest, rejects, state.acceptable_from)),
        }
        pairs = PairSketch()
        pairs.add(pair_key(tail.user_id, tail.movie_id))
        dataset = recognize(cursor, load.files.name, pairs, continues=found[1])
        record_load(cursor, "ratings", load.to_record(details), dataset.id)
    return details, len(tail) - len(merge.in_tail)


def _stage(cursor: Cursor, tail: FileRatings) -> FileRatings:
    """Put appended ratings into the temporary table `tail`; returns the ratings of the same pairs that are loaded."""
    cursor.execute(read_sql("stage_tail"))
    copy_in(cursor, sql.Identifier("tail"), vars(tail), COLUMNS)
    cursor.execute("ANALYZE tail")
    cursor.execute(read_sql("known_pairs"))
    return FileRatings(**copy_out(cursor, f"SELECT {', '.join(COLUMNS)} FROM known", COLUMNS))


def _merge_tail(cursor: Cursor, superseded: Superseded) -> None:
    """Merge the staged ratings, without those that others supersede."""
    if len(superseded):
        cursor.execute("CREATE TEMPORARY TABLE superseded (line integer) ON COMMIT DROP")
        copy_in(cursor, sql.Identifier("superseded"), {"line": superseded.line}, {"line": "integer"})
        cursor.execute("DELETE FROM tail t USING superseded s WHERE s.line = t.line")
    cursor.execute(read_sql("merge_tail"))


def _add_totals(cursor: Cursor, totals: Totals) -> None:
    cursor.execute(read_sql("stage_totals"))
    for name, columns, kinds in by_table(totals):
        staged = sql.Identifier(f"more_{name}")
        copy_in(cursor, staged, columns, kinds)
        cursor.execute(sql.SQL("ANALYZE {}").format(staged))
    cursor.execute(read_sql("add_totals"))


def _reject_superseded(cursor: Cursor, file: str, superseded: Superseded, texts: pl.Series) -> None:
    """Reject superseded rows of the table; earlier rejects that name one of them name its successor instead."""
    if not len(superseded):
        return
    order = np.argsort(superseded.line)
    line, winner = superseded.line[order], superseded.winner[order]
    code = np.full(len(line), RejectReason.DUPLICATE_RATING, np.uint8)
    rejects = Rejects(file, line, code, winner, texts, 0)
    named_old_winner = Rejects(file, line, code, line, texts, 0)
    cursor.execute("CREATE TEMPORARY TABLE reworded (before text, after text) ON COMMIT DROP")
    reworded = zip(named_old_winner.reason, rejects.reason, strict=True)
    copy_rows(cursor, sql.Identifier("reworded"), ("before", "after"), reworded)
    cursor.execute(
        f"UPDATE {SCHEMA}.rejected_ratings t SET reason = r.after FROM reworded r "
        "WHERE t.file = %s AND t.reason = r.before",
        [file],
    )
    add_rejects(cursor, rejects)


def _added_up(last: dict[str, Any], rejects: Rejects, merge: _Merge, tail: int, start: ResumePoint) -> dict[str, Any]:
    """Counts of the last load and of the appended rows together."""
    rejected = dict(last["rejected"])
    for reason, count in rejects.by_reason().items():
        rejected[reason] = rejected.get(reason, 0) + count
    replaced = len(merge.in_table)
    if replaced:
        duplicate = Rejects.compact(RejectReason.DUPLICATE_RATING)
        rejected[duplicate] = rejected.get(duplicate, 0) + replaced
    was_complete = False
    if start.again:
        again = Rejects.compact(RejectReason(start.again))
        rejected[again] = rejected.get(again, 0) - 1
        was_complete = start.again not in INCOMPLETE
    new = tail - len(merge.in_tail)
    return {
        "rows": last["rows"] + new - replaced,
        "rows_read": last["rows_read"] + new + len(rejects) - bool(start.again),
        "rows_complete": last["rows_complete"] + new + complete_rows(rejects) - was_complete,
        "rejected": {reason: count for reason, count in rejected.items() if count},
    }


def _months(last: dict[str, Any], totals: Totals) -> dict[str, Any]:
    """Ratings of each month, of the last load and of the appended rows together, where the last load counted them."""
    if "months" not in last:
        return {}
    together = Counter(last["months"])
    together.update(totals.of_months())
    return {"months": {month: count for month, count in sorted(together.items()) if count}}
