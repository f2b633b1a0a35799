"""ml-100k: ratings between tabs, movies between bars with a flag for each genre, no header. Titles are Latin-1.

Belongs here: its files and genres. Does not: finding them (`find`).
"""

from __future__ import annotations

from movierec_assets.datasets.file_format import MOVIE_COLUMNS, RATING_COLUMNS, Table
from movierec_assets.datasets.sources.contract import FileKind, Format

GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
"""In the order of the flags, as u.genre lists them."""

_BEFORE_FLAGS = 5
"""Fields of u.item: id, title, two dates, an address."""
_RATINGS = Table(RATING_COLUMNS, "196\t242\t3\t881250949", separator="\t", positions=(0, 1, 2, 3), width=4)
_MOVIES = Table(
    MOVIE_COLUMNS,
    f"1|Toy Story (1995)|01-Jan-1995||http://...|{'|'.join('0001110000000000000')}",
    separator="|",
    positions=(0, 1, *range(_BEFORE_FLAGS, _BEFORE_FLAGS + len(GENRES))),
    width=_BEFORE_FLAGS + len(GENRES),
    latin=True,
    flags=GENRES,
)

MOVIELENS_100K = Format(
    "MovieLens 100K", ratings=FileKind("u.data", _RATINGS), movies=FileKind("u.item", _MOVIES), flag_names="u.genre"
)


def named(genres: str) -> tuple[str, ...]:
    """Names of the flags, given the text of u.genre: lines such as `Action|1`. Other flags keep their names."""
    names = list(GENRES)
    for line in genres.splitlines():
        name, _, number = line.strip().rpartition("|")
        if name and number.isdecimal() and int(number) < len(names):
            names[int(number)] = name
    return tuple(names)
