"""ml-20m, ml-25m, ml-32m, ml-latest and ml-latest-small, and other CSV files with their columns.

The header line shows the separator, so that a spreadsheet's file with semicolons has this format too.
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
