"""Exports of other services, which are no dataset: recognizing them, and explaining what they lack.

Belongs here: their columns, names of files, and messages. Does not: finding files (`sources`).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_MANY = (
    "Recommendations are learned from the ratings of many people: rows of userId,movieId,rating,timestamp in "
    "ratings.csv, and the movies that the ids stand for in movies.csv (movieId,title,genres)"
)
_ONE_PERSON = (
    f"{_MANY}. For one person, run a MovieLens release, then name favourites: "
    "`movierec recommend --like TITLE --like TITLE`"
)


@dataclass(frozen=True)
class Export:
    """Files that a service gives to its users.

    Attributes
    ----------
    columns : frozenset of str
        Columns that distinguish it from others, in lower case.
    name : str
        The service, as in "an export of IMDb".
    holds, lacks, remedy : str
        Parts of the message: it holds ..., and lacks ...; then what to do.
    """

    columns: frozenset[str]
    name: str
    holds: str
    lacks: str
    remedy: str = _ONE_PERSON

    @property
    def sentence(self) -> str:
        """The message: what it holds, what it lacks, what to do."""
        return f"{self.name}: it holds {self.holds}, and lacks {self.lacks}. {self.remedy}."


def _export(columns: str, *words: str) -> Export:
    return Export(frozenset(columns.casefold().split(",")), *words)


_EXPORTS = (
    _export(
        "Name,Year,Letterboxd URI",
        "an export of Letterboxd",
        "the films of one person, by title and year",
        "user ids (userId) and MovieLens' ids of the films (movieId)",
    ),
    _export(
        "Const,Your Rating",
        "an export of IMDb",
        "the ratings of one person, from 1 to 10 (divide by two), by IMDb's ids",
        "user ids (userId) and MovieLens' ids of the films (movieId), which links.csv of a release gives for IMDb's",
    ),
    _export(
        "tconst,averageRating",
        "IMDb's table of average ratings",
        "one figure for each film",
        "who gave which rating (userId, rating, timestamp)",
        _MANY,
    ),
    _export(
        "Profile Name,Title Name,Thumbs Value",
        "an export of Netflix",
        "the thumbs and stars of one household, by title",
        "user ids (userId) and MovieLens' ids of the films (movieId)",
    ),
    _export(
        "Profile Name,Start Time,Duration,Title",
        "an export of Netflix",
        "what one household watched",
        "ratings (rating), user ids (userId) and MovieLens' ids of the films (movieId)",
    ),
    _export(
        "Title,Date",
        "an export of Netflix",
        "what one person watched",
        "ratings (rating), user ids (userId) and MovieLens' ids of the films (movieId)",
    ),
    _export(
        "Book Id,Title,My Rating",
        "an export of Goodreads",
        "the books of one person",
        "films, user ids (userId) and the times of the ratings (timestamp)",
    ),
)
_NETFLIX_PRIZE = Export(
    frozenset(),
    "data of the Netflix Prize",
    "ratings below a line for each film, with dates",
    "one row for each rating (userId,movieId,rating,timestamp), and a header line over the films",
    "Write ratings.csv and movies.csv (movieId,title,genres) from it; dates such as 2005-09-06 can be read",
)
_PRIZE_FILES = re.compile(r"combined_data_\d+\.txt|mv_\d{7}\.txt|movie_titles\.(?:csv|txt)", re.IGNORECASE)


def export_with(columns: Sequence[str]) -> Export | None:
    """The export whose columns these are."""
    found = {column.strip().casefold() for column in columns}
    for export in _EXPORTS:
        # Many other tables have a title and a date: these count only if there are no further columns.
        if export.columns <= found and (len(export.columns) > 2 or "date" not in export.columns or len(found) == 2):
            return export
    return None


def export_named(names: Iterable[str]) -> Export | None:
    """The export that has files with these names."""
    return _NETFLIX_PRIZE if any(map(_PRIZE_FILES.fullmatch, names)) else None


def export_beginning(head: bytes) -> Export | None:
    """The export whose columns the first line of a file names."""
    line = head.decode("utf-8-sig", "replace").partition("\n")[0].strip()
    try:
        rows = [next(csv.reader([line], delimiter=separator), []) for separator in ",\t;"]
    except csv.Error:
        return None
    return next(filter(None, map(export_with, rows)), None)
