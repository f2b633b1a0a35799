"""Whether a file fits: by the share of its rows that do not load, by its stars, and by its times.

Belongs here: the limits, and the message: reasons with counts, a row of each, the likely cause and the remedy. Does
not: the statistics of a file (`evidence`), reading rows, and raising or replacing anything.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from movierec_assets.datasets.causes import GET_TIMES, NOTHING_IS_EARLIER, likely_cause
from movierec_assets.datasets.evidence import Evidence
from movierec_assets.datasets.file_format import DataFile, find_columns, open_file
from movierec_assets.datasets.rejects import RejectReason, Rejects

SHARE_SETTING = "MOVIEREC_MAX_REJECTED_SHARE"
ORDER_SETTING = "MOVIEREC_ALLOW_UNORDERED"

ALWAYS_ALLOWED = 1
"""Rows that may be rejected in a file of any size: one bad row of four says nothing about the file."""
ALWAYS_ALLOWED_OF_TAIL = 10
"""Rows that may be rejected among appended rows, however few these are."""
MIN_RATINGS_TO_JUDGE_STARS = 20
"""Fewer ratings than this may all be low."""

SUPERSEDED = (RejectReason.DUPLICATE_RATING, RejectReason.DUPLICATE_MOVIE, RejectReason.DUPLICATE_LINK)
"""Reasons of valid rows that another row supersedes."""

_LINE_SHOWN = 120
_FIRST_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
_MILLISECONDS = 10**11
_THOUSANDS = re.compile(r"[0-9]{1,3}(?:([.,' \u00a0\u202f\u2019])[0-9]{3})(?:\1[0-9]{3})*")
_WHOLE = {
    RejectReason.USER_NOT_INTEGER: ("userId", "User ids"),
    RejectReason.MOVIE_NOT_INTEGER: ("movieId", "Movie ids"),
    RejectReason.TIMESTAMP_NOT_INTEGER: ("timestamp", "Times"),
}
"""Name and meaning of each column of whole numbers."""


@dataclass(frozen=True)
class Limits:
    """Limits that a file must keep.

    Attributes
    ----------
    rejected_share : float
        Largest share of rows that may be rejected; with 1, stars are not judged either.
    positive_threshold : float
        Stars from which a rating is a like; at least one rating must be one.
    evaluated_users : int
        Users who must have rated at two different times, if so many users have enough ratings.
    unordered : bool
        Whether all times may be the same.
    """

    rejected_share: float = 0.1
    positive_threshold: float = 4.0
    evaluated_users: int = 10
    unordered: bool = False


@dataclass(frozen=True)
class RejectCounts:
    """Rejected rows of a file, counted.

    Attributes
    ----------
    rows : int
        All rows, without blank lines and the header.
    counts : mapping of RejectReason to int
    first : Rejects
        The first row of each reason.
    """

    rows: int
    counts: Mapping[RejectReason, int]
    first: Rejects

    @classmethod
    def of(cls, rejects: Rejects, rows: int) -> RejectCounts:
        """Count all rejects of a file."""
        codes, first, counts = np.unique(rejects.code, return_index=True, return_counts=True)
        by_reason = {RejectReason(int(code)): int(count) for code, count in zip(codes, counts, strict=True)}
        return cls(rows, by_reason, rejects.chosen(np.sort(first)))

    @property
    def invalid(self) -> int:
        """Number of rejected rows, without superseded ones."""
        return sum(count for reason, count in self.counts.items() if reason not in SUPERSEDED)

    @property
    def share(self) -> float:
        """Share of invalid rows among all rows."""
        return self.invalid / self.rows if self.rows else 0.0

    @property
    def main(self) -> RejectReason | None:
        """The most frequent reason of invalid rows; None without one."""
        invalid = {reason: count for reason, count in self.counts.items() if reason not in SUPERSEDED}
        return max(invalid, key=lambda reason: invalid[reason]) if invalid else None

    def lines(self) -> list[str]:
        """A line for each reason, the most frequent first: number of rows, reason, and the first row."""
        shown = {
            code: (line, text)
            for code, line, text in zip(self.first.code, self.first.line, self.first.text, strict=True)
        }
        found = []
        for reason, count in sorted(self.counts.items(), key=lambda item: -item[1]):
            line, text = shown[np.uint8(reason)]
            found.append(reason_line(count, Rejects.compact(reason), int(line), text))
        return found


def reason_line(count: int, reason: str, line: int, text: str) -> str:
    """A line for one reason: the number of rows, and the first of them."""
    rows = "1 row" if count == 1 else f"{count:,} rows"
    cut = text if len(text) <= _LINE_SHOWN else f"{text[:_LINE_SHOWN]}..."
    return f"{rows}: {reason}; {'line' if count == 1 else 'first line'} {line:,}: {cut}"


def misfit_of_ratings(
    file: DataFile,
    counts: RejectCounts,
    evidence: Evidence,
    limits: Limits,
    *,
    movies: Path,
    lost: Iterable[str] = (),
    complete: bool = True,
) -> str | None:
    """Why a file of ratings does not fit; None when it does.

    Parameters
    ----------
    file : DataFile
    counts : RejectCounts
    evidence : Evidence
        Of the same rows.
    limits : Limits
    movies : Path
        The file of the known movies.
    lost : iterable of str
        Text of the rows of that file that did not load.
    complete : bool
        Whether all rows were read; only then stars and times are judged.
    """
    path = file.shown
    if counts.rows == 0 or (evidence.accepted == 0 and complete):
        return _nothing_loads(file, counts, evidence, movies)
    if counts.invalid > _allowed(counts, limits, ALWAYS_ALLOWED):
        if (fault := _fault_of_movies(path, counts, evidence, movies, list(lost))) is not None:
            return f"{fault}\n{_override(counts)}"
        return _too_many(path, counts, limits, _cause(file, counts, evidence))
    if not complete:
        return None
    return _nothing_is_liked(path, evidence, limits) or _unordered(path, evidence, limits)


def _nothing_loads(file: DataFile, counts: RejectCounts, evidence: Evidence, movies: Path) -> str:
    return "\n".join(
        [
            f"{file.shown}: none of its {counts.rows:,} rows can be loaded.",
            *(counts.lines() or ["It holds a header only."]),
            *_because(_cause(file, counts, evidence)),
            f"Each row must read like {file.table.example} ({','.join(file.table.columns)}), with movies from "
            f"{movies.name}; correct the file, or fetch the release again.",
        ]
    )


def _nothing_is_liked(path: Path, evidence: Evidence, limits: Limits) -> str | None:
    highest, threshold = evidence.highest, limits.positive_threshold
    if limits.rejected_share >= 1 or evidence.accepted < MIN_RATINGS_TO_JUDGE_STARS or highest >= threshold:
        return None
    if highest <= 1:
        likely = evidence.scale() or "All ratings are 1 or less: are these thumbs up? Write 5 for a thumb up."
    else:
        likely = f"Is this a 1 to {highest:g} scale? Convert the ratings to 0.5 to 5 stars."
    return (
        f"{path}: no rating is as high as the {threshold:g} stars of a like, the highest is {highest:g}; nothing could "
        f"be learned from it.\nLikely cause: {likely}\nIf the ratings are right as they are, set "
        f"MOVIEREC_POSITIVE_THRESHOLD={highest:g}."
    )


def _unordered(path: Path, evidence: Evidence, limits: Limits) -> str | None:
    fault = None if limits.unordered else evidence.times.fault(limits.evaluated_users)
    if fault is None:
        return None
    return (
        f"{path}: {fault}. {NOTHING_IS_EARLIER}\n{GET_TIMES}\n`movierec evaluate --protocol strong-generalization` "
        f"scores a recipe without times. {ORDER_SETTING}=true loads the file as it is; nothing is trained on it then."
    )


def misfit_of_tail(file: DataFile, counts: RejectCounts, evidence: Evidence, limits: Limits) -> str | None:
    """Why rows that were appended to a file of ratings do not fit; None when they do.

    They are judged separately: in a long file, a few rows in another scale would be a small share.
    """
    if counts.invalid <= _allowed(counts, limits, ALWAYS_ALLOWED_OF_TAIL):
        return None
    return _too_many(file.shown, counts, limits, _cause(file, counts, evidence), "rows that were appended")


def misfit_of_movies(file: DataFile, counts: RejectCounts, limits: Limits) -> str | None:
    """Why a file of movies does not fit; None when it does."""
    if counts.invalid <= _allowed(counts, limits, ALWAYS_ALLOWED):
        return None
    return _too_many(file.shown, counts, limits, _thousands(file, counts) or likely_cause(counts.main, of_movies=True))


def _allowed(counts: RejectCounts, limits: Limits, always: int) -> float:
    return max(always, limits.rejected_share * counts.rows)


def _too_many(path: Path, counts: RejectCounts, limits: Limits, cause: str | None, rows: str = "rows") -> str:
    return "\n".join(
        [
            f"{path}: {counts.invalid:,} of {counts.rows:,} {rows} ({counts.share:.1%}) do not load; at most "
            f"{limits.rejected_share:.0%} may ({SHARE_SETTING}).",
            *counts.lines(),
            *_because(cause),
            _override(counts),
        ]
    )


def _because(cause: str | None) -> list[str]:
    return [] if cause is None else [f"Likely cause: {cause}"]


def _override(counts: RejectCounts) -> str:
    enough = min(1.0, math.ceil(100 * counts.share) / 100)
    return f"To load what fits all the same, set {SHARE_SETTING}={enough:g}."


def _cause(file: DataFile, counts: RejectCounts, evidence: Evidence) -> str | None:
    reason = counts.main
    if reason is RejectReason.RATING_GRID and (scale := evidence.scale()) is not None:
        return scale
    if reason is RejectReason.TIMESTAMP_RANGE and evidence.zero_times == evidence.impossible_times:
        which = "these" if evidence.accepted else "the"
        return f"All {which} times are 0, so they are missing. {NOTHING_IS_EARLIER}\n{GET_TIMES}"
    if reason is RejectReason.TIMESTAMP_RANGE:
        detail = int(counts.first.detail[counts.first.code == reason][0])
        if abs(detail) >= _MILLISECONDS:
            return f"Times such as {detail} are no seconds: are they milliseconds? Divide by 1,000."
    return _thousands(file, counts) or likely_cause(reason)


def _thousands(file: DataFile, counts: RejectCounts) -> str | None:
    """The cause that whole numbers have thousands separators, where the first unreadable one has them."""
    reason = counts.main
    if reason not in _WHOLE:
        return None
    text = counts.first.text.gather(np.flatnonzero(counts.first.code == reason))[0]
    with open_file(file.path) as stream:
        header = find_columns(stream, file)
    fields = (
        next(csv.reader([text], delimiter=header.separator, skipinitialspace=True))
        if len(header.separator) == 1
        else []
    )
    column, meaning = _WHOLE[reason]
    position = header.positions[file.table.columns.index(column)]
    if position < len(fields) and (found := _THOUSANDS.fullmatch(fields[position].strip())):
        return f"{meaning} are written with thousands separators, as in {found[0]}: export them without."
    return None


def _fault_of_movies(path: Path, counts: RejectCounts, evidence: Evidence, movies: Path, lost: list[str]) -> str | None:
    """The message that rejected rows of the file of movies caused the rejected ratings; None when they did not."""
    if counts.main is not RejectReason.UNKNOWN_MOVIE:
        return None
    ids = {int(found[0]) for text in lost if (found := _FIRST_NUMBER.search(text))}
    rows = sum(count for movie, count in evidence.unknown.items() if movie in ids)
    if 2 * rows < counts.counts[RejectReason.UNKNOWN_MOVIE]:
        return None
    first = next(text for text in lost if _FIRST_NUMBER.search(text))
    return (
        f"{movies}: {len(lost):,} rows do not load, and {rows:,} of {counts.rows:,} ratings in {path.name} "
        f"({rows / counts.rows:.1%}) are of the movies in them. The first: {first[:_LINE_SHOWN]}\n"
        f"Likely cause: {likely_cause(RejectReason.FIELD_COUNT, of_movies=True)}"
    )
