"""Databases of earlier releases, opened by this one."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from psycopg2 import sql
from psycopg2.errors import NotNullViolation

from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.ratings import FIRST_APP_USER_ID
from movierec_assets.tables import migrations
from movierec_assets.tables.app_ratings import withdraw_rating
from movierec_assets.tables.app_users import refresh_eligible_users
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.loading import load_movies, load_ratings
from movierec_assets.tables.migrations import VERSION_TABLE, latest_version, migrate, version_of
from movierec_tests.conftest import Dataset
from movierec_tests.defs.harness import new_app_users
from movierec_tests.waiting import PATIENCE, until_somebody_waits

LINES = [f"{user},{movie},4.0,{1_000_000_000 + movie}" for user in (1, 2, 5) for movie in range(1, user + 5)]
LINES.append("7,1,3.5,1000000000")
USERS = [(1, 5), (2, 6), (5, 9), (7, 1)]
ELIGIBLE = [(2, 6), (5, 9)]
LAST_UNNUMBERED = "0003"
"""Migrations up to this one also bring forward databases that have everything, but no version."""
_BEFORE_TOTALS_OF_USERS = Path(__file__).with_name("schema_before_user_totals.sql")
_BEFORE_APP_USERS = Path(__file__).with_name("schema_before_app_users.sql")
_BEFORE_LINES = Path(__file__).with_name("schema_before_lines.sql")


def _unnumber(database: Database) -> None:
    """Make the schema of the last release without version numbers."""
    with database.transaction() as cursor:
        cursor.execute(f"DROP TABLE {VERSION_TABLE}")


def _migrate_to(database: Database, version: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring a database to the release whose last migration has this number."""
    earlier = directory / "migrations"
    shutil.copytree(migrations.MIGRATIONS, earlier)
    for path in (earlier / "versions").glob("[0-9]*.py"):
        if path.name.partition("_")[0] > version:
            path.unlink()
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "MIGRATIONS", earlier)
        migrate(database)
        assert version_of(database) == version


def _make(database: Database, schema: Path) -> None:
    with database.transaction() as cursor:
        cursor.execute(schema.read_text(encoding="utf-8"))


_TABLES = ("movies", "ratings", "rating_totals", "loads")


def _loaded_before(
    database: Database,
    files: MovieLensFiles,
    schema: Path = _BEFORE_TOTALS_OF_USERS,
    tables: tuple[str, ...] = _TABLES,
) -> None:
    """Fill the tables as the release with this schema did when it loaded files."""
    migrate(database)
    load_movies(database, files)
    load_ratings(database, files)
    with database.transaction() as cursor:
        for table in tables:
            cursor.execute(f"CREATE TEMPORARY TABLE kept_{table} ON COMMIT DROP AS SELECT * FROM {SCHEMA}.{table}")
        if "datasets" not in tables:
            cursor.execute("ALTER TABLE kept_loads DROP COLUMN dataset_id")
        cursor.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
        cursor.execute(schema.read_text(encoding="utf-8"))
        for table in ("movies", "ratings"):
            whole = f"CREATE TABLE {SCHEMA}.{table}_1 PARTITION OF {SCHEMA}.{table} FOR VALUES FROM (MINVALUE) TO "
            cursor.execute(f"{whole} (MAXVALUE)")
        for table in tables:
            cursor.execute(f"INSERT INTO {SCHEMA}.{table} OVERRIDING SYSTEM VALUE SELECT * FROM kept_{table}")


def _users(database: Database) -> list[tuple[int, int]]:
    return database.rows(f"SELECT user_id, ratings FROM {SCHEMA}.user_totals ORDER BY 1")


def _eligible(database: Database) -> list[tuple[int, int]]:
    query = f"SELECT user_id, ratings FROM {SCHEMA}.eligible_users ORDER BY 1"
    return database.rows(query)


def test_users_of_a_database_without_their_totals_are_counted_and_nothing_is_loaded_again(
    empty_database: Database, make_dataset: Dataset
) -> None:
    database, files = empty_database, MovieLensFiles.at(make_dataset(LINES))
    _loaded_before(database, files)
    assert database.scalar("SELECT to_regclass('movierec.user_totals')") is None
    with database.transaction() as cursor:
        cursor.execute(f"REFRESH MATERIALIZED VIEW {SCHEMA}.eligible_users")
    before = _eligible(database), database.rows(f"SELECT user_id FROM {SCHEMA}.rating_users ORDER BY 1")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: migrate(database), range(4)))
    after = _eligible(database), database.rows(f"SELECT user_id FROM {SCHEMA}.rating_users ORDER BY 1")
    assert before == after == (ELIGIBLE, [(user,) for user, _ in USERS])
    assert _users(database) == USERS
    assert not load_ratings(database, files).reloaded
    with files.ratings.open("a") as stream:
        stream.write("7,2,3.5,1000000000\n")
    assert load_ratings(database, files).appended == 1
    assert _users(database) == [*USERS[:-1], (7, 2)]


def test_totals_of_users_are_counted_once_and_then_left_to_the_loads(
    empty_database: Database, make_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = empty_database
    _loaded_before(database, MovieLensFiles.at(make_dataset(LINES)))
    _migrate_to(database, LAST_UNNUMBERED, tmp_path, monkeypatch)
    with database.transaction() as cursor:
        cursor.execute(f"DELETE FROM {SCHEMA}.user_totals")
    _unnumber(database)
    migrate(database)
    assert _users(database) == []


def test_decisions_of_an_earlier_release_are_kept_and_new_ones_can_be_held(
    empty_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = empty_database
    _migrate_to(database, LAST_UNNUMBERED, tmp_path, monkeypatch)
    with database.transaction() as cursor:
        cursor.execute(f"DROP TABLE {SCHEMA}.promotion_holds")
        cursor.execute(f"ALTER TABLE {SCHEMA}.promotion_decisions DROP COLUMN version_tags")
        cursor.execute(
            f"""INSERT INTO {SCHEMA}.promotion_decisions
                    (model_version, outcome, promoted, reason, numbers, decided_by, state)
                VALUES (1, 'first', true, 'The first one.', '{{}}', 'test', 'done')"""
        )
    _unnumber(database)
    migrate(database)
    found = database.rows(f"SELECT model_version, version_tags FROM {SCHEMA}.promotion_decisions")
    assert found == [(1, {})]
    assert database.scalar(f"SELECT count(*) FROM {SCHEMA}.promotion_holds") == 0


def test_a_load_that_is_at_work_is_waited_for_and_counted(empty_database: Database) -> None:
    database = empty_database
    _make(database, _BEFORE_TOTALS_OF_USERS)
    with ThreadPoolExecutor(1) as pool:
        with database.replace("ratings") as table:
            table.write_rows(("user_id", "movie_id", "rating", "rated_at"), [(1, 1, 4.0, "2001-01-01")])
            opened = pool.submit(migrate, database)
            until_somebody_waits(database)
            assert not opened.done()
        opened.result(timeout=PATIENCE)
    assert _users(database) == [(1, 1)]


def test_a_database_without_lines_has_its_users_counted_and_loads_its_file_again(
    empty_database: Database, make_dataset: Dataset
) -> None:
    database, files = empty_database, MovieLensFiles.at(make_dataset(LINES))
    _make(database, _BEFORE_LINES)
    with database.replace("ratings") as table:
        columns = ("user_id", "movie_id", "rating", "rated_at")
        table.write_rows(columns, [(3, movie, 4.0, "2001-01-01") for movie in range(1, 8)])
        table.cursor.execute(
            sql.SQL("INSERT INTO {}.loads (table_name, version, source, details) VALUES (%s, %s, %s, %s)").format(
                sql.Identifier(SCHEMA)
            ),
            ["ratings", "2:of another version", "/somewhere", '{"rows": 7, "rows_read": 7, "rejected": {}}'],
        )
    migrate(database)
    assert _users(database) == _eligible(database) == [(3, 7)]
    load_movies(database, files)
    loaded = load_ratings(database, files)
    assert (loaded.reloaded, loaded.appended) == (True, None)
    with database.transaction() as cursor:
        cursor.execute(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {SCHEMA}.eligible_users")
    assert (_users(database), _eligible(database)) == (USERS, ELIGIBLE)
    assert database.scalar(f"SELECT sum(ratings) FROM {SCHEMA}.rating_totals") == len(LINES)


# Ratings of the app from before they had datasets, and before their users had a table

_OLD_POSTS = [(1, 7, 4.0), (1, 1, 2.0), (1000, 2, 5.0), *((FIRST_APP_USER_ID + 5, movie, 4.5) for movie in range(1, 7))]
_OTHER_FILMS = [f"{number},Other {number} (2001),Drama" for number in range(1, 41)]


def _post_as_before(database: Database) -> list[tuple[Any, ...]]:
    """Post under any user id, as earlier releases allowed; returns the rows of the table."""
    with database.transaction() as cursor:
        posts = f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating) VALUES (%s, %s, %s)"
        cursor.executemany(posts, _OLD_POSTS)
    return _posts(database)


def _posts(database: Database) -> list[tuple[Any, ...]]:
    return database.rows(
        f"SELECT rating_id, user_id, movie_id, rating, rated_at FROM {SCHEMA}.app_ratings ORDER BY rating_id"
    )


def _datasets_of_posts(database: Database) -> list[tuple[Any, ...]]:
    return database.rows(f"SELECT dataset_id, count(*) FROM {SCHEMA}.app_ratings GROUP BY 1")


def test_an_upgrade_keeps_every_rating_of_the_app_and_gives_it_the_loaded_dataset(
    empty_database: Database, make_dataset: Dataset
) -> None:
    database, files = empty_database, MovieLensFiles.at(make_dataset(LINES))
    _loaded_before(database, files, _BEFORE_APP_USERS, ("datasets", "user_totals", *_TABLES))
    posted = _post_as_before(database)
    with database.transaction() as cursor:
        cursor.execute(f"REFRESH MATERIALIZED VIEW {SCHEMA}.eligible_users")
    views = [f"SELECT * FROM {SCHEMA}.{view} ORDER BY 1, 2" for view in ("current_ratings", "eligible_users")]
    before = [database.rows(view) for view in views]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: migrate(database), range(4)))
    assert _posts(database) == posted
    assert _datasets_of_posts(database) == [(1, len(_OLD_POSTS))]
    assert [database.rows(view) for view in views] == before
    assert (FIRST_APP_USER_ID + 5, 6) in before[1]


def test_an_upgrade_gives_no_id_of_the_app_twice(empty_database: Database) -> None:
    database = empty_database
    _make(database, _BEFORE_APP_USERS)
    _post_as_before(database)
    with database.transaction() as cursor:  # earlier versions loaded files with users up to 2,000,000,000
        cursor.execute(f"INSERT INTO {SCHEMA}.user_totals VALUES (%s, 1)", [FIRST_APP_USER_ID + 9])
    migrate(database)
    assert database.rows(f"SELECT user_id FROM {SCHEMA}.app_users") == [(FIRST_APP_USER_ID + 5,)]
    with database.transaction() as cursor:
        assert new_app_users(cursor) == [FIRST_APP_USER_ID + 10]


def test_ratings_of_the_app_get_their_dataset_with_the_ratings_of_a_version_without_datasets(
    empty_database: Database, make_dataset: Dataset
) -> None:
    database, files = empty_database, MovieLensFiles.at(make_dataset(LINES))
    _loaded_before(database, files)
    posted = _post_as_before(database)
    migrate(database)
    assert _datasets_of_posts(database) == [(None, len(_OLD_POSTS))]
    valid = f"SELECT count(*) FROM {SCHEMA}.valid_app_ratings"
    assert database.scalar(valid) == len(_OLD_POSTS)
    other = MovieLensFiles.at(make_dataset(LINES, _OTHER_FILMS, name="other"))
    for loaded, count in ((other, 0), (files, len(_OLD_POSTS))):
        load_movies(database, loaded)
        load_ratings(database, loaded)
        assert database.scalar(valid) == count
        assert _datasets_of_posts(database) == [(1, len(_OLD_POSTS))]
    assert _posts(database) == posted


# Ratings of the app from before they could be withdrawn


def test_an_upgrade_lets_ratings_be_withdrawn_and_keeps_everything(
    empty_database: Database, make_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, files = empty_database, MovieLensFiles.at(make_dataset(LINES))
    _loaded_before(database, files, _BEFORE_APP_USERS, ("datasets", "user_totals", *_TABLES))
    _migrate_to(database, "0003", tmp_path, monkeypatch)
    with database.transaction() as cursor:
        (user,) = new_app_users(cursor)
        posts = [(1, 7, 4.0), (1, 1, 2.0), (1, 1, 2.5), *((user, movie, 4.5) for movie in range(1, 8))]
        cursor.executemany(f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating) VALUES (%s, %s, %s)", posts)
        cursor.execute(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {SCHEMA}.eligible_users")
    with pytest.raises(NotNullViolation), database.transaction() as cursor:
        cursor.execute(f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id) VALUES (1, 1)")

    def seen() -> list[list[tuple[Any, ...]]]:
        views = ("app_ratings", "current_ratings", "eligible_users")
        return [database.rows(f"SELECT * FROM {SCHEMA}.{view} ORDER BY 1, 2") for view in views]

    before = seen()
    assert (user, 7) in before[2]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: migrate(database), range(4)))
    assert seen() == before
    with database.transaction() as cursor:
        withdraw_rating(cursor, 2, 1)
        for movie in (1, 2):
            withdraw_rating(cursor, user, movie)
        refresh_eligible_users(cursor)
    assert _eligible(database) == [(1, 6), *ELIGIBLE[1:]], "five are left to user 2 and to the user of the app"
    with database.transaction() as cursor:
        cursor.execute(f"DELETE FROM {SCHEMA}.app_users")
    assert database.scalar(f"SELECT count(*) FROM {SCHEMA}.app_ratings WHERE user_id = %s", [user]) == 0


def test_the_upgrade_waits_for_a_reader_of_eligible_users_and_later_readers_do_not(
    empty_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = empty_database
    _migrate_to(database, "0003", tmp_path, monkeypatch)
    query = f"SELECT count(*) FROM {SCHEMA}.eligible_users"
    with ThreadPoolExecutor(2) as pool:
        with database.transaction() as cursor:
            cursor.execute(query)
            migrated = pool.submit(migrate, database)
            until_somebody_waits(database)
            assert pool.submit(database.scalar, query).result(timeout=PATIENCE) == 0
            assert not migrated.done()
        migrated.result(timeout=PATIENCE)
    assert version_of(database) == latest_version()
