"""Files that do not fit leave the tables as they were, and movies load before their ratings are judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.loading import Loaded, Rejected, load_movies, load_ratings, rejected_by_reason
from movierec_tests.conftest import Dataset
from movierec_tests.datasets.test_judgement import rows_of

MOVIES = [f"{number},Film {number} (1999),Drama" for number in range(1, 41)]
GOOD = rows_of(["2", "3.5", "4", "5"])
TEN = rows_of(["2", "4", "6", "8", "10"], first_user=100)
ORIGINAL_SHARE = "MOVIEREC_MAX_REJECTED_SHARE"


def _load(database: Database, directory: Path) -> Loaded:
    files = MovieLensFiles.at(directory)
    load_movies(database, files)
    return load_ratings(database, files)


def _everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    tables = ("movies", "ratings", "rating_totals", "user_totals", "rejected_ratings", "loads")
    return {table: database.rows(f"SELECT * FROM {SCHEMA}.{table} ORDER BY 1, 2") for table in tables}


@pytest.mark.parametrize(
    ("ratings", "movies", "says"),
    [
        (TEN, MOVIES, "ratings.csv: 72 of 120 rows (60.0%) do not load"),
        (TEN, MOVIES[:-1], "is this a 1 to 10 scale? Divide by two."),
        (rows_of(["0", "1"]), MOVIES, "are these thumbs up and down?"),
        (rows_of(["1"]), MOVIES, "are these thumbs up?"),
        (
            [row.replace(",1", ",1", 1).rsplit(",", 1)[0] + ",1700000000" for row in GOOD],
            MOVIES,
            "all ratings have one",
        ),
        ([f"{10**9 + n},{row.split(',', 1)[1]}" for n, row in enumerate(GOOD)], MOVIES, "Number the users of the file"),
        (
            GOOD,
            [m.replace("Film", "Film, the") for m in MOVIES[:10]] + MOVIES[10:],
            "movies.csv: 10 of 40 rows (25.0%)",
        ),
        (GOOD, MOVIES[4:], "are the two files from one release?"),
        (GOOD, [*("1,Film, 1,Drama", "2,Film, 2,Drama"), *MOVIES[2:]], "movies.csv: 2 rows do not load, and 24 of 120"),
    ],
)
def test_a_file_that_does_not_fit_replaces_nothing(
    database: Database, make_dataset: Dataset, ratings: list[str], movies: list[str], says: str
) -> None:
    _load(database, make_dataset([*GOOD, "bad"], [*MOVIES, "bad"], name="films"))
    before = _everything(database)
    directory = make_dataset(ratings, movies, name="films")
    with pytest.raises(DatasetError) as refused:
        _load(database, directory)
    assert says in str(refused.value)
    assert str(refused.value).startswith(str(directory))
    assert str(refused.value).endswith("Nothing was replaced: the tables stay as they were.")
    assert _everything(database) == before


def test_a_setting_loads_what_fits(database: Database, make_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ORIGINAL_SHARE, "0.6")
    assert _load(database, make_dataset(TEN, MOVIES)).details["rows"] == 48
    monkeypatch.setenv("MOVIEREC_ALLOW_UNORDERED", "true")
    same = [row.rsplit(",", 1)[0] + ",1700000000" for row in GOOD]
    assert _load(database, make_dataset(same, MOVIES)).details["rows"] == 120


@pytest.mark.parametrize("movies", [MOVIES, MOVIES[:-1]], ids=["merged", "loaded as a whole"])
def test_appended_rows_are_judged_separately(
    database: Database, make_dataset: Dataset, monkeypatch: pytest.MonkeyPatch, movies: list[str]
) -> None:
    many = rows_of(["2", "3.5", "4", "5"], users=90)
    _load(database, make_dataset(many, MOVIES))
    before = _everything(database)
    tail = TEN[:30]
    directory = make_dataset([*many, *tail], movies)
    with pytest.raises(
        DatasetError, match=r"ratings\.csv: 18 of 30 rows that were appended \(60\.0%\) do not load"
    ) as e:
        load_ratings(database, MovieLensFiles.at(directory))
    assert "18 rows: rating off the half-star grid 0.5 to 5.0; first line " in str(e.value)
    assert "1 to 10 scale" in str(e.value)
    after = _everything(database)
    assert (after["ratings"], after["rejected_ratings"]) == (before["ratings"], before["rejected_ratings"])
    monkeypatch.setenv(ORIGINAL_SHARE, "0.6")
    loaded = load_ratings(database, MovieLensFiles.at(directory))
    assert loaded.details["rows"] == 912
    assert (loaded.appended == 12) == (movies is MOVIES)


def test_a_few_bad_rows_of_a_small_tail_are_rows(database: Database, make_dataset: Dataset) -> None:
    _load(database, make_dataset(GOOD, MOVIES))
    loaded = _load(database, make_dataset([*GOOD, *["bad"] * 10], MOVIES))
    assert (loaded.appended, loaded.details["rows"]) == (0, 120)


def test_ratings_alone_load_the_movies_of_their_dataset_first(database: Database, make_dataset: Dataset) -> None:
    loaded = load_ratings(database, MovieLensFiles.at(make_dataset(GOOD, MOVIES)))
    assert loaded.movies is not None
    assert (loaded.movies.details["rows"], loaded.details["rows"], loaded.details["rejected"]) == (40, 120, {})
    again = load_ratings(database, MovieLensFiles.at(make_dataset(GOOD, MOVIES)))
    assert (again.movies, again.reloaded) == (None, False)
    new = make_dataset([*GOOD, "1,41,4.0,1100000000"], [*MOVIES, "41,New in both (2001),Drama"])
    loaded = load_ratings(database, MovieLensFiles.at(new))
    assert (loaded.details["rows"], loaded.details["rejected"]) == (121, {})


def test_rejects_are_counted_by_file_and_reason_with_the_first_row_of_each(
    database: Database, make_dataset: Dataset
) -> None:
    ratings = [*GOOD, "bad", "1,99,4.0,1000000000", "1,98,4.0,1000000000", GOOD[0]]
    _load(database, make_dataset(ratings, [*MOVIES, "x,X,Drama"], links=["1,0114709,862", "99,1,1"]))
    assert rejected_by_reason(database) == [
        Rejected("ratings.csv", "unknown movie", 2, 123, "1,99,4.0,1000000000"),
        Rejected("ratings.csv", "duplicate (user, movie) pair", 1, 2, GOOD[0]),
        Rejected("ratings.csv", "wrong number of fields", 1, 122, "bad"),
        Rejected("movies.csv", "movie id is not an integer", 1, 42, "x,X,Drama"),
        Rejected("links.csv", "unknown movie", 1, 3, "99,1,1"),
    ]
