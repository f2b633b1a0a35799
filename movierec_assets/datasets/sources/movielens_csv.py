"""ml-20m, ml-25m, ml-32m, ml-latest and ml-latest-small, and other CSV files with their columns.

Belongs here: their files. Does not: finding them (`find`), and the separator, which the header line shows
(`file_format`).
"""

from __future__ import annotations

from movierec_assets.datasets.file_format import LINKS, MOVIES, RATINGS
from movierec_assets.datasets.sources.contract import FileKind, Format

MOVIELENS_CSV = Format(
    "MovieLens CSV",
    ratings=FileKind("ratings.csv", RATINGS),
    movies=FileKind("movies.csv", MOVIES),
    links=FileKind("links.csv", LINKS),
    mixes=True,
)
