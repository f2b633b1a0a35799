"""The registry as the API shows it, written by the keeper so that workers need no MLflow.

Belongs here: the contents of the file `registry.json`, and reading and writing it. Does not: when it is written
(`keeper`), and changes of the champion (`models.decisions`).
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from movierec_assets.settings import Settings

if TYPE_CHECKING:
    from movierec_assets.models.version_details import KnownVersions

NEWEST = 50
"""Versions in the file, beside those that carry an alias."""


@dataclass(frozen=True)
class RegistryView:
    """Versions, decisions and holds at one moment.

    Attributes
    ----------
    at : float
        Unix seconds.
    champion : int or None
        Version that carries the alias.
    no_champion : str or None
        Why there is none; None when there is one.
    versions : list of dict
        As `VersionDetails.as_dict` gives them, newest first.
    """

    at: float
    champion: int | None
    no_champion: str | None
    versions: list[dict[str, Any]]

    @classmethod
    def of(cls, known: KnownVersions, at: float) -> Self:
        """The registry now.

        Raises
        ------
        RegistryUnavailableError, DatabaseUnavailableError
        """
        versions = [each.as_dict() for each in known.newest_details(NEWEST)]
        champion = next((each["version"] for each in versions if "champion" in each["aliases"]), None)
        loss = known.promotions.loss() if champion is None else None
        why = None if champion is not None else str(loss or "No version was promoted yet.")
        return cls(at, champion, why, versions)

    @classmethod
    def read(cls, settings: Settings) -> Self | None:
        """The file of the keeper; None before its first one."""
        try:
            return cls(**json.loads(file_of(settings).read_bytes()))
        except FileNotFoundError:
            return None

    def write(self, settings: Settings) -> None:
        """Replace the file; a reader sees the old one or the new one."""
        file = file_of(settings)
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(asdict(self)), encoding="utf-8")
        fresh.replace(file)


def file_of(settings: Settings) -> Path:
    """Where the keeper writes the view."""
    return settings.state / "serving" / "registry.json"
