"""Telling a dataset whose files changed from another dataset in its place."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from movierec_assets.datasets.identity import Catalogue, Contents, PairSketch
from movierec_assets.datasets.keep import AbsentDataset, absent_dataset, locate_or_keep
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.datasets.loaded_from import LoadedFrom
from movierec_assets.datasets.locate import Located
from movierec_assets.datasets.movies import read_movies
from movierec_assets.datasets.ratings import read_ratings
from movierec_assets.datasets.same_content import holds_another
from movierec_assets.ratings import pair_key
from movierec_assets.settings import Settings

Rows = list[tuple[int, int, float]]
USERS, FILMS = range(1, 41), range(1, 201)
RATED: Rows = [(user, (user * 37 + at * 11) % 200 + 1, 4.0) for user in USERS for at in range(18)]


def write(directory: Path, rows: Rows, title: str = "Film {} (1999)") -> MovieLensFiles:
    directory.mkdir(parents=True, exist_ok=True)
    lines = [f"{user},{movie},{stars},{964982703 + user}" for user, movie, stars in rows]
    (directory / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *lines]) + "\n")
    films = [f"{number},{title.format(number)},Drama" for number in FILMS]
    (directory / "movies.csv").write_text("\n".join(["movieId,title,genres", *films]) + "\n")
    return MovieLensFiles.at(directory)


def loaded_of(files: MovieLensFiles) -> LoadedFrom:
    """The record of a load of these files."""
    movies = read_movies(files)
    columns = read_ratings(files, movies.movie_id).columns
    pairs = PairSketch()
    pairs.add(pair_key(columns.user_id, columns.movie_id))
    contents = Contents(Catalogue.of(movies.movie_id, movies.title), pairs)
    size = files.ratings.stat().st_size
    return LoadedFrom(files.name, files.source, size, str(os.urandom(4)), lambda: contents)


@pytest.fixture
def mine(tmp_path: Path) -> MovieLensFiles:
    return write(tmp_path / "data" / "mine", RATED)


def of_new_users(rows: Rows) -> Rows:
    return [(user + 1000, movie, stars) for user, movie, stars in rows]


@pytest.mark.parametrize(
    ("change", "another"),
    [
        (lambda rows: rows + [(user, 200, 3.5) for user in USERS], False),
        (lambda rows: [(user, movie, 2.5) for user, movie, _ in rows[::-1]][:-1], False),
        (lambda rows: rows[: len(rows) // 2], False),
        (lambda rows: sorted(rows + [(user, movie, 1.0) for user in USERS for movie in range(1, 60)]), False),
        (lambda rows: [*of_new_users(rows), (5000, 1, 4.0)], True),
        (lambda rows: of_new_users(rows)[:300], True),
    ],
    ids=["appended", "corrected, other order", "half of it", "grown four times", "other users", "fewer other users"],
)
def test_changed_files_are_the_same_dataset_and_files_of_other_users_are_not(
    mine: MovieLensFiles, change: Callable[[Rows], Rows], another: bool
) -> None:
    loaded = loaded_of(mine)
    assert not holds_another(mine, loaded)
    assert holds_another(write(mine.directory, change(RATED)), loaded) == another


def test_files_of_other_films_are_another_dataset(mine: MovieLensFiles) -> None:
    loaded = loaded_of(mine)
    assert holds_another(write(mine.directory, RATED[:-1], title="Song {} (1971)"), loaded)


def test_files_that_cannot_be_read_and_loads_of_earlier_releases_are_left_to_the_load(mine: MovieLensFiles) -> None:
    loaded = loaded_of(mine)
    (mine.directory / "ratings.csv").write_text("no header\n")
    assert not holds_another(mine, loaded)
    write(mine.directory, of_new_users(RATED))
    assert not holds_another(mine, LoadedFrom("mine", mine.source))
    assert holds_another(mine, replace(loaded, version="another"))


def test_another_dataset_under_the_same_path_is_loaded_by_a_person_only(mine: MovieLensFiles, tmp_path: Path) -> None:
    loaded = loaded_of(mine)
    settings = Settings(state_dir=tmp_path / "state", data_dir=tmp_path / "data", dataset=None)
    assert absent_dataset(settings, loaded) is None
    write(mine.directory, of_new_users(RATED))

    found = locate_or_keep(settings, loaded, None)
    assert isinstance(found, AbsentDataset)
    assert found.replaced
    assert f"{mine.source} holds another dataset now" in found.reason
    assert f"movierec run --dataset {mine.source}" in found.reason
    assert absent_dataset(settings, loaded) == found
    assert isinstance(locate_or_keep(settings, loaded, None, by_hand=True), Located)
    chosen = settings.model_copy(update={"dataset": str(mine.source)})
    assert isinstance(locate_or_keep(chosen, loaded, None), Located)
    assert absent_dataset(chosen, loaded) is None

    write(mine.directory, RATED)
    assert absent_dataset(settings, loaded) is None, "the files are back"
