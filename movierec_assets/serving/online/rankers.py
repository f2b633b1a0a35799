"""The ranker of the current snapshot.

Belongs here: which rankers are kept. Does not: ranking (`ranker`), and noticing a new snapshot (`current`).
"""

from __future__ import annotations

from movierec_assets.serving.online.ranker import Ranker
from movierec_assets.serving.online.snapshot import Snapshot


class Rankers:
    """Rankers of the latest two snapshots: one is made while requests are still answered from the other."""

    def __init__(self) -> None:
        self._made: tuple[Ranker, ...] = ()

    def prepare(self, snapshot: Snapshot) -> Ranker:
        """Make the ranker of a snapshot that will be current soon; may take half a second."""
        before = self._made[0] if self._made else None
        made = Ranker(snapshot, before)
        self._made = (made, *self._made[:1])
        return made

    def of(self, snapshot: Snapshot) -> Ranker:
        """The ranker of a snapshot, at once when it is prepared."""
        made = self._made
        if made and made[0].snapshot is snapshot:
            if len(made) > 1:
                self._made = made[:1]  # the one before is not asked any more, and keeps files mapped
            return made[0]
        for ranker in made:
            if ranker.snapshot is snapshot:
                return ranker
        return self.prepare(snapshot)
