"""The snapshot that a worker answers from; a newer one replaces it between two requests.

Belongs here: noticing and mapping a new snapshot. Does not: its form on the disk (`stored`).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Self

from movierec_assets.serving.online import stored
from movierec_assets.serving.online.snapshot import NOTHING, Snapshot
from movierec_assets.serving.online.stored import Reading

LOOK_SECONDS = 0.5
"""Between two looks at the pointer; a look is one call of the operating system."""

_log = logging.getLogger(__name__)


class CurrentSnapshot:
    """The latest snapshot that could be read.

    Parameters
    ----------
    prepare : callable, optional
        Called with each new snapshot, in a thread, before any request is answered from it.

    Attributes
    ----------
    snapshot : Snapshot
        Take it once for each request: the next look may replace it.
    found : bool
        Whether the keeper has ever written one.
    problem : str or None
        About files that could not be read, for people.
    """

    def __init__(self, prepare: Callable[[Snapshot], object] = lambda _: None) -> None:
        self.snapshot: Snapshot = NOTHING
        self._prepare = prepare
        self.found = False
        self.problem: str | None = None
        self._reading = stored.FIRST
        self._seen: tuple[int, int] | None = None

    @asynccontextmanager
    async def followed(self, directory: Path) -> AsyncIterator[Self]:
        """Replace `snapshot` whenever the keeper has written another one, until the end of the context.

        The first look happens before the context begins.

        Parameters
        ----------
        directory : Path
            Where the keeper writes snapshots; it need not exist yet.
        """
        await self.look(directory)
        task = asyncio.create_task(self._follow(directory))
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def look(self, directory: Path) -> bool:
        """Read the snapshot that the pointer names now, in a thread; False when it is the one that was read last."""
        seen = _identity(directory / stored.POINTER)
        if seen is None or seen == self._seen:
            return False
        reading = await asyncio.to_thread(self._read, directory)
        if reading is None:
            return False
        # A pointer whose parts are damaged, or were removed meanwhile, is read again at the next look.
        self._seen = None if reading.problem else seen
        self._take(reading)
        return True

    def _read(self, directory: Path) -> Reading | None:
        pointer = stored.read_pointer(directory)
        if pointer is None:
            return None
        reading = stored.read_snapshot(directory, pointer, self._reading)
        if reading.problem and stored.read_pointer(directory) == pointer:  # else the keeper has replaced it meanwhile
            with suppress(OSError):
                (directory / stored.UNREADABLE).touch()
        if reading.snapshot is not self.snapshot:
            self._prepare(reading.snapshot)
        return reading

    async def _follow(self, directory: Path) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look(directory)
            except Exception:  # noqa: BLE001 - a worker that stops looking would serve an old champion for ever
                _log.exception("The snapshot in %s could not be read; the one before it is still served.", directory)

    def _take(self, reading: Reading) -> None:
        if reading.problem and reading.problem != self.problem:
            _log.warning("%s The keeper writes it again.", reading.problem)
        self._reading, self.snapshot, self.problem, self.found = reading, reading.snapshot, reading.problem, True


def _identity(path: Path) -> tuple[int, int] | None:
    """What changes when a file is replaced; None without it."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
