"""Rows of a small CSV file in which a quoted value may hold line breaks.

Belongs here: which lines make one row. Does not: the meaning of the values (`movies`).

A quote that is not closed on its line has one of two causes: a line break inside a value, or one quote too many. In the
first case the following lines are the rest of the value, in the second they are rows. So lines are joined only if the
result is a whole row, and no line after the first is a row by itself.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence

MAX_LINES = 20
"""Largest number of lines of one row."""

Fields = list[str]


def split_line(text: str, separator: str = ",") -> Fields | None:
    """The fields of a line; None where its quotes do not close or do not enclose the whole field."""
    try:
        return next(csv.reader([text], delimiter=separator, strict=True), [])
    except csv.Error:
        return None


def joined_rows(
    lines: Sequence[str], is_row: Callable[[Fields], bool], separator: str = ","
) -> Iterator[tuple[int, str, Fields | None]]:
    """Yield the rows of some lines, including rows that cannot be split into fields.

    Parameters
    ----------
    lines : sequence of str
        Without line ends.
    is_row : callable
        Whether fields are a row of the table: as many as there should be, with a valid id.
    separator : str
        Between two fields.

    Yields
    ------
    start : int
        Index of the first line of the row.
    text : str
        The row as it stands in the file, with a space for each line break.
    fields : list of str or None
        None where the quotes do not close. In a value, a line break and the spaces around it become one space.
    """
    start = 0
    while start < len(lines):
        text = lines[start]
        fields, count = split_line(text, separator), 1
        if fields is None and _stays_open(text):
            joined = _rest(lines[start : start + MAX_LINES], is_row, separator)
            if joined is not None:
                text, fields, count = joined
        yield start, text, fields
        start += count


def _rest(lines: Sequence[str], is_row: Callable[[Fields], bool], separator: str) -> tuple[str, Fields, int] | None:
    """The row that begins with the first line: its text, fields and number of lines; None if it does not."""
    text = lines[0]
    for count, line in enumerate(lines[1:], start=2):
        alone = split_line(line, separator)
        if alone is not None and not _stays_open(line) and is_row(alone):
            return None
        text = f"{text.rstrip()} {line.lstrip()}".rstrip() if line.strip() else text
        fields = split_line(text, separator)
        if fields is not None and not _stays_open(text):
            return (text, fields, count) if is_row(fields) else None
    return None


def _stays_open(text: str) -> bool:
    return text.count('"') % 2 == 1
