"""A file of ratings that grew: merging its new rows gives the same tables as loading the whole file."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.tables import rating_append, rating_load
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.loading import Loaded, load_movies, load_ratings
from movierec_tests.conftest import Dataset
from movierec_tests.tables.test_rating_histories import histories_of, ratings_of
from movierec_tests.waiting import wait_until

HEADER = b"userId,movieId,rating,timestamp\n"
GOOD = ["1,1,4.0,964982703", "1,2,4.5,964982704", "2,1,0.5,964982705"]


def _state(database: Database) -> dict[str, Any]:
    """Everything that a load writes, except for its time."""
    return {
        "ratings": database.rows(
            f"SELECT user_id, movie_id, rating, rated_at, line FROM {SCHEMA}.ratings ORDER BY 1, 2"
        ),
        "rejects": database.rows(f"SELECT file, line, reason, raw_text FROM {SCHEMA}.rejected_ratings ORDER BY 1, 2"),
        "totals": database.rows(f"SELECT movie_id, rating, ratings FROM {SCHEMA}.rating_totals ORDER BY 1, 2"),
        "users": database.rows(f"SELECT user_id, ratings FROM {SCHEMA}.user_totals ORDER BY 1"),
        "load": database.rows(f"SELECT version, details FROM {SCHEMA}.loads WHERE table_name = 'ratings'"),
    }


def _forget(database: Database) -> None:
    with database.transaction() as cursor:
        cursor.execute(f"DELETE FROM {SCHEMA}.loads WHERE table_name = 'ratings'")


def _assert_totals(database: Database) -> None:
    """The totals equal the counts of the ratings, and the histories hold them."""
    for totals, keys in (("rating_totals", "movie_id, rating"), ("user_totals", "user_id")):
        kept = database.rows(f"SELECT {keys}, ratings FROM {SCHEMA}.{totals} ORDER BY {keys}")
        assert kept == database.rows(f"SELECT {keys}, count(*) FROM {SCHEMA}.ratings GROUP BY {keys} ORDER BY {keys}")
    assert histories_of(database) == ratings_of(database)


def _grow(database: Database, directory: Path, before: bytes, behind: bytes) -> Loaded:
    """Load a file, append rows, and load again; compare the tables with those of a load of the whole file."""
    files = MovieLensFiles.at(directory)
    files.ratings.write_bytes(before)
    _forget(database)
    load_ratings(database, files)
    _assert_totals(database)
    files.ratings.write_bytes(before + behind)
    loaded = load_ratings(database, files)
    _assert_totals(database)
    merged = _state(database)
    _forget(database)
    whole = load_ratings(database, files)
    assert merged == _state(database)
    assert loaded.details == whole.details
    assert loaded.content_hash == whole.content_hash
    return loaded


_rating = st.builds(
    "{},{},{},{}".format,
    st.integers(1, 3),
    st.integers(1, 4),
    st.sampled_from(["0.5", "4.0", "5.0"]),
    st.sampled_from(["1000000000", "1100000000", "1200000000"]),
)
_junk = st.sampled_from(
    ["", "x", "1,1", "1,99,4.0,1000000000", "1,1,4.3,1000000000", "1,1,4.0,900", "1,1,,1000000000", "9,1,4.0,12"]
)
_end = st.sampled_from(["\n", "\n", "\n", "\r\n"])


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    lines=st.lists(st.tuples(_rating | _rating | _rating | _junk, _end), min_size=1, max_size=24),
    share=st.floats(0, 1),
    whole_lines=st.booleans(),
)
@example(lines=[("1,1,4.0,1000000000", "\n"), ("1,1,5.0,1200000000", "\r\n")], share=0.98, whole_lines=False)
@example(lines=[("1,1,4.0,1200000000", "\n"), ("1,1,5.0,1000000000", "\n")] * 2, share=0.5, whole_lines=True)
def test_a_file_that_grew_gives_the_tables_of_a_full_load(
    shared_database: Database,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    lines: list[tuple[str, str]],
    share: float,
    whole_lines: bool,
) -> None:
    monkeypatch.setenv("MOVIEREC_MAX_REJECTED_SHARE", "1")  # the rules of merging, for rows of any kind
    directory = tmp_path_factory.getbasetemp() / "grown"
    directory.mkdir(exist_ok=True)
    (directory / "movies.csv").write_text("movieId,title,genres\n" + "".join(f"{n},F{n},Drama\n" for n in range(1, 5)))
    (directory / "ratings.csv").write_bytes(HEADER + b"1,4,4.0,1000000000\n")
    load_movies(shared_database, MovieLensFiles.at(directory))
    rest = "".join(line + end for line, end in lines).encode()
    cut = round(share * len(rest))
    if whole_lines:
        cut = rest.rfind(b"\n", 0, cut) + 1
    loaded = _grow(shared_database, directory, HEADER + b"1,4,4.0,1000000000\n" + rest[:cut], rest[cut:])
    if whole_lines and cut < len(rest):
        assert loaded.appended is not None


def _directory(make_dataset: Dataset, database: Database, lines: list[str]) -> MovieLensFiles:
    files = MovieLensFiles.at(make_dataset(lines))
    load_movies(database, files)
    load_ratings(database, files)
    return files


def _append(files: MovieLensFiles, text: str) -> None:
    with files.ratings.open("a") as stream:
        stream.write(text)


def test_only_the_new_lines_of_a_file_that_grew_are_read(
    database: Database, make_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = _directory(make_dataset, database, GOOD)
    oid = f"SELECT inhrelid FROM pg_inherits WHERE inhparent = '{SCHEMA}.ratings'::regclass"
    before = database.scalar(oid)
    _append(files, "3,1,4.0,1000000000\nbad\n1,1,5.0,1000000000\n")
    monkeypatch.setattr("movierec_assets.tables.loading.load_all", None)
    loaded = load_ratings(database, files)
    assert (loaded.appended, loaded.details["rows"], loaded.details["rows_read"]) == (2, 4, 6)
    assert database.scalar(oid) == before
    assert database.rows(f"SELECT line, reason FROM {SCHEMA}.rejected_ratings ORDER BY 1") == [
        (2, "duplicate (user, movie) pair: line 7 wins"),
        (6, "wrong number of fields: expected 4 fields, found 1"),
    ]
    assert not load_ratings(database, files).reloaded


@pytest.mark.parametrize("change", ["shortened", "changed", "other movies", "continued line"])
def test_anything_but_growth_loads_the_whole_file(database: Database, make_dataset: Dataset, change: str) -> None:
    files = _directory(make_dataset, database, GOOD)
    text = files.ratings.read_text()
    if change == "shortened":
        files.ratings.write_text("\n".join(text.splitlines()[:-1]) + "\n")
    elif change == "changed":
        files.ratings.write_text(text.replace("4.5", "3.5") + "3,1,4.0,1000000000\n")
    elif change == "other movies":
        files.movies.write_text(files.movies.read_text() + "99,New,Drama\n")
        load_movies(database, files)
        _append(files, "3,99,4.0,1000000000\n")
    else:
        files.ratings.write_text(text.rstrip("\n"))
        load_ratings(database, files)
        _append(files, "0\n")  # the last timestamp was but its beginning
    loaded = load_ratings(database, files)
    assert loaded.reloaded
    assert loaded.appended is None
    merged = _state(database)
    _forget(database)
    load_ratings(database, files)
    assert _state(database) == merged


def test_a_rating_that_came_too_early_is_taken_up_when_its_time_has_come(
    database: Database, make_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(time.time())
    files = _directory(make_dataset, database, [*GOOD, f"3,1,4.0,{now + 200_000}"])
    _append(files, "3,2,4.0,1000000000\n")
    assert load_ratings(database, files).appended == 1
    monkeypatch.setattr(rating_append, "time", lambda: now + 200_000)
    _append(files, "3,3,4.0,1000000000\n")
    assert load_ratings(database, files).appended is None


def test_a_merge_that_breaks_off_leaves_everything_as_it_was(
    database: Database, make_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = _directory(make_dataset, database, GOOD)
    before = _state(database)
    _append(files, "3,1,4.0,1000000000\nbad\n1,1,5.0,1000000000\n")

    def breaks(*_: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(rating_append, "record_load", breaks)
        with pytest.raises(ConnectionError):
            load_ratings(database, files)
    assert _state(database) == before
    assert load_ratings(database, files).appended == 2


def test_readers_see_the_old_or_the_new_rows_while_a_file_that_grew_is_merged(
    database: Database, make_dataset: Dataset
) -> None:
    start = 1_000_000_000
    files = _directory(make_dataset, database, [f"{user},{user % 40 + 1},4.0,{start}" for user in range(1, 301)])
    # One query has one snapshot: values that differ in it were written by different transactions.
    look = f"""
        SELECT (SELECT count(*) FROM {SCHEMA}.ratings), (SELECT sum(ratings) FROM {SCHEMA}.user_totals),
               (SELECT sum(ratings) FROM {SCHEMA}.rating_totals), (SELECT count(*) FROM {SCHEMA}.rating_users),
               (SELECT details ->> 'rows' FROM {SCHEMA}.loads WHERE table_name = 'ratings')::integer
    """
    eligible = f"SELECT count(*), sum(ratings) FROM {SCHEMA}.eligible_users"
    seen: set[tuple[Any, ...]] = set()
    counted: set[tuple[Any, ...]] = set()
    done = threading.Event()

    looks: list[bool] = []

    def read() -> None:
        while not done.is_set():
            seen.update(database.rows(look))
            counted.update(database.rows(eligible))
            looks.append(True)

    def wait_for_a_look(readers: list[Future[None]]) -> None:
        so_far = len(looks)  # the next one may have begun before
        wait_until(lambda: len(looks) > so_far + len(readers) or any(reader.done() for reader in readers), "a look")

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for step in range(1, 11):
                # One more movie for each user, and another rating of the movie before.
                _append(
                    files,
                    "".join(
                        f"{user},{(user + step) % 40 + 1},4.0,{start + step}\n"
                        f"{user},{(user + step - 1) % 40 + 1},3.0,{start + step}\n"
                        for user in range(1, 301)
                    ),
                )
                assert load_ratings(database, files).appended == 600
                with database.transaction() as cursor:
                    cursor.execute(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {SCHEMA}.eligible_users")
                wait_for_a_look(readers)
        finally:
            done.set()
        for reader in readers:
            reader.result()
    assert seen <= {(rows, rows, rows, 300, rows) for rows in range(300, 3301, 300)}
    assert len(seen) > 1, "the readers never saw a merge"
    assert counted <= {(0, None), *((300, rows) for rows in range(1800, 3301, 300))}
    _assert_totals(database)


def test_the_error_of_a_file_that_cannot_be_read_is_its_own_and_not_the_databases(
    database: Database, make_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = _directory(make_dataset, database, GOOD)
    monkeypatch.setattr(rating_load, "block_bytes", lambda: 64)
    _forget(database)
    _append(files, "9" * 100 + "\n")
    with pytest.raises(DatasetError, match="no line end within 64 bytes"):
        load_ratings(database, files)
