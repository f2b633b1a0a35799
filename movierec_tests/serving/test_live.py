"""The reader of live ratings: many who ask at once, lost connections, and a database that is away."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Coroutine
from contextlib import closing
from typing import Any, TypeVar

import numpy as np
import psycopg2
import pytest
import uvloop

from movierec_assets.serving.online import live, queries
from movierec_assets.serving.online.live import LiveReader, LiveState
from movierec_assets.serving.online.queries import STATEMENT_SECONDS, ThreadedQueries
from movierec_assets.tables import kept_connection, live_ratings
from movierec_assets.tables.database import SCHEMA, Database, DatabaseUnavailableError, Load, record_load
from movierec_tests.defs.harness import count_users, load_films
from movierec_tests.room_database import database, shared_database
from movierec_tests.waiting import PATIENCE

__all__ = ["database", "shared_database"]

_Result = TypeVar("_Result")

MOVIES = range(1, 31)
USERS = range(1, 41)


@pytest.fixture
def rated(database: Database) -> Database:
    """A database where user u rated the movies from u on."""
    load_films(database, MOVIES)
    with database.replace("ratings") as table:
        rows = [
            (user, movie, movie % 10 / 2 + 0.5, f"2001-01-01 00:00:{movie:02}+00")
            for user in USERS
            for movie in MOVIES
            if movie >= user
        ]
        table.write_rows(("user_id", "movie_id", "rating", "rated_at"), rows)
        count_users(table)
        record_load(table.cursor, "ratings", Load("first", "test", {}))
    return database


def _run(work: Coroutine[Any, Any, _Result]) -> _Result:
    async def bounded() -> _Result:
        return await asyncio.wait_for(work, PATIENCE)

    return uvloop.run(bounded())


def _others(database: Database) -> list[int]:
    """Processes of the server that serve this database's other connections."""
    query = """SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
               AND backend_type = 'client backend'"""
    return [pid for (pid,) in database.rows(query)]


def _end_connections(database: Database) -> None:
    for pid in _others(database):
        database.rows("SELECT pg_terminate_backend(%s, 10000)", [pid])


def test_everybody_who_asks_at_once_gets_their_own_ratings(rated: Database) -> None:
    async def main() -> list[LiveState]:
        async with LiveReader(rated) as reader:
            return await asyncio.gather(*(reader.state(user, None, 0) for _ in range(25) for user in USERS))

    states = _run(main())
    assert len(states) == 1000
    for user, state in zip(list(USERS) * 25, states, strict=True):
        assert state.ratings is not None
        movies = np.arange(user, MOVIES.stop)
        order = np.argsort(state.ratings.movie_ids)
        assert state.ratings.movie_ids[order].tolist() == movies.tolist()
        assert state.ratings.stars[order].tolist() == (movies % 10 / 2 + 0.5).tolist()
        assert state.ratings.rated_at[order].tolist() == (978_307_200 + movies).tolist()
        assert [column.dtype for column in (state.ratings.movie_ids, state.ratings.stars, state.ratings.rated_at)] == [
            np.int32,
            np.float32,
            np.int64,
        ]
        assert (state.freshness.ratings_version, state.freshness.watermark) == ("first", 0)


def test_ratings_are_read_only_where_something_is_newer_than_the_stored_state(rated: Database) -> None:
    async def main() -> None:
        async with LiveReader(rated) as reader:
            assert (await reader.state(1, "first", 0)).ratings is None
            assert (await reader.state(1, "zeroth", 0)).ratings is not None
            with rated.transaction() as cursor:
                cursor.execute(f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating) VALUES (1, 1, NULL)")
            assert (await reader.state(2, "first", 0)).ratings is None
            assert (await reader.state(1, "first", 1)).ratings is None
            newer = await reader.state(1, "first", 0)
            assert newer.freshness == await reader.freshness(1)
            assert newer.ratings is not None
            assert sorted(newer.ratings.movie_ids.tolist()) == list(MOVIES)[1:], "without the withdrawn one"

    _run(main())


def test_users_without_ratings_have_empty_arrays(rated: Database) -> None:
    async def main() -> LiveState:
        async with LiveReader(rated) as reader:
            return await reader.state(1_000_000_000, None, 0)

    state = _run(main())
    assert state.ratings is not None
    assert [len(column) for column in (state.ratings.movie_ids, state.ratings.stars, state.ratings.rated_at)] == [0] * 3


def test_an_answer_that_arrives_in_parts_is_taken_whole(rated: Database) -> None:
    movies = range(1, 4001)
    load_films(rated, movies)
    with rated.replace("ratings") as table:
        rows = [(1, movie, 3.5, "2002-01-01") for movie in movies]
        table.write_rows(("user_id", "movie_id", "rating", "rated_at"), rows)

    async def main() -> list[int]:
        async with LiveReader(rated) as reader:
            read = await asyncio.gather(*(reader.ratings(1) for _ in range(100)))
            return [int(ratings.movie_ids.astype(np.int64).sum()) for ratings in read]

    assert _run(main()) == [sum(movies)] * 100


def test_a_load_between_two_reads_is_seen_by_the_statement_that_was_prepared_before(rated: Database) -> None:
    async def main() -> None:
        async with LiveReader(rated) as reader:
            assert len((await reader.ratings(1)).movie_ids) == len(MOVIES)
            with rated.replace("ratings") as table:
                table.write_rows(("user_id", "movie_id", "rating", "rated_at"), [(1, 7, 3.5, "2002-01-01")])
                record_load(table.cursor, "ratings", Load("second", "test", {}))
            state = await reader.state(1, "first", 0)
            assert state.ratings is not None
            assert (state.freshness.ratings_version, state.ratings.movie_ids.tolist()) == ("second", [7])

    _run(main())


def test_a_connection_that_the_server_ended_is_replaced_and_nobody_notices(rated: Database) -> None:
    async def main() -> None:
        async with LiveReader(rated) as reader, ThreadedQueries(rated) as queries:
            for _ in range(3):
                assert len((await reader.ratings(1)).movie_ids) == len(MOVIES)
                assert await queries.run(lambda database: database.scalar("SELECT 1")) == 1
                await asyncio.to_thread(_end_connections, rated)

    _run(main())


def test_connections_that_end_while_many_read_fail_no_read(rated: Database) -> None:
    async def main() -> int:
        ended = asyncio.Event()

        async def read(reader: LiveReader) -> int:
            reads = 0
            while not ended.is_set():
                assert len((await reader.ratings(1)).movie_ids) == len(MOVIES)
                reads += 1
            return reads

        async with LiveReader(rated) as reader:
            readers = [asyncio.create_task(read(reader)) for _ in range(8)]
            for _ in range(10):
                await asyncio.to_thread(_end_connections, rated)
            ended.set()
            return sum(await asyncio.gather(*readers))

    assert _run(main()) > 0


def test_a_read_whose_caller_has_gone_disturbs_nobody(rated: Database) -> None:
    async def main() -> None:
        async with LiveReader(rated) as reader:
            gone = [asyncio.ensure_future(reader.ratings(1)) for _ in range(20)]
            await asyncio.sleep(0)
            for each in gone:
                each.cancel()
            assert len((await reader.ratings(2)).movie_ids) == len(MOVIES) - 1

    _run(main())


def test_who_waits_when_the_reader_is_closed_is_told(rated: Database) -> None:
    async def main() -> None:
        async with LiveReader(rated) as reader:
            await reader.ratings(1)
            running = asyncio.ensure_future(reader.ratings(1))
            await asyncio.sleep(0)
        with pytest.raises(DatabaseUnavailableError, match="stops"):
            await running

    _run(main())


def test_a_read_has_a_time_limit_and_the_connection_is_used_again(
    rated: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_ratings, "STATEMENT_SECONDS", 1.0)

    async def main() -> None:
        async with LiveReader(rated) as reader:
            await reader.ratings(1)
            served_by = _others(rated)
            with rated.transaction() as cursor:
                cursor.execute(f"LOCK TABLE {SCHEMA}.ratings")
                with pytest.raises(DatabaseUnavailableError, match="took longer than"):
                    await reader.ratings(1)
            assert len((await reader.ratings(1)).movie_ids) == len(MOVIES)
            assert _others(rated) == served_by

    _run(main())


def test_a_statement_has_a_time_limit_and_the_connection_is_used_again(rated: Database) -> None:
    def _sleep(database: Database) -> list[tuple[Any, ...]]:
        return database.rows("SET LOCAL statement_timeout = 1; SELECT pg_sleep(60)")

    async def main() -> None:
        async with ThreadedQueries(rated) as queries:
            with pytest.raises(DatabaseUnavailableError, match=f"longer than {STATEMENT_SECONDS:g} s"):
                await queries.run(_sleep)
            assert await queries.run(lambda database: database.scalar("SHOW statement_timeout")) == "5s"

    _run(main())


def test_a_query_that_fails_leaves_no_transaction_open(rated: Database) -> None:
    async def main() -> None:
        async with ThreadedQueries(rated) as queries:
            for _ in range(8):
                with pytest.raises(ZeroDivisionError):
                    await queries.run(lambda database: database.rows("SELECT 1") and 1 / 0)
            query = "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            states = {state for (state,) in await queries.run(lambda database: database.rows(query))}
            assert states <= {"idle", None}

    _run(main())


def test_a_query_within_a_query_has_a_connection_of_its_own(rated: Database) -> None:
    def nested(database: Database) -> tuple[int, int, int]:
        with database.transaction() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            ((outer,),) = cursor.fetchall()
            inner = database.scalar("SELECT pg_backend_pid()")
            cursor.execute("SELECT pg_backend_pid()")
            return outer, inner, cursor.fetchall()[0][0]

    async def main() -> tuple[int, int, int]:
        async with ThreadedQueries(rated) as queries:
            return await queries.run(nested)

    outer, inner, again = _run(main())
    assert outer == again != inner


# A database that is away


def test_nothing_listens_at_the_address_and_the_error_says_so(platform_settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    away = Database(f"postgresql://movierec@127.0.0.1:{port}/movierec")

    async def main() -> None:
        async with LiveReader(away) as reader, ThreadedQueries(away) as queries:
            for _ in range(3):
                with pytest.raises(DatabaseUnavailableError, match=rf"127.0.0.1:{port}/movierec"):
                    await reader.ratings(1)
                with pytest.raises(DatabaseUnavailableError):
                    await queries.run(lambda database: database.scalar("SELECT 1"))

    _run(main())


def test_other_work_goes_on_while_a_server_leaves_the_connection_waiting(platform_settings: Any) -> None:
    async def main(away: Database) -> int:
        turns = 0
        async with LiveReader(away) as reader:
            asked = asyncio.ensure_future(reader.ratings(1))
            while not asked.done():
                await asyncio.sleep(0.01)
                turns += 1
            with pytest.raises(DatabaseUnavailableError, match="no answer for"):
                await asked
        return turns

    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert _run(main(Database(f"postgresql://movierec@127.0.0.1:{silent.getsockname()[1]}/movierec"))) > 5


def test_an_event_loop_that_stood_still_takes_no_database_for_silent(rated: Database) -> None:
    async def main() -> None:
        async with LiveReader(rated) as reader:
            await reader.ratings(1)
            waiting = [asyncio.ensure_future(reader.ratings(user)) for user in range(1, 200)]
            await asyncio.sleep(0)
            time.sleep(live.SILENT_SECONDS + 0.5)
            assert len(await asyncio.gather(*waiting)) == 199

    _run(main())


def _allow_connections(database: Database, allowed: bool | None) -> None:
    """Let the server refuse connections to a database, with None only new ones, or take them again."""
    name = database.url.rpartition("/")[2]
    connection = psycopg2.connect(database.url, dbname="postgres")
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {bool(allowed)}')
        if allowed is False:
            cursor.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", [name])


def test_reads_work_again_when_the_database_is_back(rated: Database) -> None:
    async def main() -> None:
        async with LiveReader(rated) as reader, ThreadedQueries(rated) as queries:
            for _ in range(2):
                assert len((await reader.ratings(1)).movie_ids) == len(MOVIES)
                assert await queries.run(lambda database: database.scalar("SELECT 1")) == 1
                _allow_connections(rated, allowed=False)
                for _ in range(3):
                    with pytest.raises(DatabaseUnavailableError):
                        await reader.ratings(1)
                    with pytest.raises(DatabaseUnavailableError):
                        await queries.run(lambda database: database.scalar("SELECT 1"))
                _allow_connections(rated, allowed=True)

    _run(main())


def _pid_of(database: Database) -> int:
    return int(database.scalar("SELECT pg_backend_pid()"))


def test_nobody_waits_for_a_query_of_a_silent_database(
    rated: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(queries, "SILENT_SECONDS", 0.2)

    async def main() -> None:
        async with ThreadedQueries(rated, threads=1) as threaded:
            pid = await threaded.run(_pid_of)
            with socket.create_server(("127.0.0.1", 0)) as says_nothing:
                silent = Database(f"postgresql://u:p@127.0.0.1:{says_nothing.getsockname()[1]}/any")
                monkeypatch.setattr(threaded, "_database_of_look", silent)  # as if the whole server stood still
                os.kill(pid, signal.SIGSTOP)
                try:
                    for _ in range(3):
                        with pytest.raises(DatabaseUnavailableError, match="no answer"):
                            await threaded.run(_pid_of)
                finally:
                    os.kill(pid, signal.SIGCONT)
                    monkeypatch.undo()
            while True:
                try:
                    assert await threaded.run(_pid_of) != pid, "the thread did not wait for the old connection"
                    break
                except DatabaseUnavailableError:
                    await asyncio.sleep(0.02)

    _run(main())
    assert not caplog.records


def test_a_query_waits_where_new_connections_are_refused_and_ends_where_its_own_is_silent(
    rated: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(kept_connection, "_CONNECT_SECONDS", int(PATIENCE))  # a busy machine is not silent

    async def main() -> None:
        async with ThreadedQueries(rated, threads=1) as threaded:
            pid = await threaded.run(_pid_of)
            _allow_connections(rated, allowed=None)
            assert await threaded.run(lambda database: database.rows("SELECT 1 FROM pg_sleep(1)")) == [(1,)]
            _allow_connections(rated, allowed=True)
            monkeypatch.setattr(threaded, "_statement_seconds", 0.2)
            stopped = [pid]
            os.kill(pid, signal.SIGSTOP)
            try:
                with pytest.raises(DatabaseUnavailableError, match="gave no answer for"):
                    await threaded.run(_pid_of)
                monkeypatch.setattr(threaded, "_statement_seconds", PATIENCE)
                stopped.append(await threaded.run(_pid_of))
                assert stopped[1] != pid, "the thread does not wait for the silent connection"
                os.kill(stopped[1], signal.SIGSTOP)
                stuck = asyncio.ensure_future(threaded.run(_pid_of))
                await asyncio.sleep(0.5)
                stuck.cancel()
                threaded.close()  # which does not wait for it either
            finally:
                for each in stopped:
                    os.kill(each, signal.SIGCONT)

    _run(main())


def test_a_database_that_says_nothing_is_unavailable_until_it_answers(
    rated: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "SILENT_SECONDS", 0.5)

    async def main() -> None:
        async with LiveReader(rated) as reader:
            await reader.ratings(1)
            (pid,) = _others(rated)
            os.kill(pid, signal.SIGSTOP)
            try:
                with pytest.raises(DatabaseUnavailableError, match=r"no answer for 0.5 s"):
                    await reader.ratings(1)
                waiting = [asyncio.ensure_future(reader.ratings(1)) for _ in range(3)]
                await asyncio.sleep(0)
                assert all(each.done() for each in waiting), "nobody waits for a silent database again"
                assert all(isinstance(each.exception(), DatabaseUnavailableError) for each in waiting)
            finally:
                os.kill(pid, signal.SIGCONT)
            while True:
                try:
                    found = await reader.ratings(1)
                    break
                except DatabaseUnavailableError:
                    await asyncio.sleep(0.02)
            assert len(found.movie_ids) == len(MOVIES)

    _run(main())
