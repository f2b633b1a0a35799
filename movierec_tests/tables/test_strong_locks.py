"""A table that is replaced while somebody reads it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from movierec_assets.tables import strong_locks
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.strong_locks import TableBusyError
from movierec_tests.defs.harness import load_films
from movierec_tests.waiting import PATIENCE, until_somebody_waits, wait_until

_COUNT = f"SELECT count(*) FROM {SCHEMA}.movies"
_COLUMNS = ("movie_id", "title", "year", "genres", "imdb_id", "tmdb_id")


def test_a_swap_waits_for_a_reader_and_later_readers_do_not(database: Database) -> None:
    load_films(database, [1])
    said: list[str] = []

    def swap() -> None:
        with database.replace("movies", said.append) as table:
            table.write_rows(_COLUMNS, [(movie, "New", 2001, [], None, None) for movie in (1, 2)])

    with ThreadPoolExecutor(2) as pool:
        with database.transaction() as cursor:
            cursor.execute(_COUNT)
            swapped = pool.submit(swap)
            until_somebody_waits(database)
            assert pool.submit(database.scalar, _COUNT).result(timeout=PATIENCE) == 1
            wait_until(lambda: bool(said), "word of the reader")
            assert database.scalar(_COUNT) == 1
            assert not swapped.done()
            pid = cursor.connection.info.backend_pid
        swapped.result(timeout=PATIENCE)
    assert database.scalar(_COUNT) == 2
    assert len(said) == 1
    assert said[0].startswith(f"Waiting for 1 reader of {SCHEMA}.movies to end: pid {pid} (movierec, user ")
    assert said[0].endswith(f"idle in a transaction, after {_COUNT}")


def test_a_swap_gives_up_in_the_end_and_names_the_reader(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    load_films(database, [1])
    tables = "SELECT relname FROM pg_class ORDER BY 1"
    before = database.rows(tables)
    monkeypatch.setattr(strong_locks, "PATIENCE", 0.0)
    with database.transaction() as cursor:
        cursor.execute(_COUNT)
        pid = cursor.connection.info.backend_pid
        with pytest.raises(TableBusyError, match=rf"{SCHEMA}\.movies cannot be replaced.*\n  pid {pid} \(movierec"):
            load_films(database, [1, 2])
        assert database.scalar(_COUNT) == 1
    assert database.rows(tables) == before
    load_films(database, [1, 2])
    assert database.scalar(_COUNT) == 2
