"""Where the loaded dataset came from.

Belongs here: its name and place, as recorded with the load. Does not: reading the record (`tables.known_datasets`), and
whether the files are still there (`keep`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from movierec_assets.datasets.generated import DEMO_NAME


@dataclass(frozen=True)
class LoadedFrom:
    """The name of the loaded dataset, and the place that it was loaded from, perhaps on another machine."""

    name: str
    source: Path

    @property
    def is_demo(self) -> bool:
        """Whether it is the demo set, which this platform makes by itself."""
        return self.source.name == DEMO_NAME and self.source.parent.name == "datasets"
