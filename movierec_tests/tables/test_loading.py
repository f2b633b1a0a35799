"""Files into tables: rows that load, rows that are rejected, and tables that stay as they are."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from movierec_assets.datasets.errors import DatasetError
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.tables import loading, rating_load
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.loading import load_movies, load_ratings, rejected_examples
from movierec_tests.conftest import Dataset

MOVIES = [
    "1,Toy Story (1995),Adventure|Animation|Children",
    '11,"American President, The (1995)",Comedy|Drama|Romance',
    '29,"City of Lost Children, The (Cité des enfants perdus, La) (1995)",(no genres listed)',
    '77,"""Great Performances"" Cats",Musical',
]
LINKS = ["1,0114709,862", "11,0112346,", "29,,902"]
GOOD = ["1,1,4.0,964982703", "1,11,4.5,964982704", "2,1,0.5,964982705", "2,77,5.0,964982706"]


def _load(database: Database, directory: Path) -> tuple[loading.Loaded, loading.Loaded]:
    files = MovieLensFiles.at(directory)
    return load_movies(database, files), load_ratings(database, files)


def _rejects(database: Database) -> list[tuple[Any, ...]]:
    return database.rows(f"SELECT file, line, raw_text, reason FROM {SCHEMA}.rejected_ratings ORDER BY file, line")


def _everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that loading writes, with the times of writing."""
    return {
        table: database.rows(f"SELECT * FROM {SCHEMA}.{table} ORDER BY 1, 2")
        for table in ("movies", "ratings", "rating_totals", "user_totals", "rejected_ratings", "loads")
    }


def test_titles_years_genres_and_links_arrive_as_they_are_in_the_files(
    database: Database, make_dataset: Dataset
) -> None:
    movies, _ = _load(database, make_dataset(GOOD, MOVIES, links=LINKS))
    assert database.rows(f"SELECT * FROM {SCHEMA}.movies ORDER BY movie_id") == [
        (1, "Toy Story (1995)", 1995, ["Adventure", "Animation", "Children"], "tt0114709", 862),
        (11, "American President, The (1995)", 1995, ["Comedy", "Drama", "Romance"], "tt0112346", None),
        (29, "City of Lost Children, The (Cité des enfants perdus, La) (1995)", 1995, [], None, 902),
        (77, '"Great Performances" Cats', None, ["Musical"], None, None),
    ]
    names = ["movies.csv", "links.csv"]
    assert movies.details == {"rows": 4, "rejected": {}, "names": names, "with_year": 3, "with_imdb_id": 2}
    assert movies.reloaded


def test_ratings_arrive_with_their_stars_and_utc_times(database: Database, make_dataset: Dataset) -> None:
    directory = make_dataset(GOOD, MOVIES)
    _, ratings = _load(database, directory)
    rows = database.rows(
        f"SELECT user_id, movie_id, rating, rated_at AT TIME ZONE 'UTC' FROM {SCHEMA}.ratings ORDER BY 1, 2"
    )
    assert [row[:3] for row in rows] == [(1, 1, 4.0), (1, 11, 4.5), (2, 1, 0.5), (2, 77, 5.0)]
    assert str(rows[0][3]) == "2000-07-30 18:45:03"
    file = ratings.details.pop("file")
    counts = {"rows": 4, "rows_read": 4, "rows_complete": 4, "rejected": {}}
    assert ratings.details == {**counts, "name": "ratings.csv", "assumed_utc": 0, "months": {"2000-07": 4}}
    assert (file["bytes"], file["lines"]) == (106, 5)
    assert file["sha256"] == hashlib.sha256((directory / "ratings.csv").read_bytes()).hexdigest()


def test_a_dataset_without_links_has_no_external_ids(database: Database, make_dataset: Dataset) -> None:
    movies, _ = _load(database, make_dataset(GOOD, MOVIES))
    assert movies.details["with_imdb_id"] == 0
    assert database.scalar(f"SELECT count(*) FROM {SCHEMA}.movies WHERE imdb_id IS NULL AND tmdb_id IS NULL") == 4


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("3,1,,964982703", "missing rating"),
        ("3,1,NaN,964982703", "missing rating"),
        ("3,1,4.0", "wrong number of fields: expected 4 fields, found 3"),
        ("3,999,4.0,964982703", "unknown movie: 999 is not in movies.csv"),
        ("3,1,7.0,964982703", "rating off the half-star grid 0.5 to 5.0"),
        ("3,1,3.7,964982703", "rating off the half-star grid 0.5 to 5.0"),
        ("3,1,good,964982703", "rating is not a number"),
        ("-3,1,4.0,964982703", "user id outside 1 to 2147483647"),
        ("2147483648,1,4.0,964982703", "user id outside 1 to 2147483647"),
        ("1000000000,1,4.0,964982703", "user id from 1000000000 up is reserved for accounts created in the app"),
        ("3,2147483648,4.0,964982703", "movie id outside 1 to 2147483647"),
        ("3,1,4.0,0", "impossible timestamp: 0 is not between 1970 and tomorrow in seconds"),
        ("1,1,2.0,900000000", "duplicate (user, movie) pair: line 2 wins"),
    ],
)
def test_a_row_that_does_not_load_is_kept_with_file_line_text_and_reason(
    database: Database, make_dataset: Dataset, row: str, reason: str
) -> None:
    _, ratings = _load(database, make_dataset([*GOOD[:2], row, *GOOD[2:]], MOVIES))
    assert _rejects(database) == [("ratings.csv", 4, row, reason)]
    assert database.scalar(f"SELECT count(*) FROM {SCHEMA}.ratings") == 4
    assert ratings.details["rows_read"] == 5
    assert sum(ratings.details["rejected"].values()) == 1
    assert list(rejected_examples(database, "ratings.csv")) == [(4, reason, row)]


def test_of_a_pair_rated_twice_the_later_rating_is_in_the_table(database: Database, make_dataset: Dataset) -> None:
    _load(database, make_dataset(["1,1,2.0,1000000000", "1,1,5.0,1200000000", "1,1,3.0,1100000000"], MOVIES))
    assert database.rows(f"SELECT rating FROM {SCHEMA}.ratings") == [(5.0,)]
    assert [row[1] for row in _rejects(database)] == [2, 4]


def test_rejects_of_movies_and_links_stand_beside_those_of_ratings(database: Database, make_dataset: Dataset) -> None:
    directory = make_dataset([*GOOD, "bad"], [*MOVIES, "x,No Number,Drama"], links=[*LINKS, "5,1,1"])
    movies, ratings = _load(database, directory)
    assert [row[:2] for row in _rejects(database)] == [("links.csv", 5), ("movies.csv", 6), ("ratings.csv", 6)]
    assert sum(movies.details["rejected"].values()) == 2
    assert sum(ratings.details["rejected"].values()) == 1


def test_unchanged_files_are_not_loaded_again(database: Database, make_dataset: Dataset) -> None:
    directory = make_dataset([*GOOD, "bad"], MOVIES, links=LINKS)
    first = _load(database, directory)
    before = _everything(database)
    (directory / "ratings.csv").touch()
    second = _load(database, directory)
    assert [loaded.reloaded for loaded in (*first, *second)] == [True, True, False, False]
    assert [loaded.details for loaded in first] == [loaded.details for loaded in second]
    assert [loaded.content_hash for loaded in first] == [loaded.content_hash for loaded in second]
    assert _everything(database) == before


def test_the_same_content_in_another_directory_is_not_loaded_again(database: Database, make_dataset: Dataset) -> None:
    _load(database, make_dataset(GOOD, MOVIES))
    assert not any(loaded.reloaded for loaded in _load(database, make_dataset(GOOD, MOVIES, name="copy")))


def test_a_changed_ratings_file_replaces_rows_and_rejects(database: Database, make_dataset: Dataset) -> None:
    first = _load(database, make_dataset([*GOOD, "bad"], MOVIES))
    movies, ratings = _load(database, make_dataset(GOOD[:3], MOVIES))
    assert (movies.reloaded, ratings.reloaded) == (False, True)
    assert ratings.content_hash != first[1].content_hash
    assert database.scalar(f"SELECT count(*) FROM {SCHEMA}.ratings") == 3
    assert _rejects(database) == []


@pytest.mark.parametrize("changed", ["movies.csv", "links.csv"])
def test_changed_movies_make_the_same_ratings_be_validated_again(
    database: Database, make_dataset: Dataset, changed: str
) -> None:
    _load(database, make_dataset(GOOD, MOVIES, links=LINKS))
    if changed == "movies.csv":
        _, ratings = _load(database, make_dataset(GOOD, MOVIES[:-1], links=LINKS))
        assert [row[1] for row in _rejects(database)] == [5]
    else:
        movies, ratings = _load(database, make_dataset(GOOD, MOVIES, links=LINKS[:1]))
        assert movies.details["with_imdb_id"] == 1
    assert ratings.reloaded
    files = MovieLensFiles.at(make_dataset(GOOD, MOVIES, links=LINKS))
    assert load_movies(database, files).reloaded
    assert load_ratings(database, files).details["rows"] == 4


def test_a_loader_that_reads_differently_loads_again(
    database: Database, make_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = make_dataset(GOOD, MOVIES)
    _load(database, directory)
    monkeypatch.setattr(loading, "LOADER_VERSION", "next")
    assert all(loaded.reloaded for loaded in _load(database, directory))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"userId,movieId,rating\n1,1,4.0\n", "timestamp"),
        (b"1,1,4.0,964982703\n", "header is missing"),
        (b"userId,movieId,rating,timestamp\n", "none of its 0 rows"),
        (b"userId,movieId,rating,timestamp\n1,1,9,964982703\n", "none of its 1 rows"),
    ],
)
def test_a_ratings_file_that_cannot_be_loaded_leaves_everything_as_it_was(
    database: Database, make_dataset: Dataset, content: bytes, says: str
) -> None:
    directory = make_dataset([*GOOD, "bad"], MOVIES)
    _load(database, directory)
    before = _everything(database)
    (directory / "ratings.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=says) as raised:
        _load(database, directory)
    assert str(directory / "ratings.csv") in str(raised.value)
    assert _everything(database) == before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"1,1,4.0,964982703\n", "header is missing"),
        (b"userId,movieId,rating,timestamp\n1,77,4.0,964982703\n", "1 row: unknown movie"),
    ],
)
def test_movies_of_a_dataset_without_usable_ratings_are_not_loaded(
    database: Database, make_dataset: Dataset, content: bytes, says: str
) -> None:
    _load(database, make_dataset([*GOOD, "bad"], [*MOVIES, "bad"], links=LINKS))
    before = _everything(database)
    other = make_dataset([], MOVIES[:2], name="other")
    (other / "ratings.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=says) as raised:
        load_movies(database, MovieLensFiles.at(other))
    assert str(other / "ratings.csv") in str(raised.value)
    assert _everything(database) == before


def test_a_movies_file_that_cannot_be_loaded_leaves_everything_as_it_was(
    database: Database, make_dataset: Dataset
) -> None:
    directory = make_dataset([*GOOD, "bad"], MOVIES)
    _load(database, directory)
    before = _everything(database)
    (directory / "movies.csv").write_text("movieId,title\n1,Toy Story (1995)\n")
    with pytest.raises(DatasetError, match=r"movies\.csv.*genres"):
        _load(database, directory)
    assert _everything(database) == before


def test_a_load_that_breaks_off_in_the_database_leaves_everything_as_it_was(
    database: Database, make_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    _load(database, make_dataset([*GOOD, "bad"], MOVIES))
    before = _everything(database)

    def breaks(*_: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(rating_load, "record_load", breaks)
    with pytest.raises(ConnectionError):
        load_ratings(database, MovieLensFiles.at(make_dataset([*GOOD[:1], "worse"], MOVIES)))
    assert _everything(database) == before


def test_byte_order_mark_windows_line_ends_and_quotes_change_nothing(database: Database, make_dataset: Dataset) -> None:
    directory = make_dataset(GOOD, MOVIES, links=LINKS)
    _load(database, directory)
    plain = _everything(database)
    for name in ("ratings.csv", "movies.csv", "links.csv"):
        text = (directory / name).read_bytes().replace(b"\n", b"\r\n")
        (directory / name).write_bytes(b"\xef\xbb\xbf" + text)
    quoted = (directory / "ratings.csv").read_bytes().replace(b"1,11,4.5,964982704", b'"1","11","4.5","964982704"')
    (directory / "ratings.csv").write_bytes(quoted)
    movies, ratings = _load(database, directory)
    assert movies.reloaded
    assert ratings.reloaded
    again = _everything(database)
    assert (again["movies"], again["ratings"], again["rejected_ratings"]) == (plain["movies"], plain["ratings"], [])


def test_progress_is_reported_in_bytes_up_to_the_whole_file(database: Database, make_dataset: Dataset) -> None:
    files = MovieLensFiles.at(make_dataset(GOOD, MOVIES))
    load_movies(database, files)
    reported: list[tuple[int, int]] = []
    load_ratings(database, files, lambda done, total: reported.append((done, total)))
    size = files.ratings.stat().st_size
    assert reported[-1] == (size, size)
