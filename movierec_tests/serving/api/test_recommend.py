"""Lists over HTTP: whose, why, from which source, and what happens while something is away."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from movierec_assets.serving.api.worker import Worker
from movierec_assets.tables.database import Database
from movierec_tests.serving.api.small import LAST_MOVIE, VERSION


def post(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post("/recommend", json=body)


def listed(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [movie["movie_id"] for movie in answer.json()["movies"]]


def test_a_user_gets_movies_of_the_model_that_they_have_not_rated(client: httpx.Client, worker: Worker) -> None:
    answer = post(client, user_id=5, n=10)
    rated = {row[0] for row in worker_rows(worker, 5)}
    assert len(listed(answer)) == 10
    assert not rated & set(listed(answer))
    found = answer.json()
    assert (found["source"], found["model_version"], found["why_fewer"]) == ("model", VERSION, None)
    assert listed(client.get("/users/5/recommendations")) == listed(answer)


def worker_rows(worker: Worker, user: int) -> list[tuple[Any, ...]]:
    query = "SELECT movie_id FROM movierec.ratings WHERE user_id = %s"
    return Database(worker.settings.databases.ratings).rows(query, [user])


def test_reasons_sum_to_the_score(client: httpx.Client) -> None:
    for movie in post(client, user_id=5, explain=True, boost=[{"kind": "newer", "weight": 1}]).json()["movies"]:
        assert sum(reason["contribution"] for reason in movie["reasons"]) == pytest.approx(movie["score"], abs=1e-4)


def test_unknown_ids_are_not_found_and_named(client: httpx.Client) -> None:
    for body, field in (({"user_id": 999}, "user_id"), ({"liked_movie_ids": [1, 999]}, "liked_movie_ids")):
        answer = post(client, **body)
        assert answer.status_code == 404
        assert answer.json()["errors"][0]["field"] == f"body.{field}"
        assert "999" in answer.json()["detail"]


def test_nobody_in_particular_gets_popular_movies_and_is_told_so(client: httpx.Client) -> None:
    found = post(client).json()
    assert found["source"] == "popular"
    assert "Neither" in found["why_source"]
    assert LAST_MOVIE not in {movie["movie_id"] for movie in found["movies"]}


def test_titles_count_as_liked_movies_and_unknown_ones_are_named(client: httpx.Client) -> None:
    typed, by_id = post(client, liked_titles=["the matrix"]), post(client, liked_movie_ids=[2])
    assert listed(typed) == listed(by_id)
    answer = post(client, liked_titles=["Nothing of the Kind"])
    assert answer.status_code == 404
    assert "Nothing of the Kind" in answer.json()["detail"]


def test_an_empty_list_says_why(client: httpx.Client) -> None:
    found = post(client, user_id=5, filters={"year_from": 1800, "year_to": 1801}).json()
    assert found["movies"] == []
    assert "pass the filters" in found["why_fewer"]


def test_no_movie_is_twice_in_a_distinct_batch(client: httpx.Client) -> None:
    requests = [{"user_id": user, "n": 10} for user in (5, 9, 13)]
    answer = client.post("/recommend/batch", json={"requests": requests, "distinct": True})
    movies = [movie["movie_id"] for each in answer.json()["answers"] for movie in each["movies"]]
    assert len(movies) == len(set(movies)) > 10
    together = client.post("/recommend/batch", json={"requests": requests}).json()["answers"]
    assert [movie["movie_id"] for movie in together[1]["movies"]] == listed(post(client, user_id=9, n=10))
