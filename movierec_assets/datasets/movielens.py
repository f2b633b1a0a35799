"""MovieLens files for other rooms: the layout, the content hash and the two readers.

Belongs here: names that other rooms import. Does not: code; see `layout`, `movies`, `ratings`, `rejects`.
"""

from __future__ import annotations

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.file_format import LINK_COLUMNS, MOVIE_COLUMNS, RATING_COLUMNS
from movierec_assets.datasets.layout import MovieLensFiles, content_hash
from movierec_assets.datasets.movies import Movies, parse_year, read_movies
from movierec_assets.datasets.ratings import Ratings, check_ratings, read_ratings
from movierec_assets.datasets.rejects import FIRST_APP_USER_ID, MAX_ID, RejectReason, Rejects
from movierec_assets.progress import Progress

__all__ = [
    "FIRST_APP_USER_ID",
    "LINK_COLUMNS",
    "MAX_ID",
    "MOVIE_COLUMNS",
    "RATING_COLUMNS",
    "DatasetError",
    "MovieLensFiles",
    "Movies",
    "Progress",
    "Ratings",
    "RejectReason",
    "Rejects",
    "check_ratings",
    "content_hash",
    "parse_year",
    "read_movies",
    "read_ratings",
]
