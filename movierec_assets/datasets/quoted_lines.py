"""Rows of a small CSV file in which a quoted value may hold line breaks.

Belongs here: which lines make one row. Does not: what the values mean (`movies`).

A quote that is opened and not closed on its line is one of two things: a line break inside a value, or one quote too
many. In the first case the lines that follow are the rest of the value, in the second they are rows. So lines are put
together only if that makes a whole row, and none of the lines behind the first is a row by itself.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence

MOST_LINES = 20
"""Lines of one row at most."""

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
    """Yield the rows among some lines, those that cannot be split among them.

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
    place : int
        Of the first line of the row.
    text : str
        The row as it stands in the file, with a space for each line break.
    fields : list of str or None
        None where the quotes do not close. In a value, a line break and the spaces around it become one space.
    """
    place = 0
    while place < len(lines):
        text = lines[place]
        fields, count = split_line(text, separator), 1
        if fields is None and _stays_open(text):
            joined = _rest(lines[place : place + MOST_LINES], is_row, separator)
            if joined is not None:
                text, fields, count = joined
        yield place, text, fields
        place += count


def _rest(lines: Sequence[str], is_row: Callable[[Fields], bool], separator: str) -> tuple[str, Fields, int] | None:
    """The row that begins with the first line: its text, its fields, and how many lines it has; None without one."""
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
