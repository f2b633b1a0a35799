"""Kaggle's copy of ml-20m: other names of files, and times such as 2005-04-02 23:53:47.

Belongs here: its files. Does not: finding them (`find`).
"""

from __future__ import annotations

from movierec_assets.datasets.file_format import LINKS, MOVIES, RATINGS
from movierec_assets.datasets.sources.contract import FileKind, Format

KAGGLE = Format(
    "MovieLens from Kaggle",
    ratings=FileKind("rating.csv", RATINGS),
    movies=FileKind("movie.csv", MOVIES),
    links=FileKind("link.csv", LINKS),
    mixes=True,
)
