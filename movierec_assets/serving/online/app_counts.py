"""How much was posted in the app, counted seldom where counting takes long.

Belongs here: keeping the counts of a worker. Does not: counting (`tables.app_ratings`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from movierec_assets.tables.app_ratings import AppCounts, counts_of_app
from movierec_assets.tables.database import Database

SHARE = 20
"""Counts are kept for this many times as long as counting them took: with few ratings they are of now."""


class AppCountsKept:
    """Counts of one database. Any thread may ask; one counts at a time, and the others wait for its answer.

    Parameters
    ----------
    clock : function
        Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._kept: AppCounts | None = None
        self._until = 0.0

    def of(self, database: Database) -> AppCounts:
        """The counts of now, or those that were counted a moment ago."""
        with self._lock:
            began = self._clock()
            if self._kept is None or began >= self._until:
                self._kept = counts_of_app(database)
                ended = self._clock()
                self._until = ended + SHARE * (ended - began)
            return self._kept
