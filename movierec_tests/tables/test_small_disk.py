"""An embedded Postgres on a disk that is really full: nothing is lost, and with space again it works on."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psycopg2
import pytest

from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_assets.settings import Settings
from movierec_assets.tables.database import Database, DatabaseFullError, DatabaseUnavailableError
from movierec_assets.tables.disk_use import disk_use, postgres_directory
from movierec_assets.tables.migrations import migrate
from movierec_assets.tables.served import POPULAR_MOVIES

DISK, BALLAST = "256m", 96 << 20
"""Size of the disk, and bytes of a file that is removed to free space."""
TOO_MANY = 3_000_000
"""Rows that take more than the disk has."""


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """A file system of DISK, mounted at a directory."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "tmpfs", str(directory)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("a small file system can be mounted by root only, outside of most containers")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


@pytest.fixture
def state() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        disk = Path(directory) / "disk"
        disk.mkdir()
        with small_disk(disk):
            yield disk
            EmbeddedPostgres(disk).destroy(force=True)


def fill(database: Database, version: int, count: int) -> None:
    """Replace the popular movies by rows of a version."""
    columns = {
        "rank": np.arange(1, count + 1),
        "movie_id": np.arange(1, count + 1),
        "score": np.ones(count),
        "model_version": np.full(count, version),
    }
    with database.replace(POPULAR_MOVIES.name) as table:
        table.write(columns, POPULAR_MOVIES.kinds)


def versions(database: Database) -> list[tuple[int, int]]:
    return [
        (int(version), int(count))
        for version, count in database.rows(
            "SELECT model_version, count(*) FROM movierec.popular_movies GROUP BY model_version"
        )
    ]


@pytest.mark.slow  # a server of its own, whose disk is filled
def test_a_full_disk_of_postgres_loses_nothing_and_with_space_again_the_work_goes_on(state: Path) -> None:
    server = EmbeddedPostgres(state)
    database = Database(server.start())
    migrate(database)
    fill(database, 1, 1000)
    ballast = state / "ballast"
    with ballast.open("wb") as file:
        file.write(b"\1" * BALLAST)

    # A table that cannot grow is an error; a write-ahead log that cannot grow ends the server.
    with pytest.raises((DatabaseFullError, DatabaseUnavailableError, psycopg2.OperationalError)):
        fill(database, 2, TOO_MANY)
    ballast.unlink()
    database = Database(server.start())
    assert versions(database) == [(1, 1000)]
    settings = Settings(state_dir=state, embedded_database_url=database.url)
    directory = postgres_directory(settings)
    assert directory is not None
    assert directory.is_relative_to(state)
    free = disk_use(settings, database).postgres_free
    assert free is not None
    assert free > BALLAST // 2, "what the broken load wrote is gone"
    fill(database, 3, 1000)
    assert versions(database) == [(3, 1000)]
