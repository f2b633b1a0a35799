"""The number of bytes that loading reads from a file of ratings."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from movierec_assets.datasets.layout import MovieLensFiles, content_hash
from movierec_assets.tables import rating_load
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.loading import Loaded, is_loaded, load_movies, load_ratings
from movierec_tests.conftest import Dataset

ROWS = [
    f"{user},{movie},{1 + (user * movie) % 9 / 2},{964982703 + user * 50 + movie}"
    for user in range(1, 1001)
    for movie in range(1, 41)
]
REJECTED = ["bad", "1001,1,,964982703", "1001,99,4.0,964982703"]
HEADERS = 128 << 10
"""Upper limit of the bytes that are read again for the header, each time the file is opened."""

Read = Callable[[], int]


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Any]:
    """Count the bytes that the process reads from a file."""
    plain = Path.open

    @contextmanager
    def count(path: Path) -> Iterator[Read]:
        read = 0

        class Counted(io.FileIO):
            def readinto(self, buffer: Any) -> int | None:
                nonlocal read
                got = super().readinto(buffer)
                read += got or 0
                return got

            def readall(self) -> bytes:
                nonlocal read
                got = super().readall()
                read += len(got)
                return got

        def opened(self: Path, *args: Any, **named: Any) -> Any:
            return io.BufferedReader(Counted(self)) if self == path else plain(self, *args, **named)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "open", opened)
            patched.setattr(rating_load, "block_bytes", lambda: 256 << 10)
            yield lambda: read

    return count


def _load(database: Database, files: MovieLensFiles) -> tuple[Loaded, Loaded]:
    return load_movies(database, files), load_ratings(database, files)


@pytest.mark.parametrize("before", [None, "another dataset", "a smaller catalogue"])
def test_a_new_file_of_ratings_is_read_twice_to_load_it(
    database: Database, make_dataset: Dataset, counting: Callable[[Path], Any], before: str | None
) -> None:
    if before is not None:
        name = "Film" if before == "a smaller catalogue" else "Something else"
        movies = [f"{number},{name} {number} (1990),Drama" for number in range(1, 40)]
        _load(database, MovieLensFiles.at(make_dataset(ROWS[:400], movies)))
    files = MovieLensFiles.at(make_dataset([*ROWS[:20_000], *REJECTED, *ROWS[20_000:]], name="films"))
    size = files.ratings.stat().st_size
    with counting(files.ratings) as read:
        _, ratings = _load(database, files)
        assert size < read() <= 2 * size + 2 * HEADERS  # a file below 64 MB is parsed whole for the check
    assert size > 4 * HEADERS
    assert (ratings.details["rows"], ratings.details["rows_read"]) == (len(ROWS), len(ROWS) + len(REJECTED))
    whole = hashlib.sha256(files.ratings.read_bytes())
    assert ratings.content_hash == content_hash(files.ratings) == hashlib.sha256(whole.digest()).hexdigest()
    assert database.rows(f"SELECT line, raw_text FROM {SCHEMA}.rejected_ratings ORDER BY line") == [
        (20_002 + number, text) for number, text in enumerate(REJECTED)
    ]


def test_a_loaded_file_is_read_once_to_see_that_it_is_loaded_and_not_at_all_when_its_size_tells(
    database: Database, make_dataset: Dataset, counting: Callable[[Path], Any]
) -> None:
    files = MovieLensFiles.at(make_dataset(ROWS))
    _load(database, files)
    size = files.ratings.stat().st_size
    with counting(files.ratings) as read:
        assert not _load(database, files)[1].reloaded
        assert read() == size
    grown = MovieLensFiles.at(make_dataset([*ROWS, "1001,1,4.0,1000000000"]))
    with counting(grown.ratings) as read:
        assert not is_loaded(database, grown)
        assert read() == 0


def test_a_file_of_the_same_size_and_other_content_is_loaded(
    database: Database, make_dataset: Dataset, counting: Callable[[Path], Any]
) -> None:
    _load(database, MovieLensFiles.at(make_dataset(ROWS)))
    changed = MovieLensFiles.at(make_dataset([*ROWS[:-1], ROWS[-1].replace("1000,", "1001,")]))
    size = changed.ratings.stat().st_size
    with counting(changed.ratings) as read:
        _, ratings = _load(database, changed)
        assert read() <= 2 * size + HEADERS
    assert ratings.reloaded
    assert database.scalar(f"SELECT count(*) FROM {SCHEMA}.ratings WHERE user_id = 1001") == 1
