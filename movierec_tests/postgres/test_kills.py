"""Owners, keepers and servers that are killed: real processes, real signals."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import psutil
import psycopg2
import pytest

from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_tests.postgres.harness import AS_ROOT, Holder, keepers, kill_server, query, stopped
from movierec_tests.waiting import wait_until

pytestmark = pytest.mark.slow  # real servers, some seconds each


def test_the_server_stops_after_its_only_user_was_killed(
    server: EmbeddedPostgres, common_state: Path, hold: Callable[..., Holder]
) -> None:
    holder = hold(common_state)
    assert holder.url
    holder.kill()
    wait_until(stopped(server))


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
            is_busy = f"SELECT state = 'active' AND query LIKE 'SELECT%' FROM pg_stat_activity WHERE pid = {busy_pid}"
            wait_until(lambda: query(url, is_busy) == (True,), "a long query")
            kill_server(server)
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
    kill_server(server)
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
    kill_server(server)
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
