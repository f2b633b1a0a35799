"""The directory of scheduled backups: names, a list, and which ones are dropped.

Belongs here: files that the job `backup` wrote, known by their names. Does not: their content.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_NAME = re.compile(r"movierec-(\d{8}-\d{6})(?:-\d+)?\.zip")
_TIME = "%Y%m%d-%H%M%S"


@dataclass(frozen=True)
class KeptBackup:
    """A scheduled backup.

    Attributes
    ----------
    path : Path
    made_at : datetime
        As its name says, in UTC.
    bytes : int
    """

    path: Path
    made_at: datetime
    bytes: int


def new_path(directory: Path, now: datetime) -> Path:
    """A file name that is not taken, for a backup at a moment."""
    stem = f"movierec-{now.astimezone(UTC):{_TIME}}"
    numbers = ["", *(f"-{number}" for number in range(2, 1000))]
    return next(path for number in numbers if not (path := directory / f"{stem}{number}.zip").exists())


def backups_in(directory: Path) -> list[KeptBackup]:
    """Scheduled backups in a directory, the newest first; none where the directory does not exist."""
    found = []
    for path in directory.glob("movierec-*.zip"):
        if match := _NAME.fullmatch(path.name):
            with suppress(ValueError, FileNotFoundError):
                made_at = datetime.strptime(match[1], _TIME).replace(tzinfo=UTC)
                found.append(KeptBackup(path, made_at, path.stat().st_size))
    return sorted(found, key=lambda backup: (backup.made_at, backup.path.name), reverse=True)


@dataclass(frozen=True)
class BackupState:
    """The newest scheduled backup: its file, time and bytes, and how many are kept."""

    file: Path
    made: datetime
    size: int
    kept: int


def backup_state(directory: Path) -> BackupState | None:
    """The newest scheduled backup of a directory; None without one."""
    found = backups_in(directory)
    return BackupState(found[0].path, found[0].made_at, found[0].bytes, len(found)) if found else None


def latest_backup(directory: Path) -> KeptBackup | None:
    """The newest scheduled backup; None without one."""
    return next(iter(backups_in(directory)), None)


def expired(backups: Sequence[KeptBackup], kept: int, new: Path) -> list[KeptBackup]:
    """Backups to drop after a new one was made, so that `kept` are left.

    The new one stays even where the clock was set back, and its name is the oldest.
    """
    others = [backup for backup in backups if backup.path != new]
    return sorted(others, key=lambda backup: (backup.made_at, backup.path.name), reverse=True)[max(kept - 1, 0) :]


def drop_expired(directory: Path, kept: int, new: Path) -> list[KeptBackup]:
    """Remove the files of expired backups; returns them."""
    dropped = expired(backups_in(directory), kept, new)
    for backup in dropped:
        backup.path.unlink(missing_ok=True)
    return dropped
