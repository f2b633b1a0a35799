"""Errors: taken ports, lost files and rights; each is explained, and nothing is harmed."""

from __future__ import annotations

import os
import pwd
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from movierec_assets.file_lock import locked
from movierec_assets.postgres import cluster as postgres_cluster
from movierec_assets.postgres import keeper as postgres_keeper
from movierec_assets.postgres.server import EmbeddedPostgres, EmbeddedPostgresError
from movierec_assets.postgres.state import StateDirectory
from movierec_tests.postgres.harness import AS_ROOT, listen, port_of, query

pytestmark = pytest.mark.slow  # real servers, some seconds each


def test_the_port_stays_the_same_until_somebody_else_takes_it(server: EmbeddedPostgres) -> None:
    url = server.start()
    server.stop()
    again = server.start()
    assert again == url or not postgres_cluster.port_is_free(port_of(url))  # another server of these tests may have it
    url = again
    server.stop()
    with closing(listen(port_of(url))):
        elsewhere = server.start()
        assert port_of(elsewhere) != port_of(url)
        assert query(elsewhere, "SELECT 1") == (1,)


def test_a_port_lost_between_the_look_and_the_start_is_replaced(
    server: EmbeddedPostgres, common_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.start()
    server.stop()
    monkeypatch.setattr(postgres_cluster, "port_is_free", lambda port: True)
    with closing(listen(port_of(url))):
        assert query(server.start(), "SELECT 1") == (1,)


# Errors


def test_a_state_directory_that_cannot_be_made_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    server = EmbeddedPostgres(tmp_path / "file" / "state")
    for act in (server.start, server.lease().__enter__):
        with pytest.raises(EmbeddedPostgresError, match=r"file/state/postgres: .*MOVIEREC_STATE_DIR"):
            act()


def test_a_read_only_state_directory_is_named_with_a_remedy(common_state: Path) -> None:
    read_only = common_state.parent / "read-only"
    read_only.mkdir(mode=0o555)
    message = complaint_of_an_ordinary_user(EmbeddedPostgres(read_only))
    assert f"{read_only}/postgres: " in message
    assert "Permission denied" in message
    assert "MOVIEREC_STATE_DIR" in message


def complaint_of_an_ordinary_user(server: EmbeddedPostgres) -> str:
    """The error of `start` for an ordinary user, in a child of this process where that one is root's."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            if AS_ROOT:
                nobody = pwd.getpwnam("nobody")
                os.setgroups([])
                os.setgid(nobody.pw_gid)
                os.setuid(nobody.pw_uid)
            server.start()
        except EmbeddedPostgresError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as said:
        return said.read()


@contextmanager
def spoilt(path: Path, text: str) -> Iterator[None]:
    before = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(before)


def test_a_server_that_does_not_start_is_explained_by_the_end_of_its_log(used: EmbeddedPostgres) -> None:
    with (
        spoilt(used.status().data_dir / "postgresql.auto.conf", "no_such_setting = 1\n"),
        pytest.raises(EmbeddedPostgresError, match=r"(?s)server\.log:.*no_such_setting"),
    ):
        used.start()
    assert not used.status().pinned


def test_a_database_of_another_major_version_is_not_touched(used: EmbeddedPostgres) -> None:
    with (
        spoilt(used.status().data_dir / "PG_VERSION", "9\n"),
        pytest.raises(EmbeddedPostgresError, match=r"Postgres 9, which made the existing database.*Found: \d\d"),
    ):
        used.start()


def test_a_lost_password_is_explained(used: EmbeddedPostgres, common_state: Path) -> None:
    password_file = StateDirectory(common_state / "postgres").password_file
    lost = password_file.rename(password_file.with_suffix(".lost"))
    try:
        with pytest.raises(EmbeddedPostgresError, match=r"password of the embedded Postgres.*make clean"):
            used.start()
        assert not used.status().running
    finally:
        lost.rename(password_file)


def test_a_changed_password_is_explained_at_once(used: EmbeddedPostgres, common_state: Path) -> None:
    with (
        spoilt(StateDirectory(common_state / "postgres").password_file, "another"),
        pytest.raises(EmbeddedPostgresError, match=r"admits nobody: .*password authentication failed"),
    ):
        used.start()


def test_a_server_is_not_left_running_when_nobody_could_stop_it(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_keeper, "MODULE", "movierec_assets.no_such_module")
    with pytest.raises(EmbeddedPostgresError, match="No module named"), server.lease():
        pass
    assert not server.status().running


def test_a_lock_on_a_file_that_was_replaced_while_waiting_is_taken_anew(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    taken = threading.Event()

    def wait_for_it() -> None:
        with locked(path) as descriptor:
            assert os.fstat(descriptor).st_ino == path.stat().st_ino
            taken.set()

    waiting = threading.Thread(target=wait_for_it)
    with locked(path):
        waiting.start()
        time.sleep(0.1)
        path.rename(tmp_path / "old")
        path.touch()
    waiting.join()
    assert taken.is_set()
