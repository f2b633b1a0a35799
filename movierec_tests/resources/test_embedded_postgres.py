"""The embedded Postgres server as its users meet it: real servers, real kills, no mocks of either."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest

from movierec_assets.resources import postgres_binaries, postgres_cluster, postgres_keeper
from movierec_assets.resources.embedded_postgres import (
    EmbeddedPostgres,
    EmbeddedPostgresError,
    EmbeddedPostgresInUseError,
)
from movierec_assets.resources.postgres_binaries import Installation, installations
from movierec_assets.resources.postgres_state import PLACES_FOR_ROOT, StateDirectory, locked

AS_ROOT = os.geteuid() == 0
PROJECT = Path(__file__).resolve().parents[2]
INSTALLATIONS = list(installations())

pytestmark = pytest.mark.slow  # half a minute of real servers, all told

HOLD = """
import subprocess, sys
from pathlib import Path
from movierec_assets.resources.embedded_postgres import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1])).lease() as url:
    if sys.argv[2:]:
        subprocess.Popen(sys.argv[2:], close_fds=False)
    print(url, flush=True)
    sys.stdin.read()
"""


class Holder:
    """Another process with a lease."""

    def __init__(self, state: Path, *child: str) -> None:
        path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(state), *child],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
        )

    @property
    def url(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def end(self) -> int:
        self.process.communicate(timeout=30)
        return self.process.returncode

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)


@contextmanager
def open_directory() -> Iterator[Path]:
    """Make a directory that every account can enter, with a name that breaks careless quoting."""
    # A server that is ending may still write while the directory is removed.
    with tempfile.TemporaryDirectory(prefix="movierec ", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)
        yield Path(directory) / "Zustände $HOME `é`"


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
    with subprocess.Popen(["sleep", "1000"], user=account) as process:
        yield process
        process.kill()


def query(url: str, statement: str) -> Any:
    with closing(psycopg2.connect(url, connect_timeout=5)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone() if cursor.description else None


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def stopped(server: EmbeddedPostgres) -> Callable[[], bool]:
    return lambda: server.url() is None


def keepers(state: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = process.cmdline()
            if postgres_keeper.MODULE in command and str(state / "postgres") in command:
                found.append(process)
    return found


def listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


def port_of(url: str) -> int:
    return int(url.rsplit(":", maxsplit=1)[1].split("/", maxsplit=1)[0])


# A server and its database


def test_making_the_object_touches_nothing(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "state")
    assert not server.status().running
    assert server.url() is None
    assert server.stop() is False
    assert list(tmp_path.iterdir()) == []


def test_a_lease_gives_a_utf8_database_made_for_bulk_loads_that_keeps_what_it_is_told(server: EmbeddedPostgres) -> None:
    with server.lease() as url:
        names = ["server_encoding", "TimeZone", "fsync", "synchronous_commit", "wal_level", "maintenance_work_mem"]
        found = query(url, "SELECT " + ", ".join(f"current_setting('{name}')" for name in names))
        assert found == ("UTF8", "UTC", "on", "on", "minimal", "1GB")
        assert query(url, "SELECT current_database(), lower('ÄÖ')") == ("movierec", "äö")
        status = server.status()
        assert status.running
        assert status.server_version
        assert query(url, "SHOW server_version")[0].startswith(status.server_version)
        assert port_of(url) == status.port
        assert server.url() == url


def test_a_missing_database_is_made_whatever_its_name(server: EmbeddedPostgres, common_state: Path) -> None:
    with server.lease(), EmbeddedPostgres(common_state, 'od"d näme/').lease() as url:
        assert query(url, "SELECT current_database()") == ('od"d näme/',)


def test_nobody_gets_in_without_the_password_which_only_its_owner_can_read(
    server: EmbeddedPostgres, common_state: Path
) -> None:
    with server.lease() as url:
        password = url.split(":")[2].split("@")[0]
        for wrong in (url.replace(password, "wrong"), url.replace(f":{password}", "")):
            with pytest.raises(psycopg2.OperationalError, match="password"):
                query(wrong, "SELECT 1")
        rules = (server.status().data_dir / "pg_hba.conf").read_text().splitlines()
    assert {line.split()[-1] for line in rules if line.strip() and not line.startswith("#")} == {"scram-sha-256"}
    password_file = StateDirectory(common_state / "postgres").password_file
    assert password_file.read_text() == password
    assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.status().data_dir.stat().st_mode) == 0o700


def test_the_server_listens_on_the_loopback_address_alone_and_is_not_root(server: EmbeddedPostgres) -> None:
    with server.lease() as url:
        assert query(url, "SHOW listen_addresses") == ("127.0.0.1",)
        assert query(url, "SHOW unix_socket_directories") == ("",)
        assert psutil.Process(server.status().pid).uids().real != 0


@pytest.mark.parametrize("installation", INSTALLATIONS, ids=lambda i: f"{i.version}-{i.binaries.parent.name}")
def test_every_installation_that_is_found_can_serve(
    installation: Installation, fresh_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_binaries, "installed_binaries", lambda: iter([installation.binaries]))
    with EmbeddedPostgres(fresh_state).lease() as url:
        assert query(url, "SHOW server_version")[0].startswith(installation.version)
        assert query(url, "SHOW server_encoding") == ("UTF8",)


def test_a_server_of_the_wheel_is_found_first() -> None:
    assert postgres_binaries.WHEEL_PACKAGE in INSTALLATIONS[0].binaries.parts
    assert postgres_binaries.WHEEL_PACKAGE not in sys.modules


def test_a_server_in_a_private_directory_works_and_destroy_leaves_nothing_behind(private_state: Path) -> None:
    places_before = {path for parent in PLACES_FOR_ROOT for path in parent.glob("*")}
    server = EmbeddedPostgres(private_state)
    with server.lease() as url:
        query(url, "CREATE TABLE kept AS SELECT 1 AS n")
    wait_until(stopped(server))
    with server.lease() as url:
        assert query(url, "SELECT n FROM kept") == (1,)
    outside = {path for parent in PLACES_FOR_ROOT for path in parent.glob("*")} - places_before
    assert len(outside) == (1 if AS_ROOT else 0)
    server.destroy(force=True)
    assert not any(path.exists() for path in outside)
    assert {path.suffix for path in (private_state / "postgres").iterdir()} == {".lock"}
    with server.lease() as url:
        assert query(url, "SELECT to_regclass('kept')") == (None,)


def test_data_outside_that_is_gone_is_reported_not_replaced_by_an_empty_database(tmp_path: Path) -> None:
    directory = tmp_path / "state" / "postgres"
    directory.mkdir(parents=True)
    place = tmp_path / "place on a disk that is not mounted"
    (directory / "location").write_text(str(place))
    server = EmbeddedPostgres(tmp_path / "state")
    with pytest.raises(EmbeddedPostgresError, match=f"{place}, which is gone"):
        server.start()
    assert not server.status().pinned


# Leases and pins


def test_the_server_runs_as_long_as_any_process_holds_a_lease(
    server: EmbeddedPostgres, common_state: Path, hold: Callable[..., Holder]
) -> None:
    first, second = hold(common_state), hold(common_state)
    url = first.url
    assert second.url == url
    assert first.end() == 0
    time.sleep(0.5)
    assert query(url, "SELECT 1") == (1,)
    assert second.end() == 0
    wait_until(stopped(server))
    wait_until(lambda: keepers(common_state) == [])


def test_eight_commands_at_once_on_an_empty_directory_share_one_server(
    fresh_state: Path, hold: Callable[..., Holder]
) -> None:
    holders = [hold(fresh_state) for _ in range(8)]
    urls = {holder.url for holder in holders}
    assert len(urls) == 1
    assert query(urls.pop(), "SELECT 1") == (1,)
    assert len(keepers(fresh_state)) == 1
    assert [holder.end() for holder in holders] == [0] * 8


def test_leases_that_come_while_the_server_stops_all_find_one(common_state: Path, server: EmbeddedPostgres) -> None:
    failures: list[Exception] = []

    def use_briefly() -> None:
        for _ in range(6):
            try:
                with EmbeddedPostgres(common_state).lease() as url:
                    assert query(url, "SELECT 1") == (1,)
            except (psycopg2.Error, EmbeddedPostgresError, AssertionError) as error:
                failures.append(error)
            time.sleep(0.05)

    users = [threading.Thread(target=use_briefly) for _ in range(2)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert failures == []
    wait_until(stopped(server))


def test_a_program_that_a_holder_started_does_not_keep_the_server(
    server: EmbeddedPostgres, common_state: Path, hold: Callable[..., Holder], tmp_path: Path
) -> None:
    marker = tmp_path / "child"
    holder = hold(common_state, "sh", "-c", f"echo $$ > '{marker}'; exec sleep 1000 > /dev/null")
    assert holder.url
    wait_until(lambda: marker.exists() and marker.read_text().strip() != "")
    child = psutil.Process(int(marker.read_text()))
    holder.process.kill()
    try:
        wait_until(stopped(server))
        assert child.is_running()
    finally:
        child.kill()


def test_a_pinned_server_outlives_its_leases_until_it_is_stopped(server: EmbeddedPostgres, common_state: Path) -> None:
    url = server.start()
    with server.lease() as leased:
        assert leased == url
    time.sleep(0.5)
    assert query(url, "SELECT 1") == (1,)
    assert server.status().pinned
    assert server.stop() is True
    assert not server.status().running
    assert server.stop() is False


def test_a_server_pinned_while_it_is_leased_stays(server: EmbeddedPostgres, common_state: Path) -> None:
    with server.lease() as url:
        assert server.start() == url
    wait_until(lambda: keepers(common_state) == [])
    assert query(url, "SELECT 1") == (1,)
    assert server.stop()


def test_a_server_in_use_is_not_stopped_unless_forced_and_the_error_names_the_user(
    server: EmbeddedPostgres, common_state: Path, hold: Callable[..., Holder]
) -> None:
    server.start()
    holder = hold(common_state)
    url = holder.url
    for refused in (server.stop, server.destroy):
        with pytest.raises(EmbeddedPostgresInUseError, match=f"process {holder.process.pid} .*--force"):
            refused()
    assert query(url, "SELECT 1") == (1,)
    assert server.status().pinned
    assert server.stop(force=True)
    assert not server.status().running
    with server.lease() as again:
        assert query(again, "SELECT 1") == (1,)


def test_an_exception_of_the_user_passes_through_the_lease_unchanged(server: EmbeddedPostgres) -> None:
    with pytest.raises(FileNotFoundError, match="mine"), server.lease():
        raise FileNotFoundError("mine")
    wait_until(stopped(server))


# Kills


def test_the_server_stops_after_its_only_user_was_killed(
    server: EmbeddedPostgres, common_state: Path, hold: Callable[..., Holder]
) -> None:
    holder = hold(common_state)
    assert holder.url
    holder.kill()
    wait_until(stopped(server), 5)


def test_a_command_that_comes_right_after_a_kill_works(
    server: EmbeddedPostgres, common_state: Path, hold: Callable[..., Holder]
) -> None:
    for _ in range(3):
        holder = hold(common_state)
        assert holder.url
        holder.kill()
        with server.lease() as url:
            assert query(url, "SELECT 1") == (1,)


def test_a_killed_server_comes_back_with_its_data_although_its_children_linger(
    server: EmbeddedPostgres, common_state: Path
) -> None:
    with server.lease() as url:
        query(url, "DROP TABLE IF EXISTS kept")
        query(url, "CREATE TABLE kept AS SELECT generate_series(1, 100000) AS n")
        with closing(psycopg2.connect(url)) as busy:
            # Does not look up from its work to see that its postmaster is gone.
            busy_pid = busy.info.backend_pid
            worker = threading.Thread(target=run_until_cut_off, args=(busy,))
            worker.start()
            time.sleep(0.3)
            os.kill(server.status().pid or 0, signal.SIGKILL)
            wait_until(stopped(server))
            assert psutil.pid_exists(busy_pid)
            with server.lease() as again:
                assert query(again, "SELECT count(*) FROM kept") == (100_000,)
            worker.join()
    wait_until(stopped(server))


def run_until_cut_off(connection: psycopg2.extensions.connection) -> None:
    with suppress(psycopg2.Error), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM generate_series(1, 1000000000) AS a(n) WHERE n % 7 = 3")


def test_owner_keeper_and_server_killed_together_do_no_harm(
    server: EmbeddedPostgres, common_state: Path, hold: Callable[..., Holder]
) -> None:
    holder = hold(common_state)
    query(holder.url, "DROP TABLE IF EXISTS survivor; CREATE TABLE survivor AS SELECT 42 AS n")
    for keeper in keepers(common_state):
        keeper.kill()
    os.kill(server.status().pid or 0, signal.SIGKILL)
    holder.kill()
    with server.lease() as url:
        assert query(url, "SELECT n FROM survivor") == (42,)
    wait_until(stopped(server))


def test_a_killed_keeper_is_replaced_by_the_next_lease(server: EmbeddedPostgres, common_state: Path) -> None:
    with server.lease():
        (keeper,) = keepers(common_state)
        keeper.kill()
        wait_until(lambda: keeper not in keepers(common_state))
    time.sleep(0.3)
    assert server.status().running
    with server.lease():
        assert len(keepers(common_state)) == 1
    wait_until(stopped(server))


def test_a_start_killed_at_any_moment_leaves_neither_a_server_nor_harm(
    fresh_state: Path, hold: Callable[..., Holder]
) -> None:
    for seconds in (0.15, 0.3, 0.45, 0.7):
        holder = hold(fresh_state)
        time.sleep(seconds)
        holder.kill()
    server = EmbeddedPostgres(fresh_state)
    wait_until(lambda: server.url() is None and keepers(fresh_state) == [])
    with server.lease() as url:
        assert query(url, "SELECT 1") == (1,)


def test_an_unrelated_process_named_by_a_stale_pid_file_stays_alive(
    server: EmbeddedPostgres, bystander: subprocess.Popen[bytes]
) -> None:
    server.start()
    pid_file = server.status().data_dir / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    os.kill(server.status().pid or 0, signal.SIGKILL)
    wait_until(stopped(server))
    for act in (server.stop, server.start):
        pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        if AS_ROOT:
            owner = pid_file.parent.stat()
            os.chown(pid_file, owner.st_uid, owner.st_gid)
        act()
        assert bystander.poll() is None
    assert server.status().running
    assert server.status().pid != bystander.pid
    assert server.stop()
    assert bystander.poll() is None


# Ports


def test_the_port_stays_the_same_until_somebody_else_takes_it(server: EmbeddedPostgres) -> None:
    url = server.start()
    server.stop()
    assert server.start() == url
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
    """What `start` says to somebody who is not root, in a child of this process where that is root's."""
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
