"""Sending what is due, with retries, beside runs and sensors.

Belongs here: which message a channel tells next, when it tries again, and the thread that sends. Does not: one request
or mail (`webhook`, `mail`).

A message is marked as told after the receiver took it. When the process is killed in between, it is told again.

A try is unsure when the message may have arrived. The first unsure try marks the message as told and leaves it due; its
day of tries begins anew. The second one is followed by the longest pause, and the first one that is UNSURE later than
the first ends the tries. So a receiver that never answers gets a message three times at most, and one that is out for
less than UNSURE misses none.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.alerts.channel import Channel, DeliveryError
from movierec_assets.alerts.messages import State, message_of
from movierec_assets.alerts.storage import COLUMNS, Alert
from movierec_assets.tables.advisory_locks import release_locks, take_lock
from movierec_assets.tables.database import SCHEMA, Database

PAUSE, MAX_PAUSE = timedelta(minutes=1), timedelta(hours=1)
"""Wait after the first failure, which doubles with each further one, and the longest wait."""
GIVE_UP = timedelta(hours=24)
"""A message that did not arrive for this long is given up."""
UNSURE = MAX_PAUSE
"""A message that may have arrived this long ago, and may have arrived again, counts as told."""

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
            for due in _due(cursor, channel, clock):
                try:
                    channel.send(message_of(due.alert, due.state, pages))
                except DeliveryError as error:
                    _note_failure(cursor, channel, due, error, clock())
                else:
                    _note_success(cursor, channel, due, clock())
                    told += 1
            release_locks(cursor)
    return told


@dataclass(frozen=True)
class _Due:
    """A message that is due.

    Attributes
    ----------
    alert : Alert
    state : State
    may_be_told : bool
        Whether an earlier try was unsure.
    since : datetime
        Of the first unsure try, else since when it is due.
    attempts : int
        Failures in a row.
    """

    alert: Alert
    state: State
    may_be_told: bool
    since: datetime
    attempts: int


def _due(cursor: Cursor, channel: Channel, clock: Callable[[], datetime]) -> Iterator[_Due]:
    """What is due on a channel, one after another; each is read when the one before was tried."""
    tried: list[int] = []
    while True:
        # A time far in the future was set before the clock was set back.
        cursor.execute(
            f"""SELECT due, told IS NOT DISTINCT FROM due, due_since, attempts, {COLUMNS}
                FROM {SCHEMA}.alert_deliveries JOIN {SCHEMA}.alerts USING (alert_id)
                WHERE due IS NOT NULL AND channel = %s AND alert_id <> ALL(%s)
                  AND (next_try_at <= %s OR next_try_at > %s)
                ORDER BY next_try_at, alert_id LIMIT 1""",
            [channel.name, tried, clock(), clock() + MAX_PAUSE],
        )
        row = cursor.fetchone()
        if row is None:
            return
        state, may_be_told, since, attempts, *fields = row
        alert = Alert(*fields)
        tried.append(alert.alert_id)
        yield _Due(alert, state, may_be_told, since, attempts)


def _note_success(cursor: Cursor, channel: Channel, due: _Due, now: datetime) -> None:
    # An alert may have ended while its beginning was told; then its end stays due.
    cursor.execute(
        f"""UPDATE {SCHEMA}.alert_deliveries
            SET told = %(state)s, sent_at = %(now)s, tried_at = %(now)s, attempts = 0, error = NULL,
                due = CASE WHEN due = %(state)s THEN NULL ELSE due END
            WHERE alert_id = %(alert)s AND channel = %(channel)s""",
        {"state": due.state, "now": now, "alert": due.alert.alert_id, "channel": channel.name},
    )


def _note_failure(cursor: Cursor, channel: Channel, due: _Due, error: DeliveryError, now: datetime) -> None:
    attempts, unsure = due.attempts + 1, error.may_have_arrived
    # A clock that was set back far ends the tries as well.
    counts_as_told = unsure and due.may_be_told and abs(now - due.since) >= UNSURE
    pause = MAX_PAUSE if unsure and due.may_be_told else pause_after(attempts, error.retry_after)
    _log.info("Alert %s by %s, try %s: %s", due.alert.alert_id, channel.name, attempts, error)
    cursor.execute(
        f"""UPDATE {SCHEMA}.alert_deliveries
            SET attempts = %(attempts)s, tried_at = %(now)s, error = %(error)s, next_try_at = %(next)s,
                told = CASE WHEN %(unsure)s THEN %(state)s ELSE told END,
                due_since = CASE WHEN %(first_unsure)s THEN %(now)s ELSE due_since END,
                due = CASE WHEN %(given_up)s OR %(told)s AND due = %(state)s THEN NULL ELSE due END
            WHERE alert_id = %(alert)s AND channel = %(channel)s""",
        {
            "attempts": attempts,
            "now": now,
            "error": str(error),
            "next": now + pause,
            "unsure": unsure,
            "first_unsure": unsure and not due.may_be_told,
            "told": counts_as_told,
            "state": due.state,
            "given_up": now - due.since >= GIVE_UP,
            "alert": due.alert.alert_id,
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
