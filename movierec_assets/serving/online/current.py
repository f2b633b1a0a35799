"""The snapshot that a worker answers from; a newer one replaces it between two requests.

Belongs here: noticing and mapping a new snapshot. Does not: its form on the disk (`stored`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from movierec_assets.serving.online.snapshot import NOTHING, Snapshot


class CurrentSnapshot:
    """The latest snapshot that could be read."""

    def __init__(self) -> None:
        self.snapshot: Snapshot = NOTHING

    @asynccontextmanager
    async def followed(self, directory: Path) -> AsyncIterator[Self]:
        """Replace `snapshot` whenever the keeper has written another one, until the end of the context.

        Parameters
        ----------
        directory : Path
            Where the keeper writes snapshots; it need not exist yet.
        """
        yield self
