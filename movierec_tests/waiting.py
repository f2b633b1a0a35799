"""Waiting for events that must happen, however busy the machine is.

Belongs here: deadlines. They only end a test that would hang; no test asserts a duration.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from movierec_assets.tables.database import Database

PATIENCE = 300.0
"""Seconds; far longer than any event takes on a busy machine."""

_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def wait_until(condition: Callable[[], bool], event: str = "the event") -> None:
    """Return as soon as a condition holds.

    The longer it takes, the more seldom it looks: each look may be a connection or a request, and they would slow down
    what is waited for.
    """
    started = time.monotonic()
    while not condition():
        waited = time.monotonic() - started
        assert waited < PATIENCE, f"{event} did not happen in {PATIENCE:g} s"
        time.sleep(min(0.02 + waited / 20, 0.5))


def until_somebody_waits(database: Database) -> None:
    """Return as soon as a session of a database waits for a lock."""
    wait_until(lambda: bool(database.scalar(_WAITING)), "a session waiting for a lock")
