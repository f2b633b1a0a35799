"""Tables, views and their replacement in a real Postgres, while other connections read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import numpy as np
import psycopg2
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg2.extras import execute_values

from movierec_assets.ratings import ELIGIBLE_ABOVE, FIRST_APP_USER_ID
from movierec_assets.tables import histories
from movierec_assets.tables.binary_copy import Kind
from movierec_assets.tables.database import (
    SCHEMA,
    Database,
    DatabaseFullError,
    DatabaseUnavailableError,
    Load,
    copy_rows,
    record_load,
)
from movierec_assets.tables.histories import RatedByUsers, read_positives, read_users
from movierec_assets.tables.served import SERVED_TABLES, ServedTable
from movierec_tests.defs.harness import RATING_COLUMNS, count_users, load_films, new_app_users
from movierec_tests.waiting import PATIENCE, until_somebody_waits, wait_until

POPULAR: dict[str, Kind] = {"rank": "integer", "movie_id": "integer", "score": "real", "model_version": "integer"}
MOVIE_COLUMNS = ("movie_id", "title", "year", "genres", "imdb_id", "tmdb_id")


def _popular(version: int, rows: int = 400) -> dict[str, Any]:
    return {
        "rank": np.arange(1, rows + 1),
        "movie_id": np.arange(rows),
        "score": np.ones(rows),
        "model_version": np.full(rows, version),
    }


def _replace_popular(database: Database, version: int) -> None:
    with database.replace("popular_movies") as table:
        assert table.write(_popular(version), POPULAR) == 400


def _versions(database: Database) -> list[tuple[Any, ...]]:
    return database.rows(f"SELECT model_version, count(*) FROM {SCHEMA}.popular_movies GROUP BY 1 ORDER BY 1")


def _read_by_query(database: Database) -> list[int]:
    return [row[0] for row in database.rows(f"SELECT model_version FROM {SCHEMA}.popular_movies")]


def _read_by_copy(database: Database) -> list[int]:
    query = f"SELECT model_version FROM {SCHEMA}.popular_movies"
    versions: list[int] = database.columns(query, {"model_version": "integer"})["model_version"].tolist()
    return versions


# Replacement


@pytest.mark.parametrize("read", [_read_by_query, _read_by_copy])
def test_readers_see_all_old_or_all_new_rows_while_a_table_is_replaced(
    database: Database, read: Callable[[Database], list[int]]
) -> None:
    _replace_popular(database, 0)
    seen: list[list[int]] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.append(read(database))

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(look) for _ in range(3)]
        try:
            for version in range(1, 31):
                _replace_popular(database, version)
                _wait_for_looks(seen, len(seen) + len(readers), readers)  # one of them began after the replacement
        finally:
            done.set()
        for reader in readers:
            reader.result()
    assert {len(rows) for rows in seen} == {400}
    assert {len(set(rows)) for rows in seen} == {1}
    assert len({rows[0] for rows in seen}) > 1, "the readers never saw a replacement"


@pytest.mark.parametrize("read", [_read_by_query, _read_by_copy])
def test_a_reader_that_waits_for_a_replacement_gets_the_new_rows(
    database: Database, read: Callable[[Database], list[int]]
) -> None:
    _replace_popular(database, 1)
    with ThreadPoolExecutor() as pool:
        with database.replace("popular_movies") as table:
            table.write(_popular(2), POPULAR)
            # The replacement takes this lock later, from the swap to its commit; here, so that the reader has to wait.
            table.cursor.execute(f"LOCK TABLE {SCHEMA}.popular_movies IN ACCESS EXCLUSIVE MODE")
            waiting = pool.submit(read, database)
            until_somebody_waits(database)
        assert waiting.result(timeout=PATIENCE) == [2] * 400


def test_an_exception_leaves_the_old_rows_and_nothing_else(database: Database) -> None:
    _replace_popular(database, 1)
    tables = database.rows("SELECT relname FROM pg_class ORDER BY 1")

    def breaks_off() -> None:
        with database.replace("popular_movies") as table:
            table.write(_popular(2), POPULAR)
            raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        breaks_off()
    assert _versions(database) == [(1, 400)]
    assert database.rows("SELECT relname FROM pg_class ORDER BY 1") == tables


def test_a_full_disk_of_the_server_is_explained_and_leaves_the_old_rows(database: Database) -> None:
    _replace_popular(database, 1)
    # What Postgres says when a file of a table cannot grow.
    full = "RAISE EXCEPTION USING ERRCODE = 'disk_full', MESSAGE = 'could not extend file \"base/5/77\"'"

    def fills_the_disk() -> None:
        with database.replace("popular_movies") as table:
            table.write(_popular(2), POPULAR)
            table.cursor.execute(f"DO $$ BEGIN {full}; END $$")

    with pytest.raises(DatabaseFullError, match=r'The disk of Postgres is full: could not extend file "base/5/77"'):
        fills_the_disk()
    assert _versions(database) == [(1, 400)]


def test_rows_that_break_the_primary_key_leave_the_old_rows(database: Database) -> None:
    _replace_popular(database, 1)
    columns = _popular(2) | {"rank": np.ones(400)}
    with pytest.raises(psycopg2.errors.UniqueViolation), database.replace("popular_movies") as table:
        table.write(columns, POPULAR)
    assert _versions(database) == [(1, 400)]


def test_two_replacements_at_once_both_succeed_one_after_the_other(database: Database) -> None:
    together = threading.Barrier(2)
    order: list[tuple[str, int]] = []

    def replace(version: int) -> None:
        together.wait()
        with database.replace("popular_movies") as table:
            order.append(("in", version))
            table.write(_popular(version), POPULAR)
            order.append(("out", version))

    with ThreadPoolExecutor() as pool:
        list(pool.map(replace, [1, 2]))
    (first_in, first_out, second_in, second_out) = order
    assert (first_in[0], second_in[0]) == ("in", "in")
    assert first_in[1] == first_out[1] != second_in[1] == second_out[1]
    assert _versions(database) == [(second_in[1], 400)]


def test_tables_of_different_names_are_replaced_side_by_side(database: Database) -> None:
    with database.replace("popular_movies") as popular:
        with database.replace("movies") as movies:
            movies.write_rows(MOVIE_COLUMNS, [(1, "Heat", 1995, [], None, None)])
        popular.write(_popular(1), POPULAR)
    assert database.scalar(f"SELECT count(*) FROM {SCHEMA}.movies") == 1
    assert _versions(database) == [(1, 400)]


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("movies", "movie_id"),
        ("ratings", "user_id,movie_id"),
        ("user_recommendations", "user_id,rank"),
        ("similar_movies", "movie_id,rank"),
        ("popular_movies", "rank"),
    ],
)
def test_the_new_rows_are_indexed_by_the_primary_key(database: Database, table: str, key: str) -> None:
    for _ in range(2):
        with database.replace(table):
            pass
    found = database.rows(
        """
        SELECT string_agg(a.attname, ',' ORDER BY array_position(x.indkey::int2[], a.attnum)), x.indisvalid
        FROM pg_inherits i
        JOIN pg_index x ON x.indrelid = i.inhrelid AND x.indisprimary
        JOIN pg_attribute a ON a.attrelid = i.inhrelid AND a.attnum = ANY(x.indkey)
        WHERE i.inhparent = %s::regclass
        GROUP BY x.indisvalid
        """,
        [f"{SCHEMA}.{table}"],
    )
    assert found == [(key, True)]


@pytest.mark.parametrize("table", SERVED_TABLES, ids=lambda table: table.name)
def test_a_served_table_has_the_columns_of_its_definition(database: Database, table: ServedTable) -> None:
    found = database.rows(
        """SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
           WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum""",
        [f"{SCHEMA}.{table.name}"],
    )
    assert found == list(table.kinds.items())


def test_the_schema_survives_replacements_with_its_views(database: Database) -> None:
    for stars in (3.0, 4.0):
        _load_ratings(database, [(1, movie, stars, 10) for movie in range(1, 7)])
    assert database.rows(f"SELECT DISTINCT rating FROM {SCHEMA}.current_ratings") == [(4.0,)]
    _refresh(database)
    assert database.rows(f"SELECT user_id, ratings FROM {SCHEMA}.eligible_users") == [(1, 6)]


# Rows


_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
_movies = st.tuples(
    _texts,
    st.none() | st.integers(1874, 2100),
    st.lists(_texts, max_size=3),
    st.none() | _texts,
    st.none() | st.integers(1, 2**31 - 1),
)


@settings(max_examples=40, deadline=None)
@given(movies=st.lists(_movies, max_size=5))
@example(movies=[("", None, [], None, None), ('a,"b"', 1995, ['"', "\\", ",", "{}", "NULL", ""], "", 1)])
@example(movies=[("Cité\nEnfants, La \\. \\N", 1995, ["Film-Noir", "naïve'\r\n\t"], "\\.", None)])
def test_text_numbers_nothing_and_lists_come_back_as_they_were_written(
    shared_database: Database, movies: list[tuple[Any, ...]]
) -> None:
    written = [(number, *movie) for number, movie in enumerate(movies)]
    with shared_database.replace("movies") as table:
        assert table.write_rows(MOVIE_COLUMNS, iter(written)) == len(written)
    names = ", ".join(MOVIE_COLUMNS)
    assert shared_database.rows(f"SELECT {names} FROM {SCHEMA}.movies ORDER BY movie_id") == written


def test_rows_beyond_one_batch_are_all_written(database: Database) -> None:
    with database.transaction() as cursor:
        rows = (("ratings.csv", line, "text", "reason") for line in range(25_001))
        assert copy_rows(cursor, "rejected_ratings", ("file", "line", "raw_text", "reason"), rows) == 25_001
    assert database.scalar(f"SELECT count(DISTINCT line) FROM {SCHEMA}.rejected_ratings") == 25_001


def test_parameters_are_bound_into_a_query_that_is_copied(database: Database) -> None:
    found = database.columns(
        "SELECT n FROM generate_series(1, 9) n WHERE n %% 2 = %s AND 'it''s' = %s", {"n": "integer"}, [1, "it's"]
    )
    assert found["n"].tolist() == [1, 3, 5, 7, 9]


def test_the_last_load_of_a_table_is_what_was_recorded_last(database: Database) -> None:
    assert database.last_load("ratings") is None
    for version in ("1:a", "1:b"):
        with database.transaction() as cursor:
            record_load(cursor, "ratings", Load(version, "/somewhere", {"rows": 3, "rejected": {"über": 1}}))
    assert database.last_load("ratings") == Load("1:b", "/somewhere", {"rows": 3, "rejected": {"über": 1}})
    assert database.last_load("movies") is None


def _wait_for_looks(seen: list[list[int]], number: int, readers: list[Future[None]]) -> None:
    """Return after more than some number of reads, or when a reader has ended early."""
    wait_until(lambda: len(seen) > number or any(reader.done() for reader in readers), "a look")


# Views

_START = datetime(2020, 1, 1, tzinfo=UTC)
_stars = st.integers(1, 10).map(lambda halves: halves / 2)
_CATALOGUE = range(1, 9)
_APP_USERS = [FIRST_APP_USER_ID, FIRST_APP_USER_ID + 1]
_USERS = [1, 2, 3, *_APP_USERS]
_file = st.dictionaries(
    st.tuples(st.integers(1, 3), st.sampled_from(_CATALOGUE)), st.tuples(_stars, st.integers(0, 3)), max_size=24
)
# The last movie is not in the catalogue.
_app = st.lists(st.tuples(st.sampled_from(_USERS), st.integers(1, 9), _stars, st.integers(0, 3)), max_size=24)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(file=_file, app=_app, histories_kept=st.booleans())
@example(file={(1, 1): (2.0, 1)}, app=[(1, 1, 5.0, 1), (1, 1, 3.0, 1), (1, 1, 4.0, 0)], histories_kept=True)
@example(
    file={(1, movie): (4.0, 0) for movie in range(1, 6)}, app=[(1, 1, 1.0, 1), (1, 1, 2.0, 2)], histories_kept=False
)
def test_the_latest_rating_of_a_pair_counts_and_users_need_more_than_five_pairs(
    shared_database: Database,
    file: dict[tuple[int, int], tuple[float, int]],
    app: list[tuple[int, int, float, int]],
    histories_kept: bool,
) -> None:
    in_file = {user for user, _ in file}
    app = [row for row in app if row[0] in (in_file | set(_APP_USERS))]  # others are refused
    load_films(shared_database, _CATALOGUE)
    _load_ratings(shared_database, [(*pair, *rating) for pair, rating in file.items()], histories=histories_kept)
    with shared_database.transaction() as cursor:
        cursor.execute(f"TRUNCATE {SCHEMA}.app_ratings, {SCHEMA}.app_users RESTART IDENTITY")
        assert new_app_users(cursor, len(_APP_USERS)) == _APP_USERS
        if app:
            _post(cursor, app)
    _refresh(shared_database)

    # At equal times a rating of the app supersedes one of the file, and a later post supersedes an earlier one.
    expected = dict(file)
    for user, movie, stars, day in app:
        if movie in _CATALOGUE and ((user, movie) not in expected or day >= expected[user, movie][1]):
            expected[user, movie] = (stars, day)
    found = shared_database.rows(f"SELECT user_id, movie_id, rating, rated_at FROM {SCHEMA}.current_ratings")
    assert len(found) == len(expected)
    assert {(user, movie): (stars, (at - _START).days) for user, movie, stars, at in found} == expected

    pairs = [sum(pair[0] == user for pair in expected) for user in _USERS]
    eligible = {user: count for user, count in zip(_USERS, pairs, strict=True) if count > 5}
    assert dict(shared_database.rows(f"SELECT user_id, ratings FROM {SCHEMA}.eligible_users")) == eligible
    users = shared_database.rows(f"SELECT user_id FROM {SCHEMA}.rating_users ORDER BY 1")
    assert users == [(user,) for user, count in zip(_USERS, pairs, strict=True) if count]

    with patch.object(histories, "_MAX_BLOCK", 1):  # a block a user
        positives = read_positives(shared_database, 4.0)
    assert positives.user_id.tolist() == sorted(positives.user_id.tolist())
    days = (positives.rated_at - int(_START.timestamp())) // 86_400
    assert sorted(zip(positives.user_id, positives.movie_id, positives.rating, days, strict=True)) == sorted(
        (user, movie, stars, day) for (user, movie), (stars, day) in expected.items() if user in eligible and stars >= 4
    )

    for chosen in (None, [3, 1, _APP_USERS[0]]):
        blocks = list(read_users(shared_database, 4.0, chosen))
        assert sorted(_rows_of(blocks)) == sorted(
            (user, movie, stars, day if stars >= 4 else None)
            for (user, movie), (stars, day) in expected.items()
            if chosen is None or user in chosen
        )


@pytest.mark.parametrize(("count", "eligible"), [(ELIGIBLE_ABOVE, False), (ELIGIBLE_ABOVE + 1, True)])
def test_six_rated_movies_make_a_user_eligible_and_five_do_not(database: Database, count: int, eligible: bool) -> None:
    assert ELIGIBLE_ABOVE == 5
    load_films(database, range(1, 7))
    _load_ratings(database, [(1, movie, 4.0, 0) for movie in range(1, count + 1)])
    with database.transaction() as cursor:
        _post(cursor, [(1, 1, 3.0, day) for day in range(1, 9)])  # one movie, over and over
    _refresh(database)
    assert bool(database.rows(f"SELECT FROM {SCHEMA}.eligible_users")) is eligible


@pytest.mark.parametrize("stars", [0.0, 0.4, 5.5, 3.2, float("nan"), -1])
def test_the_app_cannot_store_a_rating_off_the_grid(database: Database, stars: float) -> None:
    with database.transaction() as cursor:
        user = new_app_users(cursor)[0]
    post = f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating) VALUES (%s, 1, %s)"
    with pytest.raises(psycopg2.errors.CheckViolation), database.transaction() as cursor:
        cursor.execute(post, [user, stars])


# Connections


@pytest.mark.parametrize("external", [True, False])
def test_a_database_that_does_not_answer_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, external: bool
) -> None:
    url = "postgresql://somebody:hidden@127.0.0.1:1/films"
    monkeypatch.setenv("MOVIEREC_DATABASE_URL" if external else "MOVIEREC_EMBEDDED_DATABASE_URL", url)
    with pytest.raises(DatabaseUnavailableError) as raised, Database(url).connect():
        pass
    message = str(raised.value)
    assert "127.0.0.1:1/films" in message
    assert ("movierec db start" in message) is not external
    assert ("correct MOVIEREC_DATABASE_URL" in message) is external
    assert "hidden" not in message


def test_a_database_that_does_not_exist_is_named(server_url: str) -> None:
    absent = Database(server_url.replace("/template_movierec", "/nowhere"))
    with pytest.raises(DatabaseUnavailableError, match="/nowhere"):
        absent.scalar("SELECT 1")


def test_connections_are_closed_even_after_an_error(database: Database) -> None:
    for _ in range(3):
        with pytest.raises(psycopg2.errors.DivisionByZero):
            database.scalar("SELECT 1 / 0")
        database.scalar("SELECT 1")
    others = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    """
    wait_until(lambda: database.scalar(others) == 0, "the end of all connections")


def _rating_columns(rows: list[tuple[int, int, float, int]]) -> dict[str, Any]:
    users, movies, stars, days = zip(*rows, strict=True) if rows else ((), (), (), ())
    return {
        "user_id": np.array(users, np.int32),
        "movie_id": np.array(movies, np.int32),
        "rating": np.array(stars, np.float32),
        "rated_at": np.array([int((_START + timedelta(days=day)).timestamp()) for day in days], np.int64),
    }


def _rows_of(blocks: list[RatedByUsers]) -> list[tuple[int, int, float, int | None]]:
    """User, movie, stars, and the day of a like."""
    rows: list[tuple[int, int, float, int | None]] = []
    for block in blocks:
        users = np.repeat(block.user_ids, block.per_user).tolist()
        liked_at = iter(block.liked_at.tolist())
        rows += [
            (user, movie, stars, (datetime.fromtimestamp(next(liked_at), UTC) - _START).days if liked else None)
            for user, movie, stars, liked in zip(
                users, block.movie_id.tolist(), block.rating.tolist(), block.liked.tolist(), strict=True
            )
        ]
        assert next(liked_at, None) is None
    return rows


def _load_ratings(database: Database, rows: list[tuple[int, int, float, int]], *, histories: bool = False) -> None:
    with database.replace("ratings", companions=["rating_histories"] if histories else []) as table:
        table.write(_rating_columns(rows), RATING_COLUMNS)
        count_users(table)
    if histories:  # the triggers fill their table
        with database.transaction() as cursor:
            cursor.execute(f"UPDATE {SCHEMA}.ratings SET line = 1")
    assert database.scalar(f"SELECT {SCHEMA}.has_histories()") == histories


def _post(cursor: Any, ratings: list[tuple[int, int, float, int]]) -> None:
    rows = [(user, movie, stars, _START + timedelta(days=day)) for user, movie, stars, day in ratings]
    execute_values(cursor, f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating, rated_at) VALUES %s", rows)


def _refresh(database: Database) -> None:
    with database.transaction() as cursor:
        cursor.execute(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {SCHEMA}.eligible_users")
