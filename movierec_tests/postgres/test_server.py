"""An embedded server and its database: programs, access, and the directory of its data."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import psutil
import psycopg2
import pytest

from movierec_assets.postgres import binaries as postgres_binaries
from movierec_assets.postgres.binaries import Installation
from movierec_assets.postgres.server import EmbeddedPostgres, EmbeddedPostgresError
from movierec_assets.postgres.state import DATA_FOR_ROOT, StateDirectory
from movierec_tests.postgres.harness import AS_ROOT, INSTALLATIONS, port_of, query, stopped
from movierec_tests.waiting import wait_until

pytestmark = pytest.mark.slow  # real servers, some seconds each


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


def test_a_server_whose_process_is_ending_has_no_programs_that_could_be_named(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.lease():
        monkeypatch.setattr(psutil.Process, "cmdline", lambda _: [])
        status = server.status()
        assert (status.running, status.binaries, status.server_version) == (True, None, None)


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
    server = EmbeddedPostgres(private_state)
    with server.lease() as url:
        query(url, "CREATE TABLE kept AS SELECT 1 AS n")
    wait_until(stopped(server))
    with server.lease() as url:
        assert query(url, "SELECT n FROM kept") == (1,)
    data = server.status().data_dir
    assert any(data.is_relative_to(place) for place in DATA_FOR_ROOT) == AS_ROOT
    server.destroy(force=True)
    assert not data.exists()
    assert not (AS_ROOT and data.parent.exists())
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
