"""Transactions of a run share one connection, as long as nothing is wrong with it."""

from __future__ import annotations

import threading

import psycopg2
import pytest
from psycopg2.errors import DiskFull

from movierec_assets.tables import reused_connection
from movierec_assets.tables.database import Database, DatabaseFullError
from movierec_assets.tables.reused_connection import database_at, reusing_connections
from movierec_tests.waiting import PATIENCE, wait_until


def _session(database: Database) -> int:
    return int(database.scalar("SELECT pg_backend_pid()"))


def test_transactions_share_a_connection_until_the_end_of_the_block(database: Database) -> None:
    with reusing_connections():
        reusing = database_at(database.url)
        session = _session(reusing)
        assert [_session(database_at(database.url)) for _ in range(3)] == [session] * 3
    assert _session(reusing) != session
    assert _session(database_at(database.url)) != session


def test_a_transaction_within_another_one_and_one_of_another_thread_have_their_own(database: Database) -> None:
    with reusing_connections():
        reusing = database_at(database.url)
        found: list[int] = [_session(reusing)]
        with reusing.transaction():
            found.append(_session(reusing))
            beside = threading.Thread(target=lambda: found.append(_session(reusing)))
            beside.start()
            beside.join()
        assert found[0] not in found[1:]
        assert len(found) == 3
        assert _session(reusing) == found[0]


def test_an_error_leaves_nothing_of_its_transaction(database: Database) -> None:
    with reusing_connections():
        reusing = database_at(database.url)
        with pytest.raises(psycopg2.ProgrammingError), reusing.transaction() as cursor:
            cursor.execute("CREATE TABLE movierec.left_behind (); SELECT nothing FROM nowhere")
        assert reusing.scalar("SELECT to_regclass('movierec.left_behind')") is None
        with pytest.raises(DatabaseFullError, match="The disk of Postgres is full"), reusing.transaction():
            raise DiskFull("no space left")
        assert reusing.scalar("SELECT 1") == 1


def test_a_connection_that_the_server_closed_is_replaced(database: Database) -> None:
    with reusing_connections():
        reusing = database_at(database.url)
        session = _session(reusing)
        assert database.scalar("SELECT pg_terminate_backend(%s, 10000)", [session])
        assert _session(reusing) != session


def test_connections_with_settings_of_their_own_are_not_shared(database: Database) -> None:
    with reusing_connections():
        reusing = database_at(database.url)
        session = _session(reusing)
        with reusing.connect() as connection:
            assert connection.get_backend_pid() != session
        assert _session(reusing) == session


def test_the_end_of_a_block_waits_for_no_transaction_of_another_thread(database: Database) -> None:
    begun, go_on = threading.Event(), threading.Event()
    pids: list[int] = []

    def work() -> None:
        with reusing.transaction() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pids.extend(pid for (pid,) in cursor.fetchall())
            begun.set()
            assert go_on.wait(PATIENCE)

    with reusing_connections():
        reusing = database_at(database.url)
        beside = threading.Thread(target=work)
        beside.start()
        assert begun.wait(PATIENCE)
    assert beside.is_alive()
    go_on.set()
    beside.join()
    wait_until(lambda: not database.rows("SELECT 1 FROM pg_stat_activity WHERE pid = %s", pids), "its connection's end")


def test_a_connection_that_was_idle_for_long_is_replaced(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with reusing_connections():
        reusing = database_at(database.url)
        session = _session(reusing)
        monkeypatch.setattr(reused_connection, "_IDLE_SECONDS", -1.0)
        assert _session(reusing) != session


def test_blocks_that_opened_nothing_end_one_by_one(database: Database) -> None:
    with reusing_connections():
        with reusing_connections():
            pass
        reusing = database_at(database.url)
        assert _session(reusing) == _session(reusing)
    assert type(database_at(database.url)) is Database


def test_a_block_within_a_block_has_connections_of_its_own(database: Database) -> None:
    with reusing_connections():
        outer = _session(database_at(database.url))
        with reusing_connections():
            assert _session(database_at(database.url)) != outer
        assert _session(database_at(database.url)) == outer
