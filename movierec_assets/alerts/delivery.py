"""Sending what is due, with retries, beside runs and sensors.

Belongs here: which message a channel tells next, when it tries again, and the thread that sends. Does not: one request
or mail (`webhook`, `mail`).

A message is marked as told after the receiver took it. When the process is killed in between, it is told again. A
receiver that takes messages and does not answer gets each FAILING_ATTEMPTS times at most.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.alerts.channel import Channel, DeliveryError
from movierec_assets.alerts.messages import State, message_of
from movierec_assets.alerts.storage import COLUMNS, FAILING_ATTEMPTS, Alert
from movierec_assets.tables.advisory_locks import release_locks, take_lock
from movierec_assets.tables.database import SCHEMA, Database

PAUSE, MAX_PAUSE = timedelta(minutes=1), timedelta(hours=1)
"""Wait after the first failure, which doubles with each further one, and the longest wait."""
GIVE_UP = timedelta(hours=24)
"""A message that did not arrive for this long is given up."""

_log = logging.getLogger(__name__)
_threads: dict[str, threading.Thread] = {}


def _now() -> datetime:
    return datetime.now(UTC)


def pause_after(attempts: int, asked: timedelta | None = None) -> timedelta:
    """Wait after this many failures in a row: the longer one of our own and the one that the receiver asked for."""
    own: timedelta = PAUSE * 2 ** min(attempts - 1, 10)
    return min(max(own, asked or timedelta(0)), MAX_PAUSE)


def deliver(database: Database, channel: Channel, pages: str, clock: Callable[[], datetime] = _now) -> int:
    """Tell on a channel what is due; returns the number of messages that were told.

    One process at a time tells on a channel; another one returns at once.

    Parameters
    ----------
    database : Database
    channel : Channel
    pages : str
        Address of Dagster's pages.
    clock : callable
    """
    told = 0
    with database.connect() as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            if not take_lock(cursor, f"alerts.{channel.name}", until="session ends", wait=False):
                return 0
            for alert, state, attempts, due_since in _due(cursor, channel, clock):
                try:
                    channel.send(message_of(alert, state, pages))
                except DeliveryError as error:
                    _note_failure(cursor, channel, alert, state, attempts + 1, due_since, error, clock())
                else:
                    _note_success(cursor, channel, alert, state, clock())
                    told += 1
            release_locks(cursor)
    return told


def _due(
    cursor: Cursor, channel: Channel, clock: Callable[[], datetime]
) -> Iterator[tuple[Alert, State, int, datetime]]:
    """What is due on a channel, one after another; each is read when the one before was tried."""
    tried: list[int] = []
    while True:
        # A time far in the future was set before the clock was set back.
        cursor.execute(
            f"""SELECT due, attempts, due_since, {COLUMNS}
                FROM {SCHEMA}.alert_deliveries JOIN {SCHEMA}.alerts USING (alert_id)
                WHERE due IS NOT NULL AND channel = %s AND alert_id <> ALL(%s)
                  AND (next_try_at <= %s OR next_try_at > %s)
                ORDER BY next_try_at, alert_id LIMIT 1""",
            [channel.name, tried, clock(), clock() + MAX_PAUSE],
        )
        row = cursor.fetchone()
        if row is None:
            return
        state, attempts, due_since, *fields = row
        alert = Alert(*fields)
        tried.append(alert.alert_id)
        yield alert, state, attempts, due_since


def _note_success(cursor: Cursor, channel: Channel, alert: Alert, state: State, now: datetime) -> None:
    # An alert may have ended while its beginning was told; then its end stays due.
    cursor.execute(
        f"""UPDATE {SCHEMA}.alert_deliveries
            SET told = %(state)s, sent_at = %(now)s, tried_at = %(now)s, attempts = 0, error = NULL,
                due = CASE WHEN due = %(state)s THEN NULL ELSE due END
            WHERE alert_id = %(alert)s AND channel = %(channel)s""",
        {"state": state, "now": now, "alert": alert.alert_id, "channel": channel.name},
    )


def _note_failure(
    cursor: Cursor,
    channel: Channel,
    alert: Alert,
    state: State,
    attempts: int,
    due_since: datetime,
    error: DeliveryError,
    now: datetime,
) -> None:
    given_up = now - due_since >= GIVE_UP
    # A receiver that never answers may have it this often; then its end is told as well.
    counts_as_told = error.may_have_arrived and attempts >= FAILING_ATTEMPTS
    _log.info("Alert %s by %s, try %s: %s", alert.alert_id, channel.name, attempts, error)
    cursor.execute(
        f"""UPDATE {SCHEMA}.alert_deliveries
            SET attempts = %(attempts)s, tried_at = %(now)s, error = %(error)s, next_try_at = %(next)s,
                told = CASE WHEN %(told)s THEN %(state)s ELSE told END,
                due = CASE WHEN %(given_up)s OR %(told)s AND due = %(state)s THEN NULL ELSE due END
            WHERE alert_id = %(alert)s AND channel = %(channel)s""",
        {
            "attempts": attempts,
            "now": now,
            "error": str(error),
            "next": now + pause_after(attempts, error.retry_after),
            "told": counts_as_told,
            "state": state,
            "given_up": given_up,
            "alert": alert.alert_id,
            "channel": channel.name,
        },
    )


def deliver_beside(database: Database, channels: Sequence[Channel], pages: str) -> None:
    """Tell what is due in a thread for each channel, so that a slow receiver delays nobody; returns at once."""
    for channel in channels:
        running = _threads.get(channel.name)
        if running is None or not running.is_alive():
            thread = threading.Thread(
                target=_deliver_quietly, args=(database, channel, pages), name=f"alerts-{channel.name}", daemon=True
            )
            _threads[channel.name] = thread
            thread.start()


def _deliver_quietly(database: Database, channel: Channel, pages: str) -> None:
    try:
        deliver(database, channel, pages)
    except Exception:  # noqa: BLE001 -- of a thread: nobody else reports it
        _log.exception("Alerts by %s were not told; they are tried again", channel.name)
