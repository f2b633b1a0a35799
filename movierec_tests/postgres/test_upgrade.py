"""Data of an earlier major version of Postgres: the server brings it to the version of its programs."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from movierec_assets.postgres import binaries, upgrade
from movierec_assets.postgres.binaries import EmbeddedPostgresError
from movierec_assets.postgres.cluster import Cluster
from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_tests.postgres.harness import INSTALLATIONS, Holder, query

NEWEST = INSTALLATIONS[0]
EARLIER = next((each for each in INSTALLATIONS if int(each.major) < int(NEWEST.major)), None)

pytestmark = pytest.mark.skipif(EARLIER is None, reason="only one major version of Postgres is installed")


@pytest.fixture
def earlier_state(fresh_state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory that the earlier version made, with two rows in a database."""
    assert EARLIER is not None
    with monkeypatch.context() as patched:
        patched.setattr(binaries, "installed_binaries", lambda *_: iter([EARLIER.binaries]))
        server = EmbeddedPostgres(fresh_state)
        url = server.start()
        query(url, "CREATE TABLE films (title text NOT NULL); INSERT INTO films VALUES ('Amélie'), ('Heat')")
        server.stop()
    assert cluster_of(fresh_state).major == EARLIER.major
    return fresh_state


def cluster_of(state: Path) -> Cluster:
    return Cluster(EmbeddedPostgres(state).status().data_dir.parent)


def titles(state: Path) -> str:
    with EmbeddedPostgres(state).lease() as url:
        (found,) = query(url, "SELECT string_agg(title, ' ' ORDER BY title) FROM films")
        query(url, "SELECT txid_current()")  # writing is allowed
        return str(found)


def test_the_data_is_brought_to_the_new_version_and_the_former_is_kept(
    earlier_state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert EARLIER is not None
    assert titles(earlier_state) == "Amélie Heat"
    cluster = cluster_of(earlier_state)
    assert cluster.major == NEWEST.major
    kept = cluster.directory / f"data-{EARLIER.major}"
    assert (kept / "PG_VERSION").read_text().strip() == EARLIER.major
    assert str(kept) in caplog.text
    assert not cluster.successor.directory.exists()
    assert titles(earlier_state) == "Amélie Heat", "a second start upgrades nothing"


def test_an_upgrade_that_fails_leaves_the_data_in_use(
    earlier_state: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert EARLIER is not None
    monkeypatch.setattr(upgrade, "_SPACE_FACTOR", 1e12)
    assert titles(earlier_state) == "Amélie Heat"
    assert cluster_of(earlier_state).major == EARLIER.major
    assert "MB are free. The next start tries again" in caplog.text
    monkeypatch.undo()

    def breaks(*_: object) -> None:
        raise EmbeddedPostgresError("the copy differs")

    EmbeddedPostgres(earlier_state).stop(force=True)
    monkeypatch.setattr(upgrade, "_copy_database", breaks)
    assert titles(earlier_state) == "Amélie Heat"
    assert cluster_of(earlier_state).major == EARLIER.major
    assert "stays on Postgres" in caplog.text


@pytest.mark.parametrize("moment", ["during the copy", "when the copy is complete", "between both renames"])
def test_a_killed_upgrade_is_made_up_for(
    moment: str, earlier_state: Path, hold: Callable[..., Holder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is killed at the moment; another one starts the server."""

    def die(*_: object) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    def rename(path: Path, place: Path) -> None:
        os.rename(path, place)
        if "data-" in place.name:
            die()

    child = os.fork()
    if child == 0:
        if moment == "during the copy":
            monkeypatch.setattr(upgrade, "_copy_database", die)
        elif moment == "when the copy is complete":
            monkeypatch.setattr(upgrade, "_free_place", die)
        else:
            monkeypatch.setattr(Path, "rename", rename)
        EmbeddedPostgres(earlier_state).start()
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert titles(earlier_state) == "Amélie Heat"
    assert not cluster_of(earlier_state).successor.directory.exists()
