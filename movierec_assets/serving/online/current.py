"""The snapshot that a worker answers from; a newer one replaces it between two requests.

Belongs here: noticing and mapping a new snapshot. Does not: its form on the disk (`snapshot`).
"""

from __future__ import annotations

from movierec_assets.serving.online.snapshot import NOTHING, Snapshot


class CurrentSnapshot:
    """The latest snapshot that could be read."""

    def __init__(self) -> None:
        self.snapshot: Snapshot = NOTHING
