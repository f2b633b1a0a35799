"""Reading the files of movies and of their ids at IMDb and TMDB, in any format.

Belongs here: titles, years, genres and external ids. Does not: ratings, storing the rows, and which lines make one row
(`quoted_lines`). Both files are small, so they are read line by line.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.file_format import DataFile, Table, find_columns, open_file
from movierec_assets.datasets.judgement import Limits, RejectCounts, misfit_of_movies
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.quoted_lines import joined_rows
from movierec_assets.datasets.rejects import MAX_ID, RejectReason, Rejects, clean_text
from movierec_assets.datasets.whole_numbers import whole_number

NO_GENRES = "(no genres listed)"

_YEAR = re.compile(r"\(([0-9]{4})(?:\s*[-\u2012-\u2015]\s*(?:[0-9]{4})?)?\s*\)\s*$")
_IMDB = re.compile(r"(?:tt)?([0-9]{1,12})(\.0*)?", re.ASCII)
_IMDB_DIGITS = 7

RejectedRow = tuple[int, RejectReason, int, str]


@dataclass(frozen=True)
class Movies:
    """The movies of a dataset, in file order; every list has one entry per movie.

    Attributes
    ----------
    movie_id : int32 array, shape (n,)
        Ids as in the file.
    title : list of str
        As in the file, with the year; a line break is replaced by a space.
    year : list of int or None
        First year in the parentheses at the end of the title.
    genres : list of list of str
        Empty where the file says "(no genres listed)".
    imdb_id : list of str or None
        As in "tt0114709".
    tmdb_id : list of int or None
        Id at themoviedb.org.
    rejects, link_rejects : Rejects
        Rows of movies.csv and of links.csv that did not load.
    """

    movie_id: npt.NDArray[np.int32]
    title: list[str]
    year: list[int | None]
    genres: list[list[str]]
    imdb_id: list[str | None]
    tmdb_id: list[int | None]
    rejects: Rejects
    link_rejects: Rejects

    def __len__(self) -> int:
        return len(self.title)

    def misfit(self, file: DataFile, limits: Limits) -> str | None:
        """Why a load would refuse the file of movies; None when it would not."""
        return misfit_of_movies(file, RejectCounts.of(self.rejects, len(self) + len(self.rejects)), limits)


def parse_year(title: str) -> int | None:
    """Year at the end of a title: 1995 for "Heat (1995)", 2006 for "Death Note (2006-2007)".

    Examples
    --------
    >>> parse_year("Toy Story (1995)"), parse_year("Babylon 5")
    (1995, None)
    """
    found = _YEAR.search(title)
    return int(found[1]) if found else None


def read_movies(files: MovieLensFiles) -> Movies:
    """Read the movies, with their ids at IMDb and TMDB where links.csv has them.

    A row without an id in 1 to 2147483647 or without a title is rejected, and so is an earlier row of a movie that
    is listed twice. A movie with a bad row in links.csv loads without links.

    Raises
    ------
    DatasetError
        If a file has no readable header or is not UTF-8, or if no movie is left.
    """
    entries: dict[int, tuple[int, str, str, list[str]]] = {}
    bad: list[RejectedRow] = []
    file = files.movie_file
    width, rows = _rows(file, bad)
    for line, text, (number, title, *genres) in rows:
        movie_id = _id(number)
        if isinstance(movie_id, RejectReason):
            bad.append((line, movie_id, 0, text))
        elif not title.strip():
            bad.append((line, RejectReason.MISSING_TITLE, 0, text))
        else:
            if movie_id in entries:
                earlier = entries.pop(movie_id)
                bad.append((earlier[0], RejectReason.DUPLICATE_MOVIE, line, earlier[1]))
            entries[movie_id] = (line, text, title, _genres(genres, file.table))
    rejects = Rejects.of(file.name, width, bad)
    if not entries:
        reasons = RejectCounts.of(rejects, len(rejects)).lines() or ["It holds a header only."]
        raise DatasetError(
            "\n".join([f"{file.shown}: no movie can be loaded.", *reasons])
            + f"\nEach row must read like {file.table.example} ({','.join(file.table.columns)}); correct the "
            "file, or fetch the release again."
        )
    links, link_rejects = _read_links(files.link_file, entries.keys(), file.name)
    titles = [title for _, _, title, _ in entries.values()]
    found = [links.get(movie_id, (None, None)) for movie_id in entries]
    return Movies(
        movie_id=np.array(list(entries), np.int32),
        title=titles,
        year=[parse_year(title) for title in titles],
        genres=[genres for *_, genres in entries.values()],
        imdb_id=[imdb for imdb, _ in found],
        tmdb_id=[tmdb for _, tmdb in found],
        rejects=rejects,
        link_rejects=link_rejects,
    )


def _genres(values: list[str], table: Table) -> list[str]:
    """Names of the genres, from their text or from flags."""
    if table.flags:
        return [name for name, flag in zip(table.flags, values, strict=True) if flag.strip() == "1"]
    text = values[0]
    if text.strip() == NO_GENRES:
        return []
    return [genre for part in text.split("|") if (genre := part.strip())]


def _id(text: str) -> int | RejectReason:
    """Movie id, or the reason why the text is not one."""
    digits = text.strip()
    if not digits:
        return RejectReason.MISSING_MOVIE
    number = whole_number(digits)
    if number is None:
        return RejectReason.MOVIE_NOT_INTEGER
    return number if 1 <= number <= MAX_ID else RejectReason.MOVIE_RANGE


Links = dict[int, tuple[str | None, int | None]]


def _read_links(file: DataFile | None, known: Container[int], movies: str) -> tuple[Links, Rejects]:
    if file is None:
        return {}, Rejects.of("links.csv", 0, [], movies)
    links: dict[int, tuple[int, str, str | None, int | None]] = {}
    bad: list[RejectedRow] = []
    width, rows = _rows(file, bad, numbers=len(file.table.columns))
    for line, text, (number, imdb, tmdb) in rows:
        movie_id = _id(number)
        imdb_found = _IMDB.fullmatch(imdb.strip())
        tmdb_id = whole_number(tmdb.strip())
        if isinstance(movie_id, RejectReason):
            bad.append((line, movie_id, 0, text))
        elif movie_id not in known:
            bad.append((line, RejectReason.UNKNOWN_MOVIE, movie_id, text))
        elif imdb.strip() and not imdb_found:
            bad.append((line, RejectReason.IMDB_ID, 0, text))
        elif tmdb.strip() and not (tmdb_id is not None and 1 <= tmdb_id <= MAX_ID):
            bad.append((line, RejectReason.TMDB_ID, 0, text))
        else:
            if movie_id in links:
                bad.append((links[movie_id][0], RejectReason.DUPLICATE_LINK, line, links[movie_id][1]))
            # Written as a number, the id has lost its leading zeros.
            imdb_id = f"tt{imdb_found[1].zfill(_IMDB_DIGITS)}" if imdb_found else None
            links[movie_id] = (line, text, imdb_id, tmdb_id)
    return {key: (imdb, tmdb) for key, (_, _, imdb, tmdb) in links.items()}, Rejects.of(file.name, width, bad, movies)


def _rows(file: DataFile, bad: list[RejectedRow], numbers: int = 1) -> tuple[int, Iterator[tuple[int, str, list[str]]]]:
    """Number of fields in a row of a file, and its rows as (line, text, values of the wanted columns).

    Rows that do not have the fields of the table are appended to `bad`. The first `numbers` columns hold numbers: where
    fields are not separated by commas, a comma in them is a decimal comma.
    """
    table = file.table
    with open_file(file.path) as stream:
        header = find_columns(stream, file)
        raw_lines = stream.readlines()
    encoding = "latin-1" if table.latin and not _is_utf8(raw_lines) else "utf-8"

    def lines() -> Iterator[str]:
        for number, raw in enumerate(raw_lines, header.line + 1):
            try:
                yield raw.decode(encoding).rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise DatasetError(
                    f"{file.shown}, line {number}: byte {error.start + 1} of the line (0x{raw[error.start]:02x}) is "
                    f"not UTF-8. Save the file as UTF-8, for instance with "
                    f"`iconv -f latin1 -t utf-8 {file.name} > fixed.csv`."
                ) from error

    def values(fields: Sequence[str]) -> list[str]:
        found = [fields[position] for position in header.positions]
        if header.separator != ",":
            found[:numbers] = [value.replace(",", ".") for value in found[:numbers]]
        return found

    def is_row(fields: Sequence[str]) -> bool:
        return len(fields) == header.width and not isinstance(_id(values(fields)[0]), RejectReason)

    def split(texts: Sequence[str]) -> Iterator[tuple[int, str, list[str] | None]]:
        if table.separator is None:
            yield from joined_rows(texts, is_row, header.separator)
        else:  # in these files, quotes are ordinary characters
            yield from ((index, text, text.split(header.separator)) for index, text in enumerate(texts))

    def rows() -> Iterator[tuple[int, str, list[str]]]:
        for index, line, fields in split(list(lines())):
            number, text = header.line + 1 + index, clean_text(line.encode())
            if not line.strip():
                continue
            if "\0" in line:
                bad.append((number, RejectReason.NUL_BYTE, 0, text))
            elif fields is None:
                bad.append((number, RejectReason.MALFORMED, 0, text))
            elif len(fields) == header.width:
                yield number, text, values(fields)
            else:
                bad.append((number, RejectReason.FIELD_COUNT, len(fields), text))

    return header.width, rows()


def _is_utf8(lines: list[bytes]) -> bool:
    try:
        b"".join(lines).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
