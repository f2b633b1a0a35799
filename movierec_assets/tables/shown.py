"""Lists that were shown, and what people did with them: the rows of `served` and `events`.

Belongs here: writing and reading rows. Does not: when they are written (`serving.online.shown`), the partitions
(`day_partitions`), and the figures of a day (`served_feedback`).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import numpy as np
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.recsys.interactions import IntArray
from movierec_assets.tables.database import SCHEMA, Database, copy_rows
from movierec_assets.tables.day_partitions import make_days
from movierec_assets.tables.recommendation_ids import time_of

EventKind = Literal["impression", "click", "dismiss"]
Source = Literal["model", "stored", "popular"]

_FIRST_APP_USER = 1_000_000_000
_LIST_COLUMNS = (
    *("recommendation_id", "at", "user_id", "dataset_id", "model_version", "source", "scenario", "movie_ids"),
)
_EVENT_COLUMNS = ("recommendation_id", "at", "user_id", "movie_id", "position", "kind")


class ShownList(NamedTuple):
    """A list as it was answered.

    Attributes
    ----------
    recommendation_id : str
        It holds the time as well.
    user_id, dataset_id, model_version : int or None
    source : {"model", "stored", "popular"}
    scenario : str or None
    movie_ids : sequence of int, or int array, shape (n,)
        Best first.
    """

    recommendation_id: str
    user_id: int | None
    dataset_id: int | None
    model_version: int | None
    source: Source
    scenario: str | None
    movie_ids: Sequence[int] | IntArray


class ShownEvent(NamedTuple):
    """What somebody did with a movie of a list.

    Attributes
    ----------
    recommendation_id : str
    at : datetime
    user_id : int or None
        Of the list.
    movie_id : int
    position : int
        Of the movie in the list, from 1.
    kind : {"impression", "click", "dismiss"}
    """

    recommendation_id: str
    at: datetime
    user_id: int | None
    movie_id: int
    position: int
    kind: EventKind


@dataclass(frozen=True)
class KeptList:
    """What events are checked against: the user and the movies of a list."""

    user_id: int | None
    movie_ids: list[int]


def write(cursor: Cursor, lists: Sequence[ShownList], events: Sequence[ShownEvent]) -> int:
    """COPY lists and events in, whose partitions exist; returns the number of rows.

    Rows of app users who are erased by now are left out. A user who is being erased waits until these rows are
    committed, and is erased with them.
    """
    gone = _erased(cursor, {row.user_id for rows in (lists, events) for row in rows})
    lines = [_line(row) for row in lists if row.user_id not in gone]
    rows = [row for row in events if row.user_id not in gone]
    if lines:
        columns = ", ".join(_LIST_COLUMNS)
        cursor.copy_expert(
            f"COPY {SCHEMA}.served ({columns}) FROM STDIN (FORMAT CSV)", io.BytesIO("".join(lines).encode())
        )
    if rows:
        copy_rows(cursor, "events", _EVENT_COLUMNS, rows)
    return len(lines) + len(rows)


def make_days_of(cursor: Cursor, lists: Iterable[ShownList], events: Iterable[ShownEvent]) -> None:
    """Make the partitions that rows need, where they are missing."""
    days = {time_of(row.recommendation_id).date() for row in lists} | {row.at.astimezone(UTC).date() for row in events}
    make_days(cursor, days)


def lists_of(database: Database, recommendation_ids: Sequence[str]) -> dict[str, KeptList]:
    """User and movies of lists, by id; ids without a list are left out."""
    if not recommendation_ids:
        return {}
    found = database.rows(
        f"""SELECT recommendation_id::text, user_id, movie_ids FROM {SCHEMA}.served
            WHERE recommendation_id = ANY(%s::uuid[]) AND at = ANY(%s)""",
        [list(recommendation_ids), sorted({time_of(each) for each in recommendation_ids})],
    )
    return {name: KeptList(user_id, movie_ids) for name, user_id, movie_ids in found}


def _line(row: ShownList) -> str:
    """A list in COPY's CSV; in half the time of `copy_rows`, because a busy worker writes a thousand a second."""
    name, user_id, dataset_id, version, source, scenario, movie_ids = row
    listed = str(movie_ids.tolist() if isinstance(movie_ids, np.ndarray) else list(movie_ids))[1:-1]
    numbers = ",".join(["" if number is None else str(number) for number in (user_id, dataset_id, version)])
    where = "" if scenario is None else _quoted(scenario)
    return f'{name},{time_of(name)},{numbers},{source},{where},"{{{listed}}}"\n'


def _quoted(text: str) -> str:
    """Text in double quotes, without NUL and lone surrogates, which Postgres refuses."""
    storable = text.replace("\0", "").encode(errors="replace").decode()
    return '"' + storable.replace('"', '""') + '"'


def _erased(cursor: Cursor, user_ids: Iterable[int | None]) -> set[int]:
    """Users of the app among these who do not exist; the others are kept until the transaction ends."""
    of_app = {user for user in user_ids if user is not None and user >= _FIRST_APP_USER}
    if not of_app:
        return set()
    cursor.execute(
        f"SELECT user_id FROM {SCHEMA}.app_users WHERE user_id = ANY(%s) ORDER BY user_id FOR KEY SHARE", [list(of_app)]
    )
    return of_app - {user for (user,) in cursor.fetchall()}
