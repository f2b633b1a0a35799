"""GET /movies/popular and /movies/trending."""

from __future__ import annotations

from dataclasses import replace

import httpx
import numpy as np
import pytest

from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.online.snapshot import Snapshot
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.served import TRENDING_MOVIES
from movierec_tests.serving.api.small import VERSION

SINCE, UNTIL = 1_000_000_000 // 86_400 * 86_400, 1_002_419_200 // 86_400 * 86_400


def test_popular_movies_are_those_that_most_users_like(client: httpx.Client, database: Database) -> None:
    answer = client.get("/movies/popular", params={"n": 5}).json()
    likes = database.rows(
        f"""SELECT movie_id, count(*) FROM {SCHEMA}.ratings WHERE rating >= 4 GROUP BY 1
            ORDER BY 2 DESC, 1 LIMIT 5"""
    )
    assert answer["model_version"] == VERSION
    assert [(movie["movie_id"], movie["likes"]) for movie in answer["movies"]] == likes
    first = answer["movies"][0]
    title, year, genres, ratings = database.rows(
        f"""SELECT title, year, genres, (SELECT count(*) FROM {SCHEMA}.ratings r WHERE r.movie_id = m.movie_id)
            FROM {SCHEMA}.movies m WHERE movie_id = %s""",
        [first["movie_id"]],
    )[0]
    assert first == {
        "movie_id": first["movie_id"], "title": title, "year": year, "genres": genres, "likes": likes[0][1],
        "ratings": ratings,
    }  # fmt: skip


def test_popular_movies_of_a_genre_in_any_case_and_without_a_model_by_ratings(
    worker: Worker, snapshot: Snapshot, client: httpx.Client, database: Database
) -> None:
    of_genre = client.get("/movies/popular", params={"genre": "film-noir"}).json()["movies"]
    assert of_genre
    assert all("Film-Noir" in movie["genres"] for movie in of_genre)
    worker.current.snapshot = replace(snapshot, champion=None, why_none="No model.")
    answer = client.get("/movies/popular", params={"n": 3}).json()
    counted = database.rows(f"SELECT movie_id, count(*) FROM {SCHEMA}.ratings GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3")
    assert answer["model_version"] is None
    assert [(movie["movie_id"], movie["likes"], movie["ratings"]) for movie in answer["movies"]] == [
        (movie, None, count) for movie, count in counted
    ]


def test_trending_movies_are_those_of_the_table_with_its_period(client: httpx.Client, database: Database) -> None:
    assert client.get("/movies/trending").json() == {"since": None, "until": None, "movies": []}
    movie_ids = np.array([3, 4, 8])
    with database.replace(TRENDING_MOVIES.name) as table:
        columns = {
            "rank": np.arange(1, 4), "movie_id": movie_ids, "score": np.array([2.5, 1.5, 0.5]),
            "likes": np.array([9, 6, 3]), "expected": np.array([1.0, 2.0, 2.5]),
            "since": np.full(3, SINCE), "until": np.full(3, UNTIL),
        }  # fmt: skip
        table.write(columns, TRENDING_MOVIES.kinds)
    answer = client.get("/movies/trending", params={"n": 2}).json()
    assert (answer["since"], answer["until"]) == ("2001-09-09T00:00:00Z", "2001-10-07T00:00:00Z")
    assert [movie["movie_id"] for movie in answer["movies"]] == [3, 4]
    assert {name: answer["movies"][0][name] for name in ("likes", "expected", "score")} == {
        "likes": 9, "expected": 1.0, "score": 2.5,
    }  # fmt: skip
    genre = client.get("/movies/4").json()["genres"][0]
    of_genre = client.get("/movies/trending", params={"genre": genre.upper()}).json()
    assert [movie["movie_id"] for movie in of_genre["movies"]] == [4, 8]


@pytest.mark.parametrize("chart", ["popular", "trending"])
def test_a_genre_that_does_not_exist_and_a_length_out_of_range_name_their_fields(
    client: httpx.Client, chart: str
) -> None:
    for name, value in (("genre", "Dramma"), ("n", "101"), ("n", "5_0"), ("genre", "a\0")):
        answer = client.get(f"/movies/{chart}", params={name: value})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == f"query.{name}"
    assert "Drama" in client.get(f"/movies/{chart}", params={"genre": "Dramma"}).json()["detail"]
