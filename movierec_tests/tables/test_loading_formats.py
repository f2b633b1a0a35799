"""Every format gives the same tables, with rejects under the name of the file, and loads only after a change."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from movierec_assets.datasets.locate import Located, locate_dataset
from movierec_assets.defs.half_written import stamp_of
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.loading import Loaded, is_loaded, load_movies, load_ratings
from movierec_tests.datasets.sources.written import FORMATS, TITLES, Row, Written, plain, zipped

ROWS: list[Row] = [
    (user, movie, float(1 + (user + movie) % 5), 964982703 + user * 7 + movie)
    for user in range(1, 30)
    for movie in TITLES
]


class Workspace:
    """A directory in which datasets are searched, and the database that they are loaded into."""

    def __init__(self, database: Database, root: Path) -> None:
        self.database, self.root = database, root

    def locate(self, path: Path) -> Located:
        return locate_dataset(str(path), self.root / "data", self.root / "cache", lambda: self.root, None)

    def load(self, path: Path) -> tuple[Located, Loaded, Loaded]:
        located = self.locate(path)
        return located, load_movies(self.database, located.files), load_ratings(self.database, located.files)

    def rejects(self) -> list[tuple[Any, ...]]:
        return self.database.rows(f"SELECT file, line, raw_text FROM {SCHEMA}.rejected_ratings ORDER BY file, line")

    def ratings(self) -> list[tuple[Any, ...]]:
        columns = "user_id, movie_id, rating, extract(epoch FROM rated_at)::bigint"
        return self.database.rows(f"SELECT {columns} FROM {SCHEMA}.ratings ORDER BY 1, 2")


@pytest.fixture
def workspace(database: Database, tmp_path: Path) -> Workspace:
    return Workspace(database, tmp_path)


@pytest.mark.parametrize("written", FORMATS, ids=lambda written: written.name)
def test_every_format_is_loaded_once_and_found_again_by_its_source(
    written: Written, workspace: Workspace, tmp_path: Path
) -> None:
    directory = tmp_path / "films"
    directory.mkdir()
    located, movies, ratings = workspace.load(written.write(directory, ROWS))
    assert (movies.reloaded, ratings.reloaded, ratings.details["rows"]) == (True, True, len(ROWS))
    assert workspace.ratings() == ROWS
    titles = workspace.database.rows(f"SELECT movie_id, title FROM {SCHEMA}.movies ORDER BY 1")
    assert titles == list(TITLES.items())
    assert ratings.details["assumed_utc"] == (
        len(ROWS) if written.name in {"ISO", "Kaggle", "Parquet of floats"} else 0
    )
    again, movies, ratings = workspace.load(located.files.source)
    assert (again.files, movies.reloaded, ratings.reloaded) == (located.files, False, False)
    assert is_loaded(workspace.database, again.files)
    assert stamp_of(again.files) == stamp_of(located.files)


def test_rejects_go_with_the_files_they_are_of(workspace: Workspace, tmp_path: Path) -> None:
    for name in ("ml-100k", "ml-1m", "MovieLens CSV"):
        (tmp_path / name).mkdir()
        next(each for each in FORMATS if each.name == name).write(tmp_path / name, ROWS)
    for path, line in (
        ("ml-100k/u.data", "7\t9\t4\t964982703\n"),
        ("ml-100k/u.item", "9||||x\n"),
        ("ml-1m/ratings.dat", "7::1::4.2::964982703\n"),
        ("MovieLens CSV/ratings.csv", "7,9,4,964982703\n"),
    ):
        with (tmp_path / path).open("a") as file:
            file.write(line)
    (tmp_path / "MovieLens CSV" / "links.csv").write_text("movieId,imdbId,tmdbId\n1,0110001,86.5\n2,0110002,862.0\n")
    last = len(ROWS)
    workspace.load(tmp_path / "ml-100k")
    assert workspace.rejects() == [("u.data", last + 1, "7\t9\t4\t964982703"), ("u.item", len(TITLES) + 2, "9||||x")]
    workspace.load(tmp_path / "ml-1m")
    assert workspace.rejects() == [("ratings.dat", last + 1, "7::1::4.2::964982703")]
    workspace.load(tmp_path / "MovieLens CSV")
    assert [row[:2] for row in workspace.rejects()] == [("links.csv", 2), ("ratings.csv", last + 2)]
    workspace.load(tmp_path / "ml-1m")
    assert workspace.rejects() == [("ratings.dat", last + 1, "7::1::4.2::964982703")]


@pytest.mark.parametrize("name", ["ml-100k", "a line sep=;", "ISO", "gzip", "zip"])
def test_what_was_appended_to_any_text_is_merged(name: str, workspace: Workspace, tmp_path: Path) -> None:
    written = next(each for each in FORMATS if each.name == name)
    for part, rows in (("before", ROWS), ("after", [*ROWS, (99, 1, 5.0, 964982800), (1, 1, 2.0, 964990000)])):
        directory = tmp_path / part
        directory.mkdir()
        made = written.write(directory, rows)
        if part == "before":
            workspace.load(made)
    (tmp_path / "before").rename(tmp_path / "gone")
    (tmp_path / "after").rename(tmp_path / "before")
    located, _, loaded = workspace.load(tmp_path / "before" / made.relative_to(directory))
    assert loaded.appended == 2
    assert workspace.ratings() == sorted([*ROWS[1:], (1, 1, 2.0, 964990000), (99, 1, 5.0, 964982800)])
    ((file, line, _),) = workspace.rejects()
    assert (file, line) == (located.files.rating_file.name, next(iter(_lines(located))))
    assert loaded.details["assumed_utc"] == (len(ROWS) + 2 if name == "ISO" else 0)


def _lines(located: Located) -> list[int]:
    """Line of the first rating in a file: after its header, if it has one."""
    lines = located.files.ratings.read_text(encoding="utf-8-sig").splitlines()
    return [number for number, line in enumerate(lines, 1) if line[:1].isdigit()]


def test_a_changed_archive_and_a_grown_compressed_file_are_seen(workspace: Workspace, tmp_path: Path) -> None:
    directory = tmp_path / "films"
    directory.mkdir()
    plain(directory, ROWS)
    archive = zipped(tmp_path / "films.zip", directory)
    located, _, _ = workspace.load(archive)
    stamp = stamp_of(located.files)
    plain(directory, ROWS[:-1])
    zipped(archive, directory)
    changed = workspace.locate(archive).files
    assert stamp_of(changed) != stamp
    assert not is_loaded(workspace.database, changed)

    packed = directory / "ratings.csv.gz"
    packed.write_bytes(gzip.compress((directory / "ratings.csv").read_bytes()))
    (directory / "ratings.csv").unlink()
    located, _, loaded = workspace.load(directory)
    assert (loaded.details["rows"], located.files.rating_file.name) == (len(ROWS) - 1, "ratings.csv.gz")
