"""Ratings posted in the app, beside the loaded file.

Belongs here: posting and withdrawing, and updating them after other files are loaded. Does not: which ratings count
(the view `valid_app_ratings`) and who may post (a trigger), both in `sql/migrations`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from psycopg2.errors import ForeignKeyViolation
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.errors import ExplainedError
from movierec_assets.ratings import FIRST_APP_USER_ID
from movierec_assets.sql import read_sql
from movierec_assets.tables.advisory_locks import take_lock
from movierec_assets.tables.database import SCHEMA, Database, first_value

FILE = "app_ratings"
"""Name of the file in `rejected_ratings`; the line is `rating_id`, the text is written as in ratings.csv."""


def adopt(cursor: Cursor) -> None:
    """Assign the loaded dataset to ratings that were posted before datasets had numbers."""
    cursor.execute(
        f"UPDATE {SCHEMA}.app_ratings SET dataset_id = l.dataset_id FROM {SCHEMA}.loaded_dataset l "
        f"WHERE {SCHEMA}.app_ratings.dataset_id IS NULL"
    )


def update_rejects(database: Database) -> int:
    """Make `rejected_ratings` hold exactly the app's ratings of movies outside the catalogue; returns their number.

    Only ratings of the loaded dataset count. Runs in its own transaction, because a load keeps its locks until the
    ratings are indexed.
    """
    from movierec_assets.datasets.rejects import RejectReason, wording  # noqa: PLC0415 - polars is needed here only

    with database.transaction() as cursor:
        take_lock(cursor, FILE)
        adopt(cursor)
        reason = wording(RejectReason.UNKNOWN_MOVIE, "%s")
        cursor.execute(read_sql("reject_app_ratings"), {"file": FILE, "reason": reason})
        cursor.execute(f"SELECT count(*) FROM {SCHEMA}.rejected_ratings WHERE file = %s", [FILE])
        return int(first_value(cursor))


class AppCounts(NamedTuple):
    """How much was posted."""

    ratings: int
    users: int
    today: int


def counts_of_app(database: Database) -> AppCounts:
    """Ratings and withdrawals of the loaded dataset, people who posted them, and those since midnight, UTC.

    Reads all of them, so it takes longer with each: keep the answer (`serving.online.app_counts`).
    """
    # Grouped by user first, which Postgres does by hashing on several cores: count(DISTINCT) would sort all rows.
    found = database.rows(
        f"""SELECT coalesce(sum(ratings), 0)::bigint, count(*), coalesce(sum(today), 0)::bigint
            FROM (
                SELECT count(*) AS ratings, count(*) FILTER (WHERE rated_at >= date_trunc('day', now(), 'UTC')) AS today
                FROM {SCHEMA}.valid_app_ratings
                GROUP BY user_id
            ) of_user"""
    )
    return AppCounts(*found[0])


class NoSuchUserError(ExplainedError, LookupError):
    """A user does not exist; the message says what to do."""


class NoSuchMovieError(ExplainedError, LookupError):
    """The movie is not in the catalogue."""


class NotRatedError(ExplainedError, LookupError):
    """There is no rating to withdraw."""


@dataclass(frozen=True)
class Posted:
    """The latest row of a user and a movie.

    Attributes
    ----------
    rating_id : int
    rated_at : datetime
        With a time zone. Never before an earlier rating of the movie by the user, in the file or in the app.
    added : bool
        False when the user's latest row in the app had the same stars, and still counts: nothing was added.
    """

    rating_id: int
    rated_at: datetime
    added: bool


def no_such_user(user_id: int) -> NoSuchUserError:
    """The refusal of an id that nobody has."""
    return NoSuchUserError(
        f"User {user_id} was erased or never created. Create a user with POST /users, and send its id."
        if user_id >= FIRST_APP_USER_ID
        else f"User {user_id} is not in the loaded ratings. Ids below {FIRST_APP_USER_ID} belong to users of the "
        "loaded dataset; for somebody else, create a user with POST /users."
    )


def are_stars(value: float) -> bool:
    """Whether a number is a rating: 0.5 to 5.0 in steps of one half, exactly."""
    return 0.5 <= value <= 5.0 and value * 2 == int(value * 2)


def post_rating(cursor: Cursor, user_id: int, movie_id: int, stars: float) -> Posted:
    """Add a rating, which counts from now on instead of any earlier one.

    Parameters
    ----------
    cursor : cursor
        In a transaction. Other posts of the user wait until it ends.
    user_id, movie_id : int
    stars : float

    Raises
    ------
    ValueError
        When it is not a number of stars.
    NoSuchMovieError, NoSuchUserError
    """
    if not are_stars(stars):
        raise ValueError(f"{stars} is no rating; expected 0.5 to 5.0 stars in steps of 0.5")
    pair = _locked(cursor, user_id, movie_id)
    if not pair.user_known:  # the trigger would refuse it as well, and Postgres log the id of an erased user
        raise no_such_user(user_id)
    if not pair.in_catalogue:
        raise NoSuchMovieError(f"No movie of the catalogue has the id {movie_id}.")
    if pair.posted is not None and pair.posted_stars == stars and not pair.file_is_later:
        return Posted(pair.posted, pair.posted_at, added=False)
    return _add(cursor, user_id, movie_id, stars, pair.latest_at)


def withdraw_rating(cursor: Cursor, user_id: int, movie_id: int) -> Posted:
    """Add a withdrawal: the movie counts as not rated, whether the rating was posted in the app or is in the file.

    Raises
    ------
    NotRatedError
        When the user has no rating of the movie, or has withdrawn it.
    NoSuchUserError
    """
    pair = _locked(cursor, user_id, movie_id)
    if not pair.user_known:
        raise no_such_user(user_id)
    current = pair.file_stars if pair.posted is None or pair.file_is_later else pair.posted_stars
    if current is None or not pair.in_catalogue:
        raise NotRatedError(f"User {user_id} has no rating of movie {movie_id} that could be withdrawn.")
    return _add(cursor, user_id, movie_id, None, pair.latest_at)


def settled_watermark(cursor: Cursor) -> int:
    """The highest `rating_id`, as of a moment when no rating is being posted; 0 without one.

    A rating may be committed after another one with a higher id. So this waits for all posts under way, and keeps new
    ones waiting until the transaction ends: end it soon. What a later transaction reads has all ratings up to this id.
    """
    cursor.execute(f"LOCK TABLE {SCHEMA}.app_ratings IN SHARE MODE")
    cursor.execute(f"SELECT coalesce(max(rating_id), 0) FROM {SCHEMA}.app_ratings")
    return int(first_value(cursor))


class _Pair(NamedTuple):
    """State of a user and a movie, as sql/pair_state.sql gives it."""

    user_known: bool
    in_catalogue: bool
    posted: int | None
    posted_stars: float | None
    file_stars: float | None
    latest_at: datetime | None
    file_is_later: bool
    posted_at: datetime


def _locked(cursor: Cursor, user_id: int, movie_id: int) -> _Pair:
    """The state of a pair, which nobody changes until the transaction ends."""
    take_lock(cursor, f"ratings of user {user_id}")
    cursor.execute(read_sql("pair_state"), {"user": user_id, "movie": movie_id})
    return _Pair(*cursor.fetchall()[0])


def _add(cursor: Cursor, user_id: int, movie_id: int, stars: float | None, after: datetime | None) -> Posted:
    try:
        cursor.execute(
            f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating, rated_at) "
            "VALUES (%s, %s, %s, greatest(clock_timestamp(), %s)) RETURNING rating_id, rated_at",
            [user_id, movie_id, stars, after],
        )
    except ForeignKeyViolation as error:  # of the trigger receive_app_rating: the user was erased a moment ago
        raise no_such_user(user_id) from error
    rating_id, rated_at = cursor.fetchall()[0]
    return Posted(rating_id, rated_at, added=True)
