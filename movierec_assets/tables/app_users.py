"""Users of the app: creating, exporting and erasing them, and what they rated.

Belongs here: the rows about one user. Does not: posting ratings (`app_ratings`), and people of the file, whose rows
belong to the dataset.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.errors import ExplainedError
from movierec_assets.ratings import FIRST_APP_USER_ID
from movierec_assets.sql import read_sql
from movierec_assets.tables.api_keys import remove_keys_of
from movierec_assets.tables.app_ratings import no_such_user
from movierec_assets.tables.database import SCHEMA, Database, first_value

_LONG = "SET LOCAL statement_timeout = '60s'"
"""Everything about a user may take longer than a request for a few rows."""


class FileUserError(ExplainedError, PermissionError):
    """A user of the loaded dataset was to be exported or erased; the message says why that cannot be."""


@dataclass(frozen=True)
class AppUser:
    """A user of the app.

    Attributes
    ----------
    user_id : int
        From `FIRST_APP_USER_ID` up; never given again.
    created_at : datetime
    """

    user_id: int
    created_at: datetime


@dataclass(frozen=True)
class RatedMovie:
    """A current rating.

    Attributes
    ----------
    movie_id : int
    title : str or None
        None where the catalogue has no such movie.
    year : int or None
    genres : list of str
    stars : float
    rated_at : datetime
    """

    movie_id: int
    title: str | None
    year: int | None
    genres: list[str]
    stars: float
    rated_at: datetime


def create_user(cursor: Cursor) -> AppUser:
    """A new user of the app."""
    cursor.execute(f"INSERT INTO {SCHEMA}.app_users DEFAULT VALUES RETURNING user_id, created_at")
    return AppUser(*cursor.fetchall()[0])


def export_user(database: Database, user_id: int) -> str:
    """Everything that is stored about a user of the app, as JSON.

    Raises
    ------
    FileUserError, NoSuchUserError
    """
    with database.transaction() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        cursor.execute(_LONG)
        cursor.execute("SET LOCAL TimeZone = 'UTC'")
        cursor.execute(read_sql("export_user"), {"user": user_id})
        if (row := cursor.fetchone()) is not None:
            return str(row[0])
        raise _not_of_the_app(cursor, user_id, "exported")


def erase_user(database: Database, user_id: int) -> None:
    """Delete every row about a user of the app, at once or not at all.

    Files of training keep likes of the user until the next run writes them anew.

    Raises
    ------
    FileUserError, NoSuchUserError
    """
    with database.transaction() as cursor:
        cursor.execute(_LONG)
        # Its trigger deletes the rows of all tables.
        cursor.execute(f"DELETE FROM {SCHEMA}.app_users WHERE user_id = %s", [user_id])
        if cursor.rowcount == 0:
            raise _not_of_the_app(cursor, user_id, "erased")
        remove_keys_of(cursor, user_id)
        cursor.execute(f"SELECT EXISTS (SELECT FROM {SCHEMA}.eligible_users WHERE user_id = %s)", [user_id])
        if first_value(cursor):
            refresh_eligible_users(cursor)


def refresh_eligible_users(cursor: Cursor) -> None:
    """Count everybody's ratings again; readers do not wait."""
    # A refresh that waits for a load would see the new table as empty; see `Database.columns`.
    cursor.execute(f"LOCK TABLE {SCHEMA}.ratings, {SCHEMA}.movies IN ACCESS SHARE MODE")
    cursor.execute(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {SCHEMA}.eligible_users")


def delete_lists_of_erased_users(database: Database) -> None:
    """Delete recommendations of users who were erased while the lists were made."""
    with database.transaction() as cursor:
        cursor.execute(
            f"""DELETE FROM {SCHEMA}.user_recommendations r WHERE r.user_id >= %s
                AND NOT EXISTS (SELECT FROM {SCHEMA}.app_users u WHERE u.user_id = r.user_id)""",
            [FIRST_APP_USER_ID],
        )


def ratings_of(database: Database, user_id: int, limit: int, offset: int) -> tuple[int, list[RatedMovie]]:
    """Current ratings of a user, the latest first.

    Returns
    -------
    int
        Number of all of them.
    list of RatedMovie
        At most `limit`, without the first `offset`.

    Raises
    ------
    NoSuchUserError
    """
    with database.transaction() as cursor:
        cursor.execute(f"SELECT count(*) FROM {SCHEMA}.current_ratings WHERE user_id = %s", [user_id])
        count = int(first_value(cursor))
        if count == 0 and not user_exists(cursor, user_id):
            raise no_such_user(user_id)
        cursor.execute(read_sql("user_ratings"), {"user": user_id, "limit": limit, "offset": offset})
        return count, [
            RatedMovie(movie_id, title, year, genres or [], stars, rated_at)
            for movie_id, title, year, genres, stars, rated_at in cursor.fetchall()
        ]


def user_exists(cursor: Cursor, user_id: int) -> bool:
    """Whether somebody in the loaded file or in the app has this id."""
    table = "app_users" if user_id >= FIRST_APP_USER_ID else "user_totals"
    cursor.execute(f"SELECT EXISTS (SELECT FROM {SCHEMA}.{table} WHERE user_id = %s)", [user_id])
    return bool(first_value(cursor))


def _not_of_the_app(cursor: Cursor, user_id: int, what: str) -> ExplainedError:
    if user_id < FIRST_APP_USER_ID and user_exists(cursor, user_id):
        return FileUserError(
            f"User {user_id} is a user of the loaded dataset, whose ratings are in its files. Only users of the app, "
            f"with ids from {FIRST_APP_USER_ID} up, can be {what}. DELETE /ratings/{user_id}/MOVIE withdraws a rating."
        )
    return no_such_user(user_id)
