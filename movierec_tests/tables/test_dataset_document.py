"""The document of the loaded file has the figures of its rows, and is made once for each load."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.dataset_document import distribution, refresh_dataset_document
from movierec_assets.tables.insights import read_insight
from movierec_assets.tables.loading import load_movies, load_ratings
from movierec_tests.conftest import Dataset

MOVIES = [
    "1,Metropolis (1927),Drama|Sci-Fi",
    "2,Alien (1979),Horror|Sci-Fi",
    '3,"Story of <b>O</b>, The",(no genres listed)',
    "4,Nobody saw it (1979),Drama",
    "x,Lost,Drama",
]
RATINGS = [
    "1,1,4.0,946684799",  # the last second of 1999, in UTC
    "1,2,5.0,946684800",
    "2,1,3.0,954547200",  # 1 April 2000
    "2,3,0.5,954547200",
    "3,2,5.0,954547201",
    "3,77,5.0,954547201",
    *(f"4,{movie},9.0,954547201" for movie in (1, 2, 3, 4)),
]


def _made(database: Database) -> dict[str, Any]:
    found = read_insight(database, "dataset")
    assert found is not None
    return found.document


def _loaded(database: Database, make: Dataset, ratings: list[str]) -> MovieLensFiles:
    files = MovieLensFiles.at(make(ratings, MOVIES))
    load_movies(database, files)
    load_ratings(database, files)
    return files


@pytest.fixture
def document(database: Database, make_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("MOVIEREC_MAX_REJECTED_SHARE", "0.6")
    _loaded(database, make_dataset, RATINGS)
    assert refresh_dataset_document(database)
    return _made(database)


def test_counts_stars_and_months_are_those_of_the_file(document: dict[str, Any]) -> None:
    assert document["counts"] == {
        "rows_read": 10, "ratings": 5, "rejected": 5, "users": 3, "rated_movies": 3, "movies": 4,
    }  # fmt: skip
    assert document["density"] == pytest.approx(5 / 9)
    assert document["mean_stars"] == pytest.approx(17.5 / 5)
    stars = {each["stars"]: each["ratings"] for each in document["stars"]}
    assert list(stars) == [half / 2 for half in range(1, 11)]
    assert {value: count for value, count in stars.items() if count} == {0.5: 1, 3.0: 1, 4.0: 1, 5.0: 2}
    assert [(each["month"], each["ratings"]) for each in document["months"]] == [
        ("1999-12", 1), ("2000-01", 1), ("2000-02", 0), ("2000-03", 0), ("2000-04", 3),
    ]  # fmt: skip


def test_genres_are_counted_by_decade_also_where_a_movie_has_neither(document: dict[str, Any]) -> None:
    found = [
        (row["genre"], row["decade"], row["movies"], row["ratings"], row["mean_stars"]) for row in document["genres"]
    ]
    assert found == [
        ("", None, 1, 1, 0.5),
        ("Drama", 1920, 1, 2, 3.5),
        ("Horror", 1970, 1, 2, 5.0),
        ("Sci-Fi", 1920, 1, 2, 3.5),
        ("Sci-Fi", 1970, 1, 2, 5.0),
    ]


def test_rejected_rows_have_their_reason_file_and_line_and_three_of_them_their_text(document: dict[str, Any]) -> None:
    found = {(each["file"], each["reason"]): each for each in document["rejected"]}
    assert {key: each["rows"] for key, each in found.items()} == {
        ("ratings.csv", "rating off the half-star grid 0.5 to 5.0"): 4,
        ("ratings.csv", "unknown movie"): 1,
        ("movies.csv", "movie id is not an integer"): 1,
    }
    assert found["ratings.csv", "rating off the half-star grid 0.5 to 5.0"]["examples"] == [
        {"line": 8 + place, "text": RATINGS[6 + place]} for place in range(3)
    ]
    assert found["movies.csv", "movie id is not an integer"]["examples"] == [{"line": 6, "text": MOVIES[4]}]


def test_the_document_is_made_once_for_a_load_and_again_after_the_next_one(
    database: Database, make_dataset: Dataset
) -> None:
    assert not refresh_dataset_document(database), "nothing is loaded"
    good = [f"{user},{movie},4.0,{1_000_000_000 + user}" for user in range(1, 9) for movie in (1, 2)]
    files = _loaded(database, make_dataset, good)
    assert refresh_dataset_document(database)
    assert not refresh_dataset_document(database)
    with files.ratings.open("a") as stream:
        stream.write("9,1,4.5,1100000000\n")
    assert load_ratings(database, files).appended == 1
    assert refresh_dataset_document(database)
    document = _made(database)
    assert document["counts"]["ratings"] == 17
    assert (document["months"][-1], len(document["months"])) == ({"month": "2004-11", "ratings": 1}, 39)

    with database.transaction() as cursor:  # as a release left it that did not count months
        cursor.execute(f"UPDATE {SCHEMA}.loads SET details = details - 'months'")
        cursor.execute(f"DELETE FROM {SCHEMA}.insights")
    assert refresh_dataset_document(database)
    assert _made(database) == document
    load = database.last_load("ratings")
    assert load is not None
    assert load.details["months"] == {"2001-09": 16, "2004-11": 1}
    with files.ratings.open("a") as stream:
        stream.write("9,2,4.5,1100000001\n")
    assert load_ratings(database, files).appended == 1
    assert refresh_dataset_document(database)
    assert _made(database)["months"][-1] == {"month": "2004-11", "ratings": 2}


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=200))
def test_a_distribution_adds_up(counts: list[int]) -> None:
    found = distribution(np.array(counts, np.int32))
    ordered = sorted(counts, reverse=True)
    assert (found["fewest"], found["most"]) == (ordered[-1], ordered[0])
    assert found["mean"] == pytest.approx(sum(counts) / len(counts))
    assert 2 * sum(ordered[: found["half"]]) >= sum(counts) > 2 * sum(ordered[: found["half"] - 1])
    assert sum(each["count"] for each in found["bins"]) == len(counts)
    for each in found["bins"]:
        assert each["count"] == sum(each["from"] <= count <= each["to"] for count in counts)
    ranks = [each["rank"] for each in found["ranks"]]
    assert (ranks[0], ranks[-1]) == (1, len(counts))
    assert [each["ratings"] for each in found["ranks"]] == [ordered[rank - 1] for rank in ranks]
