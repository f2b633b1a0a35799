"""Where the loaded dataset came from.

Belongs here: its name and place, as recorded with the load. Does not: reading the record (`tables.known_datasets`), and
whether the files are still there (`keep`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from movierec_assets.datasets.generated import DEMO_NAME
from movierec_assets.datasets.identity import Contents


@dataclass(frozen=True)
class LoadedFrom:
    """The loaded dataset, as it was recorded.

    Attributes
    ----------
    name : str
    source : Path
        Place that it was loaded from, perhaps on another machine.
    bytes : int or None
        Size of the file of ratings; None when it was not recorded.
    version : str
        Changes with each load.
    contents : callable or None
        Reads what is known of its content; None when nothing is.
    """

    name: str
    source: Path
    bytes: int | None = None
    version: str = ""
    contents: Callable[[], Contents | None] | None = field(default=None, compare=False)

    @property
    def is_demo(self) -> bool:
        """Whether it is the demo set, which this platform makes by itself."""
        return self.source.name == DEMO_NAME and self.source.parent.name == "datasets"
