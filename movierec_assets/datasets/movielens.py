"""The door to MovieLens files: the layout, the content hash and the two readers.

What belongs here: names other rooms import. What does not: code; see `layout`, `movies`, `ratings`, `rejects`.
"""

from __future__ import annotations

from movierec_assets.progress import Progress

from .errors import DatasetError
from .layout import MovieLensFiles, content_hash
from .movies import Movies, parse_year, read_movies
from .ratings import Ratings, check_ratings, read_ratings
from .rejects import FIRST_APP_USER_ID, MAX_ID, Reason, Rejects
from .tables import LINK_COLUMNS, MOVIE_COLUMNS, RATING_COLUMNS

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
    "Reason",
    "Rejects",
    "check_ratings",
    "content_hash",
    "parse_year",
    "read_movies",
    "read_ratings",
]
