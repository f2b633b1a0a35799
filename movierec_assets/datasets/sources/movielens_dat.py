"""ml-1m and ml-10m (ml-10M100K): fields between double colons, no header. Titles are Latin-1 in ml-1m.

Belongs here: their files. Does not: finding them (`find`).
"""

from __future__ import annotations

from movierec_assets.datasets.file_format import MOVIE_COLUMNS, RATING_COLUMNS, Table
from movierec_assets.datasets.sources.contract import FileKind, Format

_RATINGS = Table(RATING_COLUMNS, "1::1193::5::978300760", separator="::", positions=(0, 1, 2, 3), width=4)
_MOVIES = Table(
    MOVIE_COLUMNS,
    "1::Toy Story (1995)::Animation|Comedy",
    separator="::",
    positions=(0, 1, 2),
    width=3,
    latin=True,
)

MOVIELENS_DAT = Format(
    "MovieLens 1M and 10M", ratings=FileKind("ratings.dat", _RATINGS), movies=FileKind("movies.dat", _MOVIES)
)
