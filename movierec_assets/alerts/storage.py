"""The tables `alerts` and `alert_deliveries`: which causes are open, and what is to be told about them.

Belongs here: one alert for each cause, from first sight to its end, and the deliveries of each channel. Does not: what
is wrong (`causes`), sending (`delivery`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.alerts.causes import Cause
from movierec_assets.tables.advisory_locks import take_lock
from movierec_assets.tables.database import SCHEMA, Database

FAILING_ATTEMPTS = 3
"""A channel that failed this often in a row does not work."""
KEPT = timedelta(days=90)
"""Time for which alerts that are over are kept."""

COLUMNS = "alert_id, cause, kind, title, reason, remedy, run_id, step, since, told_at, over_at"
"""Columns of the table, in the order of the fields of `Alert`."""


@dataclass(frozen=True)
class Alert:
    """A row of the table `alerts`.

    Attributes
    ----------
    alert_id : int
    cause, kind, title, reason, remedy : str
    run_id, step : str or None
    since : datetime
        When the cause was seen first.
    told_at : datetime or None
        When it was to be told; None while it may pass by itself.
    over_at : datetime or None
    """

    alert_id: int
    cause: str
    kind: str
    title: str
    reason: str
    remedy: str
    run_id: str | None
    step: str | None
    since: datetime
    told_at: datetime | None
    over_at: datetime | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in vars(self).items()}


@dataclass(frozen=True)
class Change:
    """What an update changed: the keys of causes that were told, and of those that are over."""

    told: tuple[str, ...] = ()
    over: tuple[str, ...] = ()


def update(
    database: Database,
    causes: Sequence[Cause],
    channels: Collection[str],
    now: datetime,
    unknown: Collection[str] = (),
    *,
    watched: bool = True,
) -> Change:
    """Compare the causes of now with the open alerts, and note what each channel has to tell.

    Parameters
    ----------
    database : Database
    causes : sequence of Cause
        All causes of now; an open alert whose cause is missing is over.
    channels : collection of str
        Channels that are set up. What others did not tell is dropped.
    now : datetime
    unknown : collection of str
        Kinds of which nothing is known now: their alerts stay open.
    watched : bool
        False when nobody has looked for a while, as when the machine slept: patience with what is not told begins anew.
    """
    with database.transaction() as cursor:
        take_lock(cursor, "alerts")
        cursor.execute(
            f"UPDATE {SCHEMA}.alert_deliveries SET due = NULL WHERE due IS NOT NULL AND NOT channel = ANY(%s)",
            [list(channels)],
        )
        if not watched:
            cursor.execute(f"UPDATE {SCHEMA}.alerts SET since = %s WHERE over_at IS NULL AND told_at IS NULL", [now])
        known = {alert.cause: alert for alert in _open(cursor)}
        told = [cause.key for cause in causes if _see(cursor, cause, known.get(cause.key), channels, now)]
        present = {cause.key for cause in causes}
        gone = [alert for alert in known.values() if alert.cause not in present and alert.kind not in unknown]
        for alert in gone:
            _end(cursor, alert, now)
        cursor.execute(f"DELETE FROM {SCHEMA}.alerts WHERE over_at < %s", [now - KEPT])
        return Change(tuple(told), tuple(alert.cause for alert in gone if alert.told_at))


def _see(cursor: Cursor, cause: Cause, known: Alert | None, channels: Collection[str], now: datetime) -> bool:
    """Write a cause that is there; returns whether it is to be told from now on."""
    values = [cause.title, cause.reason, cause.remedy, cause.run_id, cause.step]
    lasted = now - known.since if known else timedelta(0)
    # A negative time means that the clock was set back: nobody knows how long the cause has lasted.
    told = (known is None or known.told_at is None) and (lasted >= cause.patience or lasted < timedelta(0))
    told_at = now if told else (known.told_at if known else None)
    if known is None:
        cursor.execute(
            f"""INSERT INTO {SCHEMA}.alerts (cause, kind, since, title, reason, remedy, run_id, step, told_at)
                VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING alert_id""",
            [cause.key, cause.kind, now, *values, told_at],
        )
    else:
        cursor.execute(
            f"""UPDATE {SCHEMA}.alerts SET title = %s, reason = %s, remedy = %s, run_id = %s, step = %s, told_at = %s
                WHERE alert_id = %s RETURNING alert_id""",
            [*values, told_at, known.alert_id],
        )
    (row,) = cursor.fetchall()
    if told:
        for channel in channels:
            if channel != cause.silent_on:
                cursor.execute(
                    f"""INSERT INTO {SCHEMA}.alert_deliveries (alert_id, channel, due, due_since, next_try_at)
                        VALUES (%s, %s, 'open', %s, %s)""",
                    [row[0], channel, now, now],
                )
    return told


def _end(cursor: Cursor, alert: Alert, now: datetime) -> None:
    """End an alert: forget one that was not told; else each channel that told it, or still has to, tells the end."""
    if alert.told_at is None:
        cursor.execute(f"DELETE FROM {SCHEMA}.alerts WHERE alert_id = %s", [alert.alert_id])
        return
    cursor.execute(f"UPDATE {SCHEMA}.alerts SET over_at = %s WHERE alert_id = %s", [now, alert.alert_id])
    # A channel that has not told the beginning tells both in one message, when its next try is due.
    cursor.execute(
        f"""UPDATE {SCHEMA}.alert_deliveries
            SET next_try_at = CASE WHEN due IS NULL THEN %(now)s ELSE next_try_at END,
                due_since = CASE WHEN due IS NULL THEN %(now)s ELSE due_since END, due = 'over'
            WHERE alert_id = %(alert)s AND (due = 'open' OR told = 'open')""",
        {"now": now, "alert": alert.alert_id},
    )


def open_alerts(database: Database) -> list[Alert]:
    """Alerts that are not over, the newest first; those that may pass by themselves as well."""
    with database.transaction() as cursor:
        return _open(cursor)


def _open(cursor: Cursor) -> list[Alert]:
    cursor.execute(f"SELECT {COLUMNS} FROM {SCHEMA}.alerts WHERE over_at IS NULL ORDER BY alert_id DESC")
    return [Alert(*row) for row in cursor.fetchall()]


def told_alerts(database: Database, newest: int | None = None) -> list[Alert]:
    """Alerts that were told, over or not, the newest first."""
    query = f"SELECT {COLUMNS} FROM {SCHEMA}.alerts WHERE told_at IS NOT NULL ORDER BY alert_id DESC LIMIT %s"
    return [Alert(*row) for row in database.rows(query, [newest])]


def not_delivered(database: Database) -> dict[int, dict[str, str]]:
    """By alert: channels that did not tell it as it is, with the error of the latest try; empty text before a try."""
    found: dict[int, dict[str, str]] = {}
    rows = database.rows(
        f"""SELECT alert_id, channel, coalesce(error, '') FROM {SCHEMA}.alert_deliveries
            WHERE due IS NOT NULL OR error IS NOT NULL"""
    )
    for alert_id, channel, error in rows:
        found.setdefault(alert_id, {})[channel] = error
    return found


def due_channels(database: Database) -> set[str]:
    """Channels that still have something to tell."""
    return {name for (name,) in database.rows(f"SELECT channel FROM {SCHEMA}.alert_deliveries WHERE due IS NOT NULL")}


def failing_channels(database: Database, channels: Collection[str]) -> dict[str, str]:
    """Channels that failed FAILING_ATTEMPTS times since they told something, with the error of the latest try."""
    return dict(
        database.rows(
            f"""SELECT DISTINCT ON (channel) channel, error FROM {SCHEMA}.alert_deliveries tried
                WHERE attempts >= %s AND error IS NOT NULL AND channel = ANY(%s) AND tried_at > coalesce(
                    (SELECT max(sent_at) FROM {SCHEMA}.alert_deliveries sent WHERE sent.channel = tried.channel),
                    '-infinity')
                ORDER BY channel, tried_at DESC""",
            [FAILING_ATTEMPTS, list(channels)],
        )
    )
