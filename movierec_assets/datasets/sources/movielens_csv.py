"""ml-20m, ml-25m, ml-32m, ml-latest and ml-latest-small as they are unpacked, and whatever has these columns.

The separator is told by the header line, so that what a spreadsheet writes with semicolons is this format too.
"""

from __future__ import annotations

from movierec_assets.datasets.file_format import LINKS, MOVIES, RATINGS
from movierec_assets.datasets.sources.contract import Format, Kind

MOVIELENS_CSV = Format(
    "MovieLens CSV",
    ratings=Kind("ratings.csv", RATINGS),
    movies=Kind("movies.csv", MOVIES),
    links=Kind("links.csv", LINKS),
    mixes=True,
)
