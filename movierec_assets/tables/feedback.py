"""Figures of lists that were shown: the table `served_feedback`, and the counts that it is made from.

Belongs here: reading and writing. Does not: intervals (`recsys.feedback`), partitions (`day_partitions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from movierec_assets.progress import Log
from movierec_assets.recsys.comparison import Interval
from movierec_assets.recsys.feedback import share_intervals
from movierec_assets.sql import read_sql
from movierec_assets.tables.advisory_locks import take_lock
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.day_partitions import days_of, drop_days

TABLE = "served_feedback"
WEEK = timedelta(days=7)
"""After this time nothing counts for a list any more."""


@dataclass(frozen=True)
class Feedback:
    """What came of movies that were shown.

    Attributes
    ----------
    source : str
    model_version : int
        0 where no version made the list, or over all versions.
    position : int
        From 1; 0 over all positions.
    users, shown, impressions, clicked, dismissed, liked : int
    click, dismiss, like : Interval or None
        Shares of `shown`; None with too few users.
    """

    source: str
    model_version: int
    position: int
    users: int
    shown: int
    impressions: int
    clicked: int
    dismissed: int
    liked: int
    click: Interval | None
    dismiss: Interval | None
    like: Interval | None


def feedback(
    database: Database, first: date, last: date, threshold: float, *, by_version: bool = True, by_position: bool = True
) -> list[Feedback]:
    """What came of the lists of some days, by source, and by version and position where asked for."""
    bounds = {"since": _start(first), "until": _start(last + timedelta(1)), "threshold": threshold}
    rows = database.rows(read_sql("feedback"), {**bounds, "by_version": by_version, "by_position": by_position})
    groups: dict[tuple[str, int, int], list[tuple[int, ...]]] = {}
    for source, version, position, *counts in rows:
        groups.setdefault((source, version, position), []).append(tuple(counts))
    return [_of_group(*group, np.array(counts, dtype=np.int64)) for group, counts in groups.items()]


def _of_group(source: str, version: int, position: int, counts: np.ndarray) -> Feedback:
    shown, impressions, clicked, dismissed, liked, people = counts.T
    click, dismiss, like = share_intervals(shown, [clicked, dismissed, liked], people)
    return Feedback(
        source,
        version,
        position,
        users=int(people.sum()),
        shown=int(shown @ people),
        impressions=int(impressions @ people),
        clicked=int(clicked @ people),
        dismissed=int(dismissed @ people),
        liked=int(liked @ people),
        click=click,
        dismiss=dismiss,
        like=like,
    )


def replace_day(database: Database, day: date, rows: Sequence[Feedback]) -> None:
    """Replace the figures of a day."""
    with database.transaction() as cursor:
        take_lock(cursor, TABLE)
        cursor.execute(f"DELETE FROM {SCHEMA}.{TABLE} WHERE day = %s", [day])
        for row in rows:
            ends = [end for each in (row.click, row.dismiss, row.like) for end in _ends(each)]
            cursor.execute(
                f"""INSERT INTO {SCHEMA}.{TABLE} (day, source, model_version, position, shown, users, impressions,
                        clicked, dismissed, liked,
                        click_low, click_high, dismiss_low, dismiss_high, like_low, like_high)
                    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
                [
                    *(day, row.source, row.model_version, row.position, row.shown, row.users, row.impressions),
                    *(row.clicked, row.dismissed, row.liked, *ends),
                ],
            )


def days_to_sum(database: Database, now: datetime) -> list[date]:
    """Days up to today whose figures may still change, or are missing; the earliest first."""
    settled = {
        day
        for (day,) in database.rows(
            f"""SELECT day FROM {SCHEMA}.{TABLE} GROUP BY day
                HAVING min(made_at) AT TIME ZONE 'UTC' >= day + interval '1 day' + %s""",
            [WEEK],
        )
    }
    return [day for day in days_of(database) if day <= now.astimezone(UTC).date() and day not in settled]


def drop_old(database: Database, days: int, threshold: float, now: datetime, log: Log) -> list[date]:
    """Drop the days of the log that are older than some days, after figures that are missing were made.

    Raises
    ------
    TableBusyError
        When readers hold a table for too long.
    """
    first_kept = now.astimezone(UTC).date() - timedelta(days)
    old = [day for day in days_of(database) if day < first_kept]
    for day in set(days_to_sum(database, now)) & set(old):
        replace_day(database, day, feedback(database, day, day, threshold))
    drop_days(database, old, log)
    return old


def _ends(interval: Interval | None) -> tuple[float | None, float | None]:
    return (None, None) if interval is None else (interval.low, interval.high)


def _start(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
