"""Rows that did not load, with their reasons.

Belongs here: the reasons, their wording, and rejected rows as columns. Does not: deciding that a row is rejected
(`movies`, `rating_scan`) and storing it (`tables`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import polars as pl

from movierec_assets.ratings import FIRST_APP_USER_ID

MAX_ID = 2**31 - 1
"""Largest value of a 4-byte integer column."""

MAX_TEXT = 2_000
"""Characters of a rejected line that are stored."""


class RejectReason(IntEnum):
    """Why a row did not load; 0 is reserved for rows that did."""

    FIELD_COUNT = 1
    MALFORMED = 2
    MISSING_USER = 3
    MISSING_MOVIE = 4
    MISSING_RATING = 5
    MISSING_TIMESTAMP = 6
    MISSING_TITLE = 7
    USER_NOT_INTEGER = 8
    MOVIE_NOT_INTEGER = 9
    RATING_NOT_NUMBER = 10
    TIMESTAMP_NOT_INTEGER = 11
    USER_RANGE = 12
    USER_RESERVED = 13
    MOVIE_RANGE = 14
    UNKNOWN_MOVIE = 15
    RATING_GRID = 16
    TIMESTAMP_RANGE = 17
    DUPLICATE_RATING = 18
    DUPLICATE_MOVIE = 19
    DUPLICATE_LINK = 20
    IMDB_ID = 21
    TMDB_ID = 22
    NUL_BYTE = 23
    TRUNCATED = 24


# The compact reason, and an addition about one row. {detail} is a number that the reader noted.
_WORDING: dict[RejectReason, tuple[str, str]] = {
    RejectReason.FIELD_COUNT: ("wrong number of fields", ": expected {fields} fields, found {detail}"),
    RejectReason.MALFORMED: ("quotes that do not close or do not enclose the whole field", ""),
    RejectReason.MISSING_USER: ("missing user id", ""),
    RejectReason.MISSING_MOVIE: ("missing movie id", ""),
    RejectReason.MISSING_RATING: ("missing rating", ""),
    RejectReason.MISSING_TIMESTAMP: ("missing timestamp", ""),
    RejectReason.MISSING_TITLE: ("missing title", ""),
    RejectReason.USER_NOT_INTEGER: ("user id is not an integer", ""),
    RejectReason.MOVIE_NOT_INTEGER: ("movie id is not an integer", ""),
    RejectReason.RATING_NOT_NUMBER: ("rating is not a number", ""),
    RejectReason.TIMESTAMP_NOT_INTEGER: ("timestamp is neither a whole number of seconds nor an ISO 8601 time", ""),
    RejectReason.USER_RANGE: (f"user id outside 1 to {MAX_ID}", ""),
    RejectReason.USER_RESERVED: (
        f"user id from {FIRST_APP_USER_ID} up is reserved for accounts created in the app",
        "",
    ),
    RejectReason.MOVIE_RANGE: (f"movie id outside 1 to {MAX_ID}", ""),
    RejectReason.UNKNOWN_MOVIE: ("unknown movie", ": {detail} is not in {movies}"),
    RejectReason.RATING_GRID: ("rating off the half-star grid 0.5 to 5.0", ""),
    RejectReason.TIMESTAMP_RANGE: ("impossible timestamp", ": {detail} is not between 1970 and tomorrow in seconds"),
    RejectReason.DUPLICATE_RATING: ("duplicate (user, movie) pair", ": line {detail} wins"),
    RejectReason.DUPLICATE_MOVIE: ("duplicate movie id", ": line {detail} wins"),
    RejectReason.DUPLICATE_LINK: ("duplicate movie id in links", ": line {detail} wins"),
    RejectReason.IMDB_ID: ("IMDb id is not a number", ""),
    RejectReason.TMDB_ID: (f"TMDB id is not an integer in 1 to {MAX_ID}", ""),
    RejectReason.NUL_BYTE: ("NUL byte in the row", ""),
    RejectReason.TRUNCATED: (
        "truncated last line",
        ": it has no line end, and its time {detail} is before 1995 or cut off",
    ),
}

INCOMPLETE = (
    RejectReason.FIELD_COUNT,
    RejectReason.MALFORMED,
    RejectReason.MISSING_USER,
    RejectReason.MISSING_MOVIE,
    RejectReason.MISSING_RATING,
    RejectReason.MISSING_TIMESTAMP,
)
"""Reasons of rows in which not every column has a value."""


def wording(reason: RejectReason, detail: object, fields: int = 0, movies: str = "movies.csv") -> str:
    """The full reason of a row.

    Parameters
    ----------
    reason : RejectReason
    detail : object
        Inserted where the reason mentions a number.
    fields : int
        Fields that a row should have.
    movies : str
        Name of the file of movies.
    """
    compact, about = _WORDING[reason]
    return compact + about.format(detail=detail, fields=fields, movies=movies)


def clean_text(raw: bytes) -> str:
    """Decode a line for storage: no line end, no NUL (which Postgres text cannot hold), undecodable bytes replaced."""
    return raw[: 4 * MAX_TEXT].rstrip(b"\r\n").replace(b"\0", b"").decode("utf-8", "replace")[:MAX_TEXT]


@dataclass(frozen=True)
class Rejects:
    """Rejected rows of one file, in file order.

    Attributes
    ----------
    file : str
        Name of the file.
    line : int64 array, shape (n,)
        Physical line, 1-based.
    code : uint8 array, shape (n,)
        A `RejectReason` each.
    detail : int64 array, shape (n,)
        The number that the reason's wording mentions, if it mentions one.
    text : polars.Series of str, length n
        The line as it stands in the file, cut at `MAX_TEXT` characters.
    fields : int
        Fields that a row of the file should have.
    movies : str
        Name of the file of movies.
    """

    file: str
    line: npt.NDArray[np.int64]
    code: npt.NDArray[np.uint8]
    detail: npt.NDArray[np.int64]
    text: pl.Series
    fields: int
    movies: str = "movies.csv"

    @classmethod
    def of(
        cls, file: str, fields: int, rows: Sequence[tuple[int, RejectReason, int, str]], movies: str = "movies.csv"
    ) -> Rejects:
        """Build from (line, reason, detail, text) rows in any order."""
        rows = sorted(rows)
        return cls(
            file,
            np.array([row[0] for row in rows], np.int64),
            np.array([row[1] for row in rows], np.uint8),
            np.array([row[2] for row in rows], np.int64),
            pl.Series("text", [row[3] for row in rows], pl.String),
            fields,
            movies,
        )

    def __len__(self) -> int:
        return len(self.line)

    @property
    def reason(self) -> list[str]:
        """The full reason of every row."""
        return [self._wording(code, detail) for code, detail in zip(self.code, self.detail, strict=True)]

    def rows(self) -> Iterator[tuple[str, int, str, str]]:
        """Yield (file, line, text, reason), without holding all reasons in memory."""
        for line, code, detail, text in zip(self.line, self.code, self.detail, self.text, strict=True):
            yield self.file, int(line), text, self._wording(code, detail)

    def by_reason(self) -> dict[str, int]:
        """Count the rows of each compact reason, most frequent first."""
        codes, counts = np.unique(self.code, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return {self.compact(RejectReason(int(codes[i]))): int(counts[i]) for i in order}

    @staticmethod
    def compact(reason: RejectReason) -> str:
        """The reason without the addition about one row."""
        return _WORDING[reason][0]

    def summary(self, examples: int = 3) -> str:
        """One or two sentences: the number of rejected rows by reason, and the first few of them."""
        reasons = "; ".join(f"{count:,} {reason}" for reason, count in self.by_reason().items())
        shown = [f'line {line} "{text[:80]}" ({reason})' for _, line, text, reason in self._head(examples).rows()]
        return f"{reasons}. First: {'; '.join(shown)}." if shown else "no rows rejected."

    def chosen(self, index: npt.NDArray[np.int64]) -> Rejects:
        """Some of the rows."""
        line, code, detail = self.line[index], self.code[index], self.detail[index]
        return replace(self, line=line, code=code, detail=detail, text=self.text.gather(index))

    def _head(self, count: int) -> Rejects:
        return self.chosen(np.arange(min(count, len(self))))

    def _wording(self, code: np.uint8, detail: np.int64) -> str:
        return wording(RejectReason(int(code)), detail, self.fields, self.movies)
