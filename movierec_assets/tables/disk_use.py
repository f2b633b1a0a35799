"""How much space the platform takes, and how much is left.

Belongs here: bytes of the state directory and of the databases. Does not: limits and alerts (`alerts.causes`).
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from movierec_assets.postgres.state import StateDirectory
from movierec_assets.settings import Settings
from movierec_assets.tables.database import Database


@dataclass(frozen=True)
class DiskUse:
    """Bytes.

    Attributes
    ----------
    free, total : int
        Of the file system of the state directory.
    state, databases : int
        That the state directory and the databases occupy.
    postgres_free : int or None
        Free bytes of the file system on which the embedded Postgres keeps its data; None for a server elsewhere, whose
        disk cannot be looked at from here.
    """

    free: int
    total: int
    state: int
    databases: int
    postgres_free: int | None


def disk_use(settings: Settings, database: Database) -> DiskUse:
    """Bytes now; reads the sizes of all files of the state directory."""
    usage = shutil.disk_usage(settings.state)
    databases = database.scalar(
        "SELECT coalesce(sum(pg_database_size(datname)), 0)::bigint FROM pg_database WHERE datname = ANY(%s)",
        [list(settings.databases.names)],
    )
    own = postgres_directory(settings)
    postgres_free = None if own is None else shutil.disk_usage(own).free
    return DiskUse(usage.free, usage.total, _size_of(settings.state), databases, postgres_free)


def postgres_directory(settings: Settings) -> Path | None:
    """Directory of the data of the embedded Postgres; None when another server is used, or before its first start."""
    if settings.database_url is not None:
        return None
    directory = StateDirectory(settings.state / "postgres").cluster.directory
    return directory if directory.exists() else None


def _size_of(directory: Path) -> int:
    """Bytes that a directory occupies; files that vanish or cannot be read count nothing."""
    found = 0
    for parent, _, files in os.walk(directory):
        for name in files:
            try:
                found += os.lstat(os.path.join(parent, name)).st_blocks * 512
            except OSError:
                continue
    return found
