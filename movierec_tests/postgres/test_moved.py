"""Embedded servers whose directory was moved or copied, with the server running or not."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from movierec_assets.postgres.server import EmbeddedPostgres, EmbeddedPostgresError
from movierec_tests.postgres.harness import AS_ROOT, PROJECT, open_directory

pytestmark = pytest.mark.slow


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that the server's account can enter, so that the data lies in the state directory."""
    with open_directory() as state:
        state.parent.chmod(0o755)
        yield state.parent
        for left in state.parent.iterdir():
            EmbeddedPostgres(left).destroy(force=True)


def _keep(server: EmbeddedPostgres, number: int) -> None:
    url = server.start()
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS kept (number int)")
        cursor.execute("INSERT INTO kept VALUES (%s)", [number])


def _kept(server: EmbeddedPostgres) -> list[int]:
    url = server.start()
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT number FROM kept ORDER BY number")
        return [number for (number,) in cursor.fetchall()]


def _clean(state: Path) -> subprocess.CompletedProcess[str]:
    script = PROJECT / "movierec_assets" / "host" / "clean.sh"
    return subprocess.run(["bash", script, state], capture_output=True, text=True, check=False, timeout=60)


def test_a_directory_that_is_moved_under_its_server_keeps_the_one_server(open_place: Path) -> None:
    """Two servers on one data directory would destroy it."""
    before, after = open_place / "Ann's $5", open_place / "after"
    _keep(EmbeddedPostgres(before), 1)
    pid = EmbeddedPostgres(before).status().pid
    shutil.move(before, after)
    _keep(EmbeddedPostgres(after), 2)
    assert EmbeddedPostgres(after).status().pid == pid
    assert EmbeddedPostgres(after).stop()
    assert _kept(EmbeddedPostgres(after)) == [1, 2]
    assert not before.exists()


def test_a_copy_never_works_on_the_original_and_cleaning_it_leaves_the_original_alone(open_place: Path) -> None:
    original, copy = open_place / "original", open_place / "copy"
    _keep(EmbeddedPostgres(original), 1)
    EmbeddedPostgres(original).stop()
    _keep(EmbeddedPostgres(original), 2)
    pid = EmbeddedPostgres(original).status().pid
    subprocess.run(["cp", "-a", original, copy], check=True)  # with the pid file, port and pin of the running server

    assert EmbeddedPostgres(copy).url() is None
    assert not EmbeddedPostgres(copy).stop()
    assert _clean(copy).returncode == 0
    assert EmbeddedPostgres(original).status().pid == pid
    _keep(EmbeddedPostgres(copy), 3)
    assert EmbeddedPostgres(copy).status().port != EmbeddedPostgres(original).status().port
    assert _kept(EmbeddedPostgres(original)) == [1, 2]


@pytest.mark.skipif(not AS_ROOT, reason="only root's data lies elsewhere")
def test_data_outside_belongs_to_the_directory_that_was_moved_and_not_to_a_copy(private_state: Path) -> None:
    original = EmbeddedPostgres(private_state)
    _keep(original, 1)
    place = original.status().data_dir.parent
    copy, moved = private_state.with_name("copy"), private_state.with_name("moved")
    shutil.copytree(private_state, copy)
    for operation in (EmbeddedPostgres(copy).start, lambda: EmbeddedPostgres(copy).lease().__enter__()):
        with pytest.raises(EmbeddedPostgresError, match=f"is a copy of {private_state}/postgres, whose database is in"):
            operation()
    assert not EmbeddedPostgres(copy).status().running
    assert "it stays" in _clean(copy).stdout
    EmbeddedPostgres(copy).destroy()
    assert original.status().running

    shutil.move(private_state, moved)
    assert _kept(EmbeddedPostgres(moved)) == [1]
    fresh = EmbeddedPostgres(private_state)  # at the path of before: it takes nothing from the one that moved
    assert fresh.start()
    assert _kept(EmbeddedPostgres(moved)) == [1]
    fresh.destroy()
    assert place.exists()
    EmbeddedPostgres(moved).destroy()
    assert not place.exists()


@pytest.mark.parametrize("moved", [False, True])
def test_without_python_the_script_of_make_clean_stops_the_server(open_place: Path, moved: bool) -> None:
    state = open_place / "it's $5 here"
    server = EmbeddedPostgres(state)
    _keep(server, 1)
    if moved:
        state = Path(shutil.move(state, open_place / "moved"))
    with EmbeddedPostgres(state).lease():
        refused = _clean(state)
    assert refused.returncode == 1
    assert "is in use" in refused.stderr
    assert EmbeddedPostgres(state).status().running
    assert _clean(state).returncode == 0
    assert not EmbeddedPostgres(state).status().running


def test_the_script_of_make_clean_leaves_alone_whoever_has_the_number_of_a_killed_server(
    open_place: Path, bystander: subprocess.Popen[bytes]
) -> None:
    state = open_place / "state"
    data = state / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "postmaster.pid").write_text(f"{bystander.pid}\n{data}\n")
    assert _clean(state).returncode == 0
    assert bystander.poll() is None
