"""The log of what was shown: nothing waits, nothing is lost or doubled, and what is dropped is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg2
import pytest
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_assets.serving.online import shown as module
from movierec_assets.serving.online.shown import ShownLog
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.day_partitions import days_of, drop_days, make_days
from movierec_assets.tables.migrations import migrate
from movierec_assets.tables.recommendation_ids import is_id, new_id, time_of
from movierec_assets.tables.shown import KeptList, ShownEvent, ShownList, lists_of, write
from movierec_tests.defs.harness import new_app_users
from movierec_tests.postgres.harness import kill_server, open_directory, stopped
from movierec_tests.waiting import PATIENCE, until_somebody_waits, wait_until


@contextmanager
def started(log: ShownLog) -> Iterator[ShownLog]:
    asyncio.run(log.start())
    try:
        yield log
    finally:
        asyncio.run(log.stop(PATIENCE))


def put(log: ShownLog, user: int | None = 7, *movies: int) -> str:
    return log.put(user_id=user, movie_ids=movies or (3, 1, 2), source="model", model_version=4, dataset_id=1)


def count(database: Database) -> int:
    return int(database.scalar(f"SELECT count(*) FROM {SCHEMA}.served"))


def test_ids_are_distinct_in_the_order_of_time_and_name_their_time() -> None:
    before = datetime.now(UTC)
    ids = [new_id() for _ in range(10_000)]
    assert len(set(ids)) == len(ids)
    assert all(map(is_id, ids))
    moments = [time_of(each) for each in ids]
    assert moments == sorted(moments)
    assert before - timedelta(milliseconds=1) <= moments[0] <= moments[-1] <= datetime.now(UTC)
    assert sorted(ids, key=time_of) == sorted(ids, key=lambda each: each[:13])


AN_ID = "01a21c8e-ac65-7bc9-8457-12bc65dec1e8"


@pytest.mark.parametrize(
    "text", ["", "x", f"{AN_ID}\n", AN_ID[:-1], f"{AN_ID}0", "ffffffff-ffff-7fff-bfff-ffffffffffff"]
)
def test_other_texts_are_no_ids(text: str) -> None:
    assert not is_id(text)


def test_lists_and_events_arrive_as_they_were_put(database: Database) -> None:
    with started(ShownLog(database)) as log:
        first = log.put(
            user_id=None, movie_ids=np.array([9, 8], np.int32), source="popular", scenario='a "b",\\c\n\0\ud800'
        )
        second = put(log, 7)
        at = datetime.now(UTC)
        assert log.put_events([ShownEvent(second, at, 7, 1, 2, "click")]) == 1
    assert (log.written, log.waiting, log.dropped) == (3, 0, 0)
    rows = database.rows(
        f"""SELECT recommendation_id::text, at, user_id, dataset_id, model_version, source, scenario, movie_ids
            FROM {SCHEMA}.served"""
    )
    assert sorted(rows) == sorted(
        [
            (first, time_of(first), None, None, None, "popular", 'a "b",\\c\n?', [9, 8]),
            (second, time_of(second), 7, 1, 4, "model", None, [3, 1, 2]),
        ]
    )
    assert database.rows(
        f"SELECT recommendation_id::text, at, user_id, movie_id, position, kind FROM {SCHEMA}.events"
    ) == [(second, at, 7, 1, 2, "click")]
    assert lists_of(database, [first, second, new_id()]) == {
        first: KeptList(None, [9, 8]),
        second: KeptList(7, [3, 1, 2]),
    }


def test_rows_beyond_the_bound_are_dropped_and_counted_exactly(database: Database) -> None:
    log = ShownLog(database, queue_rows=10)
    ids = [put(log) for _ in range(25)]
    events = [ShownEvent(ids[0], datetime.now(UTC), 7, 1, 2, "click")] * 3
    assert log.put_events(events) == 0
    assert (log.waiting, log.dropped) == (10, 18)
    with started(log):
        pass
    assert (log.written, log.waiting, log.dropped) == (10, 0, 18)
    assert set(lists_of(database, ids)) == set(ids[:10])
    put(log)
    assert log.dropped == 19


def test_a_list_whose_commit_was_not_heard_of_is_not_written_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []

    def committed_and_cut_off(cursor: Cursor, lists: Sequence[ShownList], events: Sequence[ShownEvent]) -> int:
        rows = write(cursor, lists, events)
        if not heard:
            heard.append(rows)
            cursor.connection.commit()
            _end_connections_of(cursor)
        return rows

    monkeypatch.setattr(module, "write", committed_and_cut_off)
    log = ShownLog(database)
    ids = [put(log) for _ in range(3)]
    with started(log):
        wait_until(lambda: log.waiting == 0, "the rows")
    assert heard == [3]
    assert set(lists_of(database, ids)) == set(ids)
    assert (count(database), log.written, log.dropped) == (3, 3, 0)


def _end_connections_of(cursor: Cursor) -> None:
    with pytest.raises(psycopg2.OperationalError):
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def test_what_the_database_refuses_is_counted_and_later_lists_are_written(database: Database) -> None:
    log = ShownLog(database)
    log.put(user_id=7, movie_ids=[2**31], source="model")
    with started(log):
        wait_until(lambda: log.waiting == 0, "the refusal")
        good = put(log)
    assert (log.written, log.dropped) == (1, 1)
    assert list(lists_of(database, [good])) == [good]


def test_writers_of_two_days_at_midnight_make_both_partitions_and_lose_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    midnight = datetime.combine(datetime.now(UTC).date() + timedelta(days=9), datetime.min.time(), UTC)
    first = int(midnight.timestamp() * 1000) - 100
    moments = iter(range(first, first + 200))
    monkeypatch.setattr(module, "new_id", lambda: new_id(next(moments)))
    logs = [ShownLog(database) for _ in range(4)]
    ids = [put(log) for _ in range(50) for log in logs]
    with ExitStack() as all_started:
        for log in logs:
            all_started.enter_context(started(log))
    assert [(log.written, log.dropped) for log in logs] == [(50, 0)] * 4
    assert set(lists_of(database, ids)) == set(ids)
    days = {midnight.date() - timedelta(days=1), midnight.date()}
    assert days <= set(days_of(database))
    per_day = f"SELECT count(*) FROM {SCHEMA}.served WHERE at >= %s"
    assert database.scalar(per_day, [midnight]) == 100


def test_a_day_that_was_dropped_comes_back_when_something_is_shown(database: Database) -> None:
    with started(ShownLog(database)) as log:
        put(log)
        wait_until(lambda: log.written == 1, "the first list")
        drop_days(database, [datetime.now(UTC).date()])
        put(log)
        wait_until(lambda: log.written == 2, "the second list")
    assert count(database) == 1


def test_a_day_is_dropped_as_soon_as_nobody_reads_it_and_writers_wait_for_moments_only(database: Database) -> None:
    with started(ShownLog(database)) as log:
        put(log)
        wait_until(lambda: log.written == 1, "the first list")
        said: list[str] = []
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        with database.transaction() as cursor:
            make_days(cursor, [yesterday])
        with ThreadPoolExecutor(1) as pool:
            with database.transaction() as cursor:
                cursor.execute(f"SELECT count(*) FROM {SCHEMA}.served")
                dropped = pool.submit(drop_days, database, [yesterday], said.append)
                wait_until(lambda: bool(said), "word of the reader")
                put(log)
                wait_until(lambda: log.written == 2, "the second list")
                assert not dropped.done()
            dropped.result(timeout=PATIENCE)
    assert yesterday not in days_of(database)
    assert count(database) == 2


def test_nothing_is_left_of_a_user_who_was_erased_before_their_list_was_written(database: Database) -> None:
    with database.transaction() as cursor:
        gone, stays = new_app_users(cursor, 2)
    log = ShownLog(database)
    put(log, gone)
    kept = put(log, stays)
    log.put_events([ShownEvent(kept, datetime.now(UTC), user, 1, 2, "click") for user in (gone, stays)])
    database.rows(f"DELETE FROM {SCHEMA}.app_users WHERE user_id = %s RETURNING 1", [gone])
    with started(log):
        pass
    for table in ("served", "events"):
        assert database.rows(f"SELECT user_id FROM {SCHEMA}.{table}") == [(stays,)]
    assert (log.written, log.dropped) == (2, 0)


def test_a_user_who_is_erased_while_their_list_is_written_takes_it_along(database: Database) -> None:
    with database.transaction() as cursor:
        (user,) = new_app_users(cursor)
        make_days(cursor, [datetime.now(UTC).date()])
    erase = f"DELETE FROM {SCHEMA}.app_users WHERE user_id = %s RETURNING 1"
    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as cursor:
            assert write(cursor, [ShownList(new_id(), user, None, 1, "model", None, [1])], []) == 1
            erased = pool.submit(database.rows, erase, [user])
            until_somebody_waits(database)
        erased.result(timeout=PATIENCE)
    assert count(database) == 0


@pytest.mark.slow
def test_rows_outlive_a_server_that_is_killed_up_to_the_bound() -> None:
    with open_directory() as state:
        server = EmbeddedPostgres(state)
        try:
            database = Database(server.start())
            migrate(database)
            with started(ShownLog(database, queue_rows=100)) as log:
                before = [put(log) for _ in range(10)]
                wait_until(lambda: log.written == 10, "the rows before")
                kill_server(server)
                wait_until(stopped(server), "the end of the server")
                waiting = [put(log) for _ in range(150)]
                assert (log.waiting, log.dropped) == (100, 50)
                assert server.start() == database.url
                wait_until(lambda: log.waiting == 0, "the rows that waited")
                assert (log.written, log.dropped) == (110, 50)
            assert set(lists_of(database, [*before, *waiting])) == {*before, *waiting[:100]}
        finally:
            server.destroy(force=True)


def test_stopping_without_a_database_takes_seconds_and_counts_what_is_lost(database: Database) -> None:
    log = ShownLog(Database("postgresql://nobody@127.0.0.1:1/none"))
    asyncio.run(log.start())
    for _ in range(7):
        put(log)
    asyncio.run(log.stop(0.5))
    assert (log.waiting, log.written, log.dropped) == (0, 0, 7)
    put(log)
    assert log.dropped == 8
