"""How much was posted in the app, counted seldom where counting takes long.

Belongs here: keeping the counts of a worker. Does not: counting (`tables.app_ratings`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from threading import Lock
from typing import NamedTuple

from movierec_assets.tables.app_ratings import AppCounts, counts_of_app
from movierec_assets.tables.database import Database

SHARE = 20
"""Counts are kept for this many times as long as counting them took: with few ratings they are of now."""
MOST_SECONDS = 60.0
"""Counts are not kept for longer."""


class _Kept(NamedTuple):
    about: Hashable
    counts: AppCounts
    until: float


class AppCountsKept:
    """Counts of one database. Any thread may ask; while one counts again, the others have the counts from before.

    Parameters
    ----------
    clock : function
        Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._kept: _Kept | None = None

    def of(self, database: Database, about: Hashable) -> AppCounts:
        """The counts of now, or those that were counted a moment ago.

        Parameters
        ----------
        database : Database
        about : hashable
            Counts about something else, such as another dataset or day, are not used.
        """
        kept = self._kept
        if kept is None or kept.about != about:
            return self._counted(database, about)
        if self._clock() < kept.until or not self._lock.acquire(blocking=False):
            return kept.counts
        try:
            return self._counted(database, about)
        finally:
            self._lock.release()

    def _counted(self, database: Database, about: Hashable) -> AppCounts:
        began = self._clock()
        counts = counts_of_app(database)
        ended = self._clock()
        self._kept = _Kept(about, counts, ended + min(SHARE * (ended - began), MOST_SECONDS))
        return counts
