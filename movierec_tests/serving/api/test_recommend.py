"""Lists over HTTP: whose, why, from which source, and what happens while something is away."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from movierec_assets.serving.api.app import create_app
from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.online.live import LiveReader
from movierec_assets.settings import Settings
from movierec_assets.tables.database import SCHEMA, Database
from movierec_tests.serving.api.conftest import ThreadQueries, running, served
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


def test_a_user_of_another_dataset_is_not_found_whatever_they_rated_there(
    client: httpx.Client, database: Database
) -> None:
    with database.transaction() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # as before this dataset was loaded
        cursor.execute(
            f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating, dataset_id) "
            f"SELECT 500, 1, 4, dataset_id + 1 FROM {SCHEMA}.loads WHERE table_name = 'ratings'"
        )
    answer = post(client, user_id=500)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (404, "body.user_id")


def test_a_user_who_withdrew_every_rating_gets_popular_movies(client: httpx.Client) -> None:
    made = client.post("/users", json={}).json()["user_id"]
    rated = [each["movie_id"] for each in client.get("/users/9/ratings").json()["ratings"]]
    client.post("/ratings", json={"user_id": made, "movie_id": 1, "stars": 5.0})
    for user, movie in [(made, 1), *((9, movie) for movie in rated)]:
        assert client.delete(f"/ratings/{user}/{movie}").status_code == 200
    for user in (made, 9):
        assert post(client, user_id=user).json()["source"] == "popular"


def test_a_switch_has_the_same_spellings_in_a_query_as_in_a_body(client: httpx.Client) -> None:
    for text, status in (("true", 200), ("false", 200), ("yes", 422), ("on", 422), ("1", 422), ("True", 422)):
        answer = client.get("/users/5/recommendations", params={"explain": text})
        assert answer.status_code == status, text
        if status == 200:
            assert ("reasons" in answer.json()["movies"][0]) == (text == "true")
        else:
            assert answer.json()["errors"][0]["field"] == "query.explain"


def test_a_refusal_names_the_place_of_the_value(client: httpx.Client) -> None:
    wrong = [{"user_id": 5}, {"filters": {"genres_all": ["Dramma"]}}]
    of_batch = client.post("/recommend/batch", json={"requests": wrong})
    assert of_batch.json()["errors"][0]["field"] == "body.requests.1.filters.genres_all"
    unknown = client.post("/recommend/batch", json={"requests": [{"user_id": 5}, {"user_id": 999}]})
    assert unknown.json()["errors"][0]["field"] == "body.requests.1.user_id"
    untitled = client.post("/recommend/batch", json={"requests": [{"liked_titles": ["Nothing of the Kind"]}]})
    assert untitled.json()["errors"][0]["field"] == "body.requests.0.liked_titles"
    for path in ("recommendations", "genres"):
        answer = client.get(f"/users/999/{path}")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (404, "path.user_id")


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


def test_genres_are_the_same_with_spaces_around_them_and_in_lower_case(client: httpx.Client) -> None:
    wishes: list[dict[str, Any]] = [
        {"filters": {"genres_any": ["Comedy"]}},
        {"filters": {"genres_all": ["Comedy"]}},
        {"filters": {"genres_none": ["Comedy"]}},
        {"boost": [{"kind": "genre", "weight": 2, "genres": ["Comedy"]}]},
    ]
    for parts in wishes:
        typed = json.loads(json.dumps(parts).replace("Comedy", " comedy "))
        assert listed(post(client, user_id=5, **typed)) == listed(post(client, user_id=5, **parts))
    found, spaced = (client.get("/movies", params={"genre": genre}).json() for genre in ("Comedy", " comedy "))
    assert found == spaced
    unknown = post(client, filters={"genres_any": [" "]})
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (422, "body.filters.genres_any")


def test_no_movie_is_twice_in_a_distinct_batch(client: httpx.Client) -> None:
    requests = [{"user_id": user, "n": 10} for user in (5, 9, 13)]
    answer = client.post("/recommend/batch", json={"requests": requests, "distinct": True})
    movies = [movie["movie_id"] for each in answer.json()["answers"] for movie in each["movies"]]
    assert len(movies) == len(set(movies)) > 10
    together = client.post("/recommend/batch", json={"requests": requests}).json()["answers"]
    assert [movie["movie_id"] for movie in together[1]["movies"]] == listed(post(client, user_id=9, n=10))


def test_without_the_database_liked_movies_are_enough_and_the_rest_is_told_to_wait(
    worker: Worker, settings: Settings
) -> None:
    away = Database(settings.databases.ratings.rpartition("/")[0] + "/away")
    worker.live, worker.queries = LiveReader(away), ThreadQueries(away)
    with served(create_app(settings, running(worker))) as client:
        answer = post(client, liked_movie_ids=[2])
        assert (answer.json()["source"], len(listed(answer))) == ("model", 10)
        both = post(client, user_id=5, liked_movie_ids=[2])
        assert listed(both) == listed(answer)
        assert "database does not answer" in both.json()["notes"][0]
        assert post(client).json()["source"] == "popular"
        for refused in (
            post(client, user_id=5),
            client.get("/users/5/recommendations"),
            client.get("/users/5/ratings"),
        ):
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) >= 1
            assert "database" in refused.json()["detail"]
            assert "away" not in refused.text


def test_without_a_model_the_stored_list_is_served_if_it_is_of_the_loaded_data(
    client: httpx.Client, worker: Worker, database: Database
) -> None:
    worker.current.snapshot = replace(worker.current.snapshot, champion=None, why_none="There is no champion.")
    rated = {row[0] for row in worker_rows(worker, 5)}
    stored = [movie for movie in range(1, 60) if movie not in rated][:20]
    with database.replace("user_recommendations") as table:
        names = ("user_id", "rank", "movie_id", "score", "model_version")
        table.write_rows(names, [(5, rank, movie, 1 / rank, 3) for rank, movie in enumerate(stored, 1)])
    unknown = post(client, user_id=5, n=5)
    assert unknown.json()["source"] == "popular"
    assert "no champion" in unknown.json()["why_source"]
    with database.transaction() as cursor:
        cursor.execute(
            """INSERT INTO movierec.promotion_decisions
                   (model_version, outcome, promoted, reason, numbers, decided_by, state, version_tags)
               SELECT 3, 'first', true, '', '{}', 'a test', 'done', jsonb_build_object('dataset_id', dataset_id::text)
               FROM movierec.loads WHERE table_name = 'ratings'"""
        )
    known = post(client, user_id=5, n=5)
    assert listed(known) == stored[:5]
    assert (known.json()["source"], known.json()["model_version"]) == ("stored", 3)


def test_a_known_user_without_likes_gets_popular_movies_and_is_told_so(client: httpx.Client) -> None:
    user = client.post("/users", json={}).json()["user_id"]
    found = post(client, user_id=user).json()
    assert found["source"] == "popular"
    assert str(user) in found["why_source"]


def test_a_rating_counts_in_the_next_list_of_a_user_whose_state_is_kept(client: httpx.Client) -> None:
    before = listed(post(client, user_id=5))
    posted = client.post("/ratings", json={"user_id": 5, "movie_id": before[0], "stars": 5.0})
    assert posted.status_code == 201, posted.text
    assert before[0] not in listed(post(client, user_id=5))


def test_what_was_shown_is_logged_with_the_scenario(client: httpx.Client, worker: Worker) -> None:
    found = post(client, user_id=5, scenario="start page").json()
    assert worker.shown.waiting == 1
    assert found["recommendation_id"]


def test_a_list_that_is_not_shown_is_the_same_and_is_not_logged(client: httpx.Client, worker: Worker) -> None:
    shown, looked_at = post(client, user_id=5).json(), post(client, user_id=5, shown=False).json()
    assert worker.shown.waiting == 1
    assert looked_at["recommendation_id"] is None
    assert looked_at["movies"] == shown["movies"]


def test_a_batch_is_refused_as_a_whole_and_takes_a_bounded_number_of_titles(client: httpx.Client) -> None:
    unknown = client.post("/recommend/batch", json={"requests": [{"user_id": 5}, {"user_id": 999}]})
    assert unknown.status_code == 404
    titles = {"liked_titles": ["Heat"] * 20}
    many = client.post("/recommend/batch", json={"requests": [titles] * 6})
    assert many.status_code == 422
    assert client.post("/recommend/batch", json={"requests": [titles] * 2}).status_code == 200


def test_a_list_is_for_the_moment_that_is_asked_for(client: httpx.Client) -> None:
    def moment(**body: Any) -> tuple[str, int]:
        found = post(client, user_id=5, **body).json()["moment"]
        return found["name"], found["elapsed_seconds"]

    assert moment(at="latest") == ("in the sitting", 0)
    assert moment(at="return") == ("on return", 86_400)
    now, then = moment(), moment(at=1_900_000_000)
    assert now[0] == then[0] == "on return"
    assert moment(at=1_900_000_100)[1] - then[1] == 100
    assert post(client, user_id=5, at="tomorrow").status_code == 422
