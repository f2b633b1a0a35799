"""Sharing an embedded server: several processes with leases, pins, and stopping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg2
import pytest

from movierec_assets.postgres.server import (
    EmbeddedPostgres,
    EmbeddedPostgresError,
    EmbeddedPostgresInUseError,
)
from movierec_tests.postgres.harness import Holder, keepers, query, stopped
from movierec_tests.waiting import wait_until

pytestmark = pytest.mark.slow  # real servers, some seconds each


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
    holder = hold(common_state, "sh", "-c", f"echo $$ > '{marker}'; exec sleep 100000 > /dev/null")
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
