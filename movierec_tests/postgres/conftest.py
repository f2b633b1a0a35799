"""Embedded servers in every state that a test may find them in."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_tests.postgres.harness import AS_ROOT, Holder, open_directory


@pytest.fixture(scope="module")
def common_state() -> Iterator[Path]:
    with open_directory() as state:
        yield state
        EmbeddedPostgres(state).destroy(force=True)


@pytest.fixture
def server(common_state: Path) -> Iterator[EmbeddedPostgres]:
    """A server that may have run before and does not run now."""
    yield EmbeddedPostgres(common_state)
    EmbeddedPostgres(common_state).stop(force=True)


@pytest.fixture
def used(server: EmbeddedPostgres) -> EmbeddedPostgres:
    """A server that has run before and does not run now."""
    server.start()
    server.stop()
    return server


@pytest.fixture
def fresh_state() -> Iterator[Path]:
    with open_directory() as state:
        yield state
        EmbeddedPostgres(state).destroy(force=True)


@pytest.fixture
def private_state() -> Iterator[Path]:
    """A state directory as under /root or in the directory that mktemp makes."""
    with tempfile.TemporaryDirectory(prefix="privé ") as directory:
        state = Path(directory) / "state"
        yield state
        EmbeddedPostgres(state).destroy(force=True)


@pytest.fixture
def hold() -> Iterator[Callable[..., Holder]]:
    holders: list[Holder] = []

    def start(state: Path, *child: str) -> Holder:
        holders.append(Holder(state, *child))
        return holders[-1]

    yield start
    for holder in holders:
        holder.kill()


@pytest.fixture
def bystander(used: EmbeddedPostgres) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the server's own account: one that Postgres takes for a server, and can signal."""
    account = used.status().data_dir.stat().st_uid if AS_ROOT else None
    with subprocess.Popen(["sleep", "100000"], user=account) as process:
        yield process
        process.kill()
