"""Ratings of the app: who may post them, which of them count, and how the others are stored."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg2
import pytest

from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.defs.sources import sources_of
from movierec_assets.ratings import FIRST_APP_USER_ID
from movierec_assets.sql import read_sql
from movierec_assets.tables.app_ratings import post_rating, settled_watermark, update_rejects, withdraw_rating
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.histories import read_positives, read_users
from movierec_assets.tables.loading import load_movies, load_ratings
from movierec_tests.conftest import Dataset
from movierec_tests.defs.harness import count_users, load_films, new_app_users
from movierec_tests.waiting import PATIENCE, until_somebody_waits

FILMS = [f"{number},Film {number} (1999),Drama" for number in range(1, 41)]
OTHER_FILMS = [f"{number},Other {number} (2001),Drama" for number in range(1, 41)]
RATINGS = [f"{user},{movie},4.0,{1_000_000_000 + movie}" for user in (1, 2, 3, 4) for movie in range(user, user + 6)]


def _load(
    database: Database, make: Dataset, films: list[str] = FILMS, ratings: list[str] = RATINGS, name: str = "ours"
) -> None:
    files = MovieLensFiles.at(make(ratings, films, name=name))
    load_movies(database, files)
    load_ratings(database, files)


def _new_user(database: Database) -> int:
    with database.transaction() as cursor:
        return new_app_users(cursor)[0]


def _post(database: Database, user: int, *movies: int, stars: float = 5.0) -> None:
    with database.transaction() as cursor:
        for movie in movies:
            cursor.execute(
                f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating, rated_at) "
                "VALUES (%s, %s, %s, '2020-01-01 00:00:00.5+00')",
                [user, movie, stars],
            )


def _refresh(database: Database) -> None:
    with database.transaction() as cursor:
        cursor.execute(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {SCHEMA}.eligible_users")


def _current(database: Database, user: int) -> list[tuple[int, float]]:
    query = f"SELECT movie_id, rating FROM {SCHEMA}.current_ratings WHERE user_id = %s ORDER BY movie_id"
    return database.rows(query, [user])


def _rejects(database: Database, file: str = "app_ratings") -> list[tuple[Any, ...]]:
    query = f"SELECT line, reason, raw_text FROM {SCHEMA}.rejected_ratings WHERE file = %s ORDER BY line"
    return database.rows(query, [file])


# Users


def test_app_users_get_ids_from_1_000_000_000_up(database: Database) -> None:
    assert [_new_user(database) for _ in range(3)] == [FIRST_APP_USER_ID + at for at in range(3)]
    assert FIRST_APP_USER_ID == 1_000_000_000
    assert database.scalar(f"SELECT last_value FROM {SCHEMA}.app_user_ids") == FIRST_APP_USER_ID + 2


def test_the_table_of_app_users_refuses_lower_ids(database: Database) -> None:
    insert = f"INSERT INTO {SCHEMA}.app_users (user_id) OVERRIDING SYSTEM VALUE VALUES (%s)"
    with pytest.raises(psycopg2.errors.CheckViolation), database.transaction() as cursor:
        cursor.execute(insert, [FIRST_APP_USER_ID - 1])


def test_a_user_of_the_loaded_file_may_rate_in_the_app(database: Database, make_dataset: Dataset) -> None:
    _load(database, make_dataset)
    _post(database, 1, 1, 40)
    assert [pair for pair in _current(database, 1) if pair[0] in (1, 40)] == [(1, 5.0), (40, 5.0)]


@pytest.mark.parametrize("user", [5, FIRST_APP_USER_ID - 1, 0, -1])
def test_an_id_below_that_no_user_of_the_loaded_file_has_is_refused(
    database: Database, make_dataset: Dataset, user: int
) -> None:
    _load(database, make_dataset)
    with pytest.raises(
        psycopg2.errors.ForeignKeyViolation, match=f"user {user} is not in the loaded ratings"
    ) as raised:
        _post(database, user, 1)
    hint = raised.value.diag.message_hint
    assert hint is not None
    assert "movierec.app_users" in hint


def test_a_user_of_another_file_than_the_loaded_one_is_refused(database: Database, make_dataset: Dataset) -> None:
    _load(database, make_dataset)
    _post(database, 4, 1)
    _load(database, make_dataset, OTHER_FILMS, RATINGS[:18], name="other")
    with pytest.raises(psycopg2.errors.ForeignKeyViolation, match="user 4"):
        _post(database, 4, 1)


def test_an_id_of_the_app_that_nobody_has_is_refused(database: Database, make_dataset: Dataset) -> None:
    _load(database, make_dataset)
    user = _new_user(database)
    _post(database, user, 1)
    with pytest.raises(psycopg2.errors.ForeignKeyViolation, match=f"user {user + 1} is not in movierec.app_users"):
        _post(database, user + 1, 1)


def test_erasing_a_user_of_the_app_erases_ratings_and_rejects(database: Database, make_dataset: Dataset) -> None:
    _load(database, make_dataset)
    users = _new_user(database), _new_user(database)
    for user in users:
        _post(database, user, 1, 99)
    assert update_rejects(database) == 2
    with database.transaction() as cursor:
        cursor.execute(f"DELETE FROM {SCHEMA}.app_users WHERE user_id = %s", [users[0]])
    assert database.rows(f"SELECT DISTINCT user_id FROM {SCHEMA}.app_ratings") == [(users[1],)]
    assert [text.split(",")[0] for _, _, text in _rejects(database)] == [str(users[1])]
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        _post(database, users[0], 1)
    assert _new_user(database) == users[1] + 1, "an id is not given again"


def test_a_rating_that_is_posted_while_its_user_is_erased_does_not_stay(database: Database) -> None:
    user = _new_user(database)

    def erase() -> None:
        with database.transaction() as cursor:
            cursor.execute(f"DELETE FROM {SCHEMA}.app_users WHERE user_id = %s", [user])

    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as cursor:
            cursor.execute(f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating) VALUES (%s, 1, 5)", [user])
            erased = pool.submit(erase)
            with pytest.raises(TimeoutError):
                erased.result(timeout=0.5)
        erased.result(timeout=30)
    assert database.scalar(f"SELECT count(*) FROM {SCHEMA}.app_ratings") == 0


# Datasets


def test_ratings_of_the_app_count_for_the_dataset_that_was_loaded_when_they_were_posted(
    database: Database, make_dataset: Dataset
) -> None:
    def counted() -> tuple[Any, ...]:
        """The ratings of this user, in every query that reads ratings of the app."""
        _refresh(database)
        blocks = [list(read_users(database, 4.0, chosen)) for chosen in (None, [user])]
        return (
            _current(database, user),
            database.scalar(f"SELECT count(*) FROM {SCHEMA}.rating_users WHERE user_id = %s", [user]),
            database.rows(f"SELECT ratings FROM {SCHEMA}.eligible_users WHERE user_id = %s", [user]),
            int((read_positives(database, 4.0).user_id == user).sum()),
            [sum(int((block.user_ids == user).sum()) for block in found) for found in blocks],
        )

    _load(database, make_dataset)
    user = _new_user(database)
    _post(database, user, *range(6, 13))
    ours = counted()
    assert ours == ([(movie, 5.0) for movie in range(6, 13)], 1, [(7,)], 7, [1, 1])
    _load(database, make_dataset, OTHER_FILMS, name="other")
    assert counted() == ([], 0, [], 0, [0, 0])
    _post(database, user, 6, stars=1.0)
    assert _current(database, user) == [(6, 1.0)]
    _load(database, make_dataset)
    assert counted() == ours, "going back to a dataset finds its ratings again"
    _load(database, make_dataset, FILMS, [*RATINGS, "5,1,4.0,1000000100"])
    assert counted() == ours, "a file that grew is the same dataset"


def test_a_film_that_was_rated_under_its_id_in_another_dataset_may_be_recommended(
    database: Database, make_dataset: Dataset
) -> None:
    def unsound(watermark: int = 1) -> dict[str, int]:
        with database.replace("user_recommendations") as table:
            names = ("user_id", "rank", "movie_id", "score", "model_version")
            table.write_rows(names, [(user, 1, 6, 0.5, 1)])
        found = database.rows(read_sql("unsound_recommendations"), {"watermark": watermark})
        return {problem: int(rows) for problem, rows in found}

    _load(database, make_dataset)
    user = _new_user(database)
    _post(database, user, 6)
    assert unsound()["movie rated by the user"] == 1
    assert unsound(watermark=0)["movie rated by the user"] == 0, "it was posted after the lists were made"
    _load(database, make_dataset, OTHER_FILMS, name="other")
    assert unsound()["movie rated by the user"] == 0


def test_a_rating_from_before_anything_was_loaded_belongs_to_the_first_dataset(
    database: Database, make_dataset: Dataset
) -> None:
    user = _new_user(database)
    _post(database, user, 6)
    assert _current(database, user) == []
    load_films(database, range(1, 10))
    assert _current(database, user) == [(6, 5.0)], "no dataset equals no dataset"
    _load(database, make_dataset)
    assert _current(database, user) == [(6, 5.0)]
    _load(database, make_dataset, OTHER_FILMS, name="other")
    assert _current(database, user) == []


def test_a_dataset_that_is_given_with_a_rating_stays(database: Database, make_dataset: Dataset) -> None:
    _load(database, make_dataset)
    _load(database, make_dataset, OTHER_FILMS, name="other")
    user = _new_user(database)
    with database.transaction() as cursor:
        cursor.execute(
            f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating, dataset_id) VALUES (%s, 6, 5, 1)", [user]
        )
    assert _current(database, user) == []


def test_users_who_posted_after_the_lists_were_made_need_none(database: Database, make_dataset: Dataset) -> None:
    _load(database, make_dataset)
    _post(database, _new_user(database), 6)

    def users(watermark: int) -> int:
        return int(database.rows(read_sql("full_lists"), {"per_user": 20, "watermark": watermark})[0][0])

    assert [users(watermark) for watermark in (0, 1)] == [4, 5]


# Withdrawals


def _withdraw(database: Database, user: int, *movies: int) -> None:
    for movie in movies:
        with database.transaction() as cursor:
            withdraw_rating(cursor, user, movie)


def test_a_withdrawn_rating_of_a_movie_that_leaves_the_catalogue_is_not_rejected(
    database: Database, make_dataset: Dataset
) -> None:
    _load(database, make_dataset)
    users = _new_user(database), _new_user(database)
    for user in users:
        _post(database, user, 40)
    _withdraw(database, users[0], 40)
    _load(database, make_dataset, FILMS[:-1])
    assert [text.split(",")[0] for _, _, text in _rejects(database)] == [str(users[1])]


def test_a_withdrawal_is_newer_data_for_training(database: Database, make_dataset: Dataset) -> None:
    _load(database, make_dataset)
    before = sources_of(database)["app_ratings"]
    _withdraw(database, 1, 1)
    assert (before, sources_of(database)["app_ratings"]) == (None, 1)
    _refresh(database)
    positives = read_positives(database, 4.0)
    assert len(positives) == 18, "user 1 has five ratings left, too few to learn from"
    assert 1 not in positives.user_id


def test_a_rating_is_never_before_the_latest_one_of_its_pair(database: Database, make_dataset: Dataset) -> None:
    _load(database, make_dataset)
    with database.transaction() as cursor:
        cursor.execute(f"UPDATE {SCHEMA}.ratings SET rated_at = '2100-01-01' WHERE user_id = 1 AND movie_id = 1")
        cursor.execute(
            f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating, rated_at) VALUES (1, 21, 1, '2100-01-01')"
        )
        posted = [post_rating(cursor, 1, movie, 5.0) for movie in (1, 21, 22)]
    assert [each.rated_at.year >= 2100 for each in posted] == [True, True, False]
    assert [pair for pair in _current(database, 1) if pair[0] in (1, 21, 22)] == [(1, 5.0), (21, 5.0), (22, 5.0)]


def test_posts_of_one_user_at_the_same_time_have_the_order_of_their_ids(database: Database) -> None:
    load_films(database, range(1, 10))
    user = _new_user(database)
    gate = threading.Barrier(6)

    def post(turn: int) -> None:
        gate.wait(timeout=30)
        for step in range(10):
            with database.transaction() as cursor:
                post_rating(cursor, user, 1, (turn + step) % 10 / 2 + 0.5)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(post, range(6)))
    rows = database.rows(f"SELECT rated_at, rating FROM {SCHEMA}.app_ratings ORDER BY rating_id")
    assert rows == sorted(rows, key=lambda row: row[0])
    assert all(earlier[1] != later[1] for earlier, later in itertools.pairwise(rows)), "the same stars count once"
    assert _current(database, user) == [(1, rows[-1][1])]


def test_a_watermark_waits_for_ratings_that_are_being_posted(database: Database) -> None:
    """Ids are given in the order of posts, and committed in any order."""
    load_films(database, range(1, 10))
    users = _new_user(database), _new_user(database)

    def watermark() -> int:
        with database.transaction() as cursor:
            return settled_watermark(cursor)

    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as cursor:
            post_rating(cursor, users[0], 1, 5.0)
            _post(database, users[1], 1)
            found = pool.submit(watermark)
            until_somebody_waits(database)
            assert not found.done(), "1 is not committed, 2 is"
        assert found.result(timeout=PATIENCE) == 2


# Movies outside the catalogue


def test_a_rating_of_a_movie_outside_the_catalogue_is_rejected_as_one_of_a_file_is(
    database: Database, make_dataset: Dataset
) -> None:
    _load(database, make_dataset, ratings=[*RATINGS, "1,99,4.0,1000000100"])
    user = _new_user(database)
    _post(database, user, 99, 6, stars=4.5)
    assert _current(database, user) == [(6, 4.5)]
    assert _rejects(database) == []
    assert update_rejects(database) == 1
    ((_, reason, _),) = _rejects(database, "ratings.csv")
    assert _rejects(database) == [(1, reason, f"{user},99,4.5,1577836800")]
    before = database.rows(f"SELECT * FROM {SCHEMA}.rejected_ratings ORDER BY 1, 2")
    assert update_rejects(database) == 1
    assert database.rows(f"SELECT * FROM {SCHEMA}.rejected_ratings ORDER BY 1, 2") == before


def test_a_rating_leaves_with_its_movie_and_comes_back_with_it(database: Database, make_dataset: Dataset) -> None:
    def eligible() -> list[tuple[int]]:
        _refresh(database)
        return database.rows(f"SELECT ratings FROM {SCHEMA}.eligible_users WHERE user_id = %s", [user])

    _load(database, make_dataset)
    user = _new_user(database)
    _post(database, user, *range(1, 6), 40)
    assert (eligible(), _rejects(database)) == ([(6,)], [])
    _load(database, make_dataset, FILMS[:-1])
    assert eligible() == []
    assert [(line, reason) for line, reason, _ in _rejects(database)] == [(6, "unknown movie: 40 is not in movies.csv")]
    assert (40, 5.0) not in _current(database, user)
    assert database.scalar(f"SELECT count(*) FROM {SCHEMA}.app_ratings") == 6, "the rating itself is kept"
    _load(database, make_dataset)
    assert (eligible(), _rejects(database)) == ([(6,)], [])


def test_rejects_are_those_of_the_loaded_dataset(database: Database, make_dataset: Dataset) -> None:
    _load(database, make_dataset)
    _post(database, _new_user(database), 99)
    assert update_rejects(database) == 1
    _load(database, make_dataset, OTHER_FILMS, name="other")
    assert _rejects(database) == []
    _load(database, make_dataset)
    assert [line for line, *_ in _rejects(database)] == [1]


def test_rejects_are_brought_up_to_date_when_a_file_is_appended(database: Database, make_dataset: Dataset) -> None:
    _load(database, make_dataset)
    _post(database, 1, 99)
    files = MovieLensFiles.at(make_dataset([*RATINGS, "5,1,4.0,1000000100"], FILMS, name="ours"))
    assert load_ratings(database, files).appended == 1
    assert [line for line, *_ in _rejects(database)] == [1]


def test_many_may_bring_rejects_up_to_date_at_once(database: Database, make_dataset: Dataset) -> None:
    _load(database, make_dataset)
    _post(database, _new_user(database), *range(50, 90))
    gate = threading.Barrier(4)

    def update(_: int) -> int:
        gate.wait(timeout=30)
        return update_rejects(database)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(update, range(4))) == [40] * 4


# Plans


def test_current_ratings_of_one_user_are_looked_up_and_no_table_of_ratings_is_read_as_a_whole(
    database: Database,
) -> None:
    load_films(database, range(1, 501))
    with database.replace("ratings") as table:
        rows = (
            (user, movie, 4.0, "2001-01-01") for user in range(1, 1001) for movie in range(user % 400, user % 400 + 20)
        )
        table.write_rows(("user_id", "movie_id", "rating", "rated_at"), rows)
        count_users(table)
    with database.transaction() as cursor:
        new_app_users(cursor, 200)
        cursor.execute(
            f"""INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating)
                SELECT CASE WHEN n % 2 = 0 THEN 1 + n % 50 ELSE {FIRST_APP_USER_ID} + n % 200 END, 1 + n * 79 % 520, 4
                FROM generate_series(1, 2000) n"""
        )
        cursor.execute(f"ANALYZE {SCHEMA}.app_ratings")

    def plan(query: str) -> str:
        return "\n".join(line for (line,) in database.rows(f"EXPLAIN {query}"))

    one = plan(f"SELECT * FROM {SCHEMA}.current_ratings WHERE user_id = 42")
    assert "Seq Scan on app_ratings" not in one
    assert "Seq Scan on ratings" not in one
    assert one.count("_pkey on ratings_") == one.count("on app_ratings_user_") == 2
    everybody = plan(
        database.scalar("SELECT definition FROM pg_matviews WHERE matviewname = 'eligible_users'").rstrip(";")
    )
    assert "Seq Scan on ratings" not in everybody
    assert "_pkey on ratings_" in everybody
