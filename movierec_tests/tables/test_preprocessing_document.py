"""The document of the steps counts what each step leaves, and shows rows of users of the file only."""

from __future__ import annotations

from typing import Any

import pytest

from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.ratings import FIRST_APP_USER_ID
from movierec_assets.recsys.split import leave_latest_out
from movierec_assets.tables.app_users import refresh_eligible_users
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.histories import read_positives
from movierec_assets.tables.insights import read_insight, write_insight
from movierec_assets.tables.loading import load_movies, load_ratings
from movierec_assets.tables.preprocessing_document import SHOWN, preprocessing_document
from movierec_tests.conftest import Dataset
from movierec_tests.defs.harness import new_app_users

FIRST_TITLE = "L'Été <i>indien</i>, 1 % (1999)"
MOVIES = [f'1,"{FIRST_TITLE}",Drama', *(f"{number},Film {number} (1999),Drama" for number in range(2, 41))]
# Users 1 to 5 like ten movies each, one after the other; user 6 has few ratings, user 7 likes hardly anything.
RATINGS = [f"{user},{movie},4.5,{1_000_000_000 + movie}" for user in range(1, 6) for movie in range(user, user + 10)]
RATINGS += ["6,1,5.0,1000000001", *(f"7,{movie},{4.0 if movie < 3 else 2.0},1000000001" for movie in range(1, 9))]
RATINGS += ["1,99,4.0,1000000001"]


@pytest.fixture
def document(database: Database, make_dataset: Dataset) -> dict[str, Any]:
    files = MovieLensFiles.at(make_dataset(RATINGS, MOVIES))
    load_movies(database, files)
    load_ratings(database, files)
    with database.transaction() as cursor:
        user = new_app_users(cursor)[0]
        posted = f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating, rated_at) VALUES (%s, %s, 5.0, %s)"
        for movie in range(1, 8):
            cursor.execute(posted, [user, movie, f"2020-01-0{movie}"])
        refresh_eligible_users(cursor)
    positives = read_positives(database, 4.0)
    split, ids = leave_latest_out(positives)
    write_insight(database, "preprocessing", preprocessing_document(database, positives, split, ids, 4.0))
    found = read_insight(database, "preprocessing")
    assert found is not None
    return found.document


def test_every_step_has_its_rows_users_and_movies(document: dict[str, Any]) -> None:
    names = ("step", "rows", "users", "movies")
    assert [tuple(step[name] for name in names) for step in document["steps"]] == [
        ("read", 60, None, None),
        ("complete", 60, None, None),
        ("loaded", 59, 7, 14),
        ("posted in the app", 7, None, None),
        ("of eligible users", 65, 7, None),
        ("likes", 59, 7, 14),
        ("train", 45, 6, 12),
        ("validation", 6, 6, 6),
        ("test", 8, 7, 8),
        ("evaluated test", 6, 6, 6),
    ]
    assert document["rules"] == {"like_from_stars": 4.0, "ratings_above": 5, "likes_before_test": 4}


def test_previews_are_the_first_rows_of_users_of_the_file(document: dict[str, Any]) -> None:
    previews = document["previews"]
    assert set(previews) == {
        *("original", "rejected", "likes", "train", "test", "evaluated test", "train matrix", "test matrix")
    }
    like = {
        "user_id": 1,
        "movie_id": 1,
        "title": FIRST_TITLE,
        "stars": 4.5,
        "rated_at": "2001-09-09T01:46:41Z",
    }
    assert previews["original"][0] == {"line": 2, **like}
    assert previews["likes"][0] == previews["train"][0] == like
    assert previews["rejected"] == [
        {"file": "ratings.csv", "line": 61, "text": RATINGS[-1], "reason": "unknown movie: 99 is not in movies.csv"}
    ]
    assert [(row["user_id"], row["movie_id"]) for row in previews["test"]] == [
        *((user, user + 9) for user in range(1, 6)), (7, 1), (7, 2),
    ]  # fmt: skip
    assert [row["user_id"] for row in previews["evaluated test"]] == [1, 2, 3, 4, 5]
    assert len(previews["original"]) == len(previews["likes"]) == len(previews["train matrix"]) == SHOWN
    assert previews["test matrix"][5] == {
        "row": 5, "column": 0, "value": 4.0, "user_id": 7, "movie_id": 1, "title": FIRST_TITLE,
    }  # fmt: skip


def test_the_corner_of_the_matrix_has_each_like_in_one_part(document: dict[str, Any]) -> None:
    corner = document["corner"]
    assert corner["users"] == [1, 2, 3, 4, 5, 7]
    assert [movie["movie_id"] for movie in corner["movies"]] == list(range(1, 15))
    of_first = {cell["movie_id"]: cell["part"] for cell in corner["cells"] if cell["user_id"] == 1}
    assert of_first == {**dict.fromkeys(range(1, 9), "train"), 9: "validation", 10: "test"}


def test_no_row_of_a_user_of_the_app_is_shown(document: dict[str, Any]) -> None:
    shown = [row for preview in document["previews"].values() for row in preview if "user_id" in row]
    shown += document["corner"]["cells"]
    assert max(row["user_id"] for row in shown) == max(document["corner"]["users"]) == 7 < FIRST_APP_USER_ID
