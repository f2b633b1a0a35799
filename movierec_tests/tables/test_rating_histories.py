"""The table with one row a user holds the ratings, whatever happens to them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.ratings import STAR_BITS
from movierec_assets.tables import rating_load
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.histories import read_users
from movierec_assets.tables.loading import load_movies, load_ratings
from movierec_assets.tables.user_rows import HISTORY_TYPES, UserRowDecoder, UserRows, encode_users
from movierec_tests.conftest import Dataset

UNORDERED = [
    "2,2,4.0,964982703",
    "1,3,4.5,964982704",
    "2,1,0.5,964982705",
    "1,1,5.0,964982706",
    "2,2,1.5,964982707",  # supersedes the first
    "3,1,3.0,964982708",
    "1,9999,3.0,964982708",  # of an unknown movie
]
Row = tuple[int, int, float, int]


def ratings_of(database: Database) -> list[Row]:
    query = f"SELECT user_id, movie_id, rating, extract(epoch FROM rated_at)::bigint FROM {SCHEMA}.ratings"
    return sorted(database.rows(query))


def histories_of(database: Database) -> list[Row]:
    """Rows of `rating_histories`, decoded."""
    blocks: list[UserRows] = []
    decoder = UserRowDecoder(HISTORY_TYPES, blocks.append, 1 << 20)
    database.copy_to(decoder, f"SELECT user_id, movie_ids, times_and_stars FROM {SCHEMA}.rating_histories")
    decoder.finish()
    found = []
    for block in blocks:
        users = np.repeat(block.user_ids, block.lengths[0]).tolist()
        movies, both = block.values
        stars = ((both & ((1 << STAR_BITS) - 1)) / 2).tolist()
        found += list(zip(users, movies.tolist(), stars, (both >> STAR_BITS).tolist(), strict=True))
    return sorted(found)


def has_histories(database: Database) -> bool:
    return bool(database.scalar(f"SELECT {SCHEMA}.has_histories()"))


@pytest.fixture
def loaded(database: Database, make_dataset: Dataset) -> Database:
    files = MovieLensFiles.at(make_dataset(UNORDERED))
    load_movies(database, files)
    load_ratings(database, files)
    return database


@pytest.mark.parametrize("at_a_time", [1, 3, 100])
def test_a_load_fills_both_tables(
    database: Database, make_dataset: Dataset, monkeypatch: pytest.MonkeyPatch, at_a_time: int
) -> None:
    monkeypatch.setattr(rating_load, "_HISTORY_ROWS", at_a_time)
    in_order = [f"{user},{movie},4.0,{964982703 + movie}" for user in (1, 2, 5) for movie in (1, 2, 3)]
    for name, rows in (("unordered", UNORDERED), ("ordered", in_order)):
        files = MovieLensFiles.at(make_dataset(rows, name=name))
        load_movies(database, files)
        load_ratings(database, files)
        assert has_histories(database)
        assert histories_of(database) == ratings_of(database)
        users = database.rows(f"SELECT user_id FROM {SCHEMA}.rating_histories ORDER BY 1")
        assert users == database.rows(f"SELECT DISTINCT user_id FROM {SCHEMA}.ratings ORDER BY 1")


_row = st.tuples(st.integers(1, 4), st.integers(1, 3), st.sampled_from([0.5, 4.0, 5.0]), st.integers(0, 9))
_change = st.one_of(
    st.tuples(st.just("upsert"), st.lists(_row, max_size=4, unique_by=lambda row: row[:2])),
    st.tuples(st.just("delete"), st.integers(1, 4)),
    st.tuples(st.just("move"), st.integers(1, 4)),
    st.tuples(st.just("truncate"), st.none()),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(_change, max_size=5))
def test_every_change_of_ratings_reaches_the_histories(loaded: Database, changes: list[tuple[str, object]]) -> None:
    with loaded.transaction() as cursor:
        for kind, value in changes:
            if kind == "upsert":
                for user, movie, stars, seconds in value:  # type: ignore[attr-defined]
                    cursor.execute(
                        f"""INSERT INTO {SCHEMA}.ratings (user_id, movie_id, rating, rated_at) VALUES (%s, %s, %s, %s)
                        ON CONFLICT (user_id, movie_id) DO UPDATE
                        SET rating = excluded.rating, rated_at = excluded.rated_at""",
                        [user, movie, stars, datetime.fromtimestamp(seconds + 0.75, UTC)],
                    )
            elif kind == "delete":
                cursor.execute(f"DELETE FROM {SCHEMA}.ratings WHERE user_id <= %s AND movie_id > 1", [value])
            elif kind == "move":
                cursor.execute(
                    f"""UPDATE {SCHEMA}.ratings SET rated_at = rated_at + interval '1 day',
                        user_id = 1 + (SELECT max(user_id) FROM {SCHEMA}.ratings)
                    WHERE user_id = %s""",
                    [value],
                )
            else:
                cursor.execute(f"TRUNCATE {SCHEMA}.ratings")
    query = f"SELECT user_id, movie_id, rating, floor(extract(epoch FROM rated_at))::bigint FROM {SCHEMA}.ratings"
    assert histories_of(loaded) == sorted(loaded.rows(query))


def test_ratings_that_were_replaced_alone_are_read_from_their_own_table(loaded: Database) -> None:
    with loaded.replace("ratings") as table:
        kinds = rating_load.COLUMNS
        row = {"user_id": 7, "movie_id": 1, "rating": 4.0, "rated_at": 964982703, "line": 2}
        table.write({name: np.array([value]) for name, value in row.items()}, kinds)
    assert not has_histories(loaded)
    with loaded.transaction() as cursor:
        cursor.execute(f"INSERT INTO {SCHEMA}.ratings (user_id, movie_id, rating, rated_at) VALUES (8, 1, 4, now())")
    assert sorted(int(user) for block in read_users(loaded, 4.0) for user in block.user_ids) == [7, 8]


def test_a_load_that_fails_between_the_tables_replaces_neither(
    loaded: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, files = histories_of(loaded), MovieLensFiles.at(next(tmp_path.rglob("ratings.csv")).parent)
    files.ratings.write_text("userId,movieId,rating,timestamp\n9,1,4.0,964982703\n")

    def broken(*_: object) -> Iterator[bytes]:
        yield b"PGCOPY\n\xff\r\n\0" + bytes(8)
        raise MemoryError("no room for histories")

    with monkeypatch.context() as patched:
        patched.setattr(rating_load, "encode_users", broken)
        with pytest.raises(MemoryError, match="no room"):
            load_ratings(loaded, files)
    assert histories_of(loaded) == ratings_of(loaded) == before
    load_ratings(loaded, files)
    assert histories_of(loaded) == ratings_of(loaded) == [(9, 1, 4.0, 964982703)]


def test_a_companion_is_replaced_together_with_its_table_or_not_at_all(loaded: Database) -> None:
    before = histories_of(loaded)
    with pytest.raises(ZeroDivisionError), loaded.replace("ratings", companions=["rating_histories"]):
        raise ZeroDivisionError
    assert histories_of(loaded) == ratings_of(loaded) == before
    left = loaded.rows("SELECT relname FROM pg_class WHERE relname ~ '^rating.*_[0-9]+$' AND relkind = 'r'")
    assert len(left) == 2


@given(
    users=st.lists(
        st.tuples(st.integers(1, 2**31 - 1), st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5)), max_size=6
    )
)
def test_encoded_users_are_decoded_as_they_were(users: list[tuple[int, list[int]]]) -> None:
    lengths = np.array([len(values) for _, values in users], np.int64)
    values = np.array([value for _, found in users for value in found], np.int64)
    given_users = UserRows(np.array([user for user, _ in users], np.int32), (values, values << 4), (lengths, lengths))
    blocks: list[UserRows] = []
    decoder = UserRowDecoder(HISTORY_TYPES, blocks.append, 1 << 20)
    for part in encode_users(iter([given_users]), HISTORY_TYPES):
        decoder.write(part)
    decoder.finish()
    assert len(blocks) == bool(users)
    for block in blocks:
        assert block.user_ids.tolist() == given_users.user_ids.tolist()
        assert [found.tolist() for found in block.values] == [values.tolist(), (values << 4).tolist()]
        assert [found.tolist() for found in block.lengths] == [lengths.tolist()] * 2
