"""Kaggle's copy of ml-20m: other names of files, and times such as 2005-04-02 23:53:47."""

from __future__ import annotations

from movierec_assets.datasets.sources.contract import Format, Kind
from movierec_assets.datasets.tables import LINKS, MOVIES, RATINGS

KAGGLE = Format(
    "MovieLens from Kaggle",
    ratings=Kind("rating.csv", RATINGS),
    movies=Kind("movie.csv", MOVIES),
    links=Kind("link.csv", LINKS),
    mixes=True,
)
