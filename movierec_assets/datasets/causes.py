"""Likely causes of rejected rows, and what to do about them.

Belongs here: the likely cause of each reason. Does not: the reasons (`rejects`), and causes that only the values of a
file show (`evidence`).
"""

from __future__ import annotations

from movierec_assets.datasets.rejects import RejectReason, Rejects
from movierec_assets.ratings import FIRST_APP_USER_ID

NOTHING_IS_EARLIER = (
    "Nothing is earlier than anything then: no rating can be held out as the latest one of its user, so no model can "
    "be scored."
)
GET_TIMES = (
    "Write a column timestamp with the time at which each rating was made: Unix seconds, or a date such as 2015-03-31 "
    "06:40:02. If only the order of the ratings is known, put the rows in that order and write 1000000000 plus the "
    "number of the row."
)

_CAUSES: dict[RejectReason, str] = {
    RejectReason.FIELD_COUNT: "Has a value a comma in it? Put that value in double quotes.",
    RejectReason.MALFORMED: "A double quote is not closed, or stands inside a value: enclose the whole value and "
    "double the quotes inside.",
    RejectReason.MISSING_USER: "The user ids are empty.",
    RejectReason.MISSING_MOVIE: "The movie ids are empty.",
    RejectReason.MISSING_RATING: "Are these movies that were watched and not rated? Leave such rows out.",
    RejectReason.MISSING_TIMESTAMP: f"The times are empty. {GET_TIMES}",
    RejectReason.MISSING_TITLE: "The titles are empty.",
    RejectReason.USER_NOT_INTEGER: "Are users given by name? Number them from 1.",
    RejectReason.MOVIE_NOT_INTEGER: "Are movies given by title or by another site's id? Write the ids of the file of "
    "movies.",
    RejectReason.RATING_NOT_NUMBER: "Are ratings words? Write stars from 0.5 to 5.",
    RejectReason.TIMESTAMP_NOT_INTEGER: "The times are written in a form that is not read. Write Unix seconds, or "
    "ISO 8601 as in 2015-03-31 06:40:02.",
    RejectReason.USER_RANGE: "Number the users from 1.",
    RejectReason.USER_RESERVED: f"User ids from {FIRST_APP_USER_ID:,} up belong to accounts of the app. Number the "
    "users of the file from 1.",
    RejectReason.MOVIE_RANGE: "Number the movies from 1, as in the file of movies.",
    RejectReason.UNKNOWN_MOVIE: "The file of movies does not list them: are the two files from one release? Take both "
    "from the same one, or add the movies.",
    RejectReason.RATING_GRID: "Ratings are half stars from 0.5 to 5.",
    RejectReason.TIMESTAMP_RANGE: "Times are Unix seconds, between 1970 and tomorrow.",
    RejectReason.NUL_BYTE: "Is the file damaged, or no text? Fetch it again.",
    RejectReason.TRUNCATED: "Was the file cut off? Fetch it again.",
    RejectReason.IMDB_ID: "IMDb ids are digits, with or without tt in front.",
    RejectReason.TMDB_ID: "TMDB ids are whole numbers.",
}
_TITLES = (
    "Do titles hold commas, quotes or line breaks? Put a title with one of them in double quotes, and double the "
    "quotes inside."
)
_MOVIE_CAUSES = _CAUSES | dict.fromkeys(
    (RejectReason.FIELD_COUNT, RejectReason.MALFORMED, RejectReason.MOVIE_NOT_INTEGER), _TITLES
)


def likely_cause(reason: RejectReason | None, *, of_movies: bool = False) -> str | None:
    """The likely cause of rows of ratings or links, or of movies, that were rejected for a reason."""
    causes = _MOVIE_CAUSES if of_movies else _CAUSES
    return causes.get(reason) if reason is not None else None


def reason_named(compact: str) -> RejectReason | None:
    """The reason with this compact wording."""
    return next((each for each in RejectReason if Rejects.compact(each) == compact), None)
