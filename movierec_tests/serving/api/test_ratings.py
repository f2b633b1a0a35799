"""Ratings that are posted and withdrawn over HTTP."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest

from movierec_assets.serving.api.app import create_app
from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.online.live import LiveReader
from movierec_assets.serving.online.queries import ThreadedQueries
from movierec_assets.settings import Settings
from movierec_assets.tables.app_ratings import post_rating
from movierec_assets.tables.database import SCHEMA, Database
from movierec_tests.serving.api.conftest import running, served, worker_with
from movierec_tests.serving.api.small import LAST_MOVIE

USER, MOVIE = 1, LAST_MOVIE


def _post(client: httpx.Client, *, key: Any = None, **body: Any) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": str(key)}
    return client.post("/ratings", json={"user_id": USER, "movie_id": MOVIE, "stars": 4.5} | body, headers=headers)


def _rows(database: Database) -> list[tuple[Any, ...]]:
    return database.rows(f"SELECT user_id, movie_id, rating FROM {SCHEMA}.app_ratings ORDER BY rating_id")


def _current(client: httpx.Client, user: int = USER) -> dict[int, float]:
    page = client.get(f"/users/{user}/ratings", params={"limit": 1000}).json()
    found = {rating["movie_id"]: rating["stars"] for rating in page["ratings"]}
    assert len(found) == page["total"]
    return found


def test_a_rating_counts_at_once_and_the_latest_one_wins(client: httpx.Client) -> None:
    before = _current(client)
    posted = _post(client)
    assert posted.status_code == 201
    assert posted.json() | {"rated_at": ""} == {
        "rating_id": 1, "user_id": USER, "movie_id": MOVIE, "stars": 4.5, "rated_at": "", "added": True,
    }  # fmt: skip
    assert _current(client) == before | {MOVIE: 4.5}
    assert _post(client, stars=1).json()["added"]
    assert _current(client) == before | {MOVIE: 1.0}


def test_stars_are_read_as_a_double_before_they_are_checked(client: httpx.Client) -> None:
    for digits, status in (("4.999999999999999999", 201), ("4.999999999999999", 422)):
        body = f'{{"user_id": {USER}, "movie_id": {MOVIE}, "stars": {digits}}}'
        answer = client.post("/ratings", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == status
        assert status != 201 or answer.json()["stars"] == 5.0


def test_the_same_stars_again_count_once(client: httpx.Client, database: Database) -> None:
    first = _post(client).json()
    assert _post(client).json() == first | {"added": False}
    _post(client, stars=2)
    assert _post(client).json()["added"], "another rating came in between"
    assert [stars for *_, stars in _rows(database)] == [4.5, 2.0, 4.5]


def test_a_rating_that_equals_the_file_s_is_a_rating_of_today(client: httpx.Client) -> None:
    movie, stars = next(iter(_current(client).items()))
    assert [_post(client, movie_id=movie, stars=stars).json()["added"] for _ in range(2)] == [True, False]
    newest = client.get(f"/users/{USER}/ratings", params={"limit": 1}).json()["ratings"]
    assert [rating["movie_id"] for rating in newest] == [movie]


def test_a_request_sent_again_with_its_key_gets_the_first_answer(client: httpx.Client, database: Database) -> None:
    first = _post(client, key="a-1")
    _post(client, stars=1)
    again = _post(client, key="a-1")
    assert (again.status_code, again.json()) == (201, first.json())
    assert [answer.headers.get("idempotency-replayed") for answer in (first, again)] == [None, "true"]
    assert _current(client)[MOVIE] == 1.0, "the later rating stays"
    assert len(_rows(database)) == 2


def test_a_key_of_another_request_is_refused(client: httpx.Client, database: Database) -> None:
    _post(client, key="a-1")
    for other in ({"stars": 5}, {"movie_id": 1}, {"user_id": 2}):
        answer = _post(client, key="a-1", **other)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "header.Idempotency-Key"
    assert client.post("/users", json={}, headers={"Idempotency-Key": "a-1"}).status_code == 422
    assert len(_rows(database)) == 1


def test_a_request_that_was_refused_keeps_no_key(client: httpx.Client) -> None:
    assert _post(client, key="a-1", movie_id=9999).status_code == 404
    assert _post(client, key="a-1").status_code == 201


def test_a_key_is_forgotten_after_a_day(client: httpx.Client, database: Database) -> None:
    for key in ("a-1", "a-2"):
        _post(client, key=key)
    with database.transaction() as cursor:
        cursor.execute(f"UPDATE {SCHEMA}.idempotency_keys SET made_at = made_at - interval '25 hours'")
    assert _post(client, key="a-1", stars=2).status_code == 201
    assert database.rows(f"SELECT key FROM {SCHEMA}.idempotency_keys") == [("a-1",)]


def test_a_request_that_many_send_at_once_with_one_key_is_done_once(client: httpx.Client, database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post("/users", json={}, headers={"Idempotency-Key": "u"}), range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["user_id"] for answer in answers}) == 1
    assert database.scalar(f"SELECT count(*) FROM {SCHEMA}.app_users") == 1


def test_a_withdrawal_hides_ratings_of_the_app_and_of_the_file_until_the_next_one(
    client: httpx.Client, database: Database
) -> None:
    before = _current(client)
    movie = next(iter(before))
    _post(client, movie_id=movie, stars=2)
    _post(client)
    withdrawn = [client.delete(f"/ratings/{USER}/{each}") for each in (movie, MOVIE)]
    assert [answer.status_code for answer in withdrawn] == [200, 200]
    assert withdrawn[0].json()["rating_id"] == 3
    assert _current(client) == {key: stars for key, stars in before.items() if key != movie}
    assert client.delete(f"/ratings/{USER}/{movie}").status_code == 404, "there is nothing left to withdraw"
    assert _post(client, movie_id=movie, stars=2).json()["added"], "the rating before the withdrawal does not count"
    assert _current(client) == before | {movie: 2.0}
    assert len(_rows(database)) == 5


def test_unknown_users_and_movies_are_404_with_the_remedy(client: httpx.Client) -> None:
    for body, words in (
        ({"movie_id": 9999}, r"No movie of the catalogue has the id 9999"),
        ({"user_id": 9999}, r"not in the loaded ratings.* POST /users"),
        ({"user_id": 1_000_000_777}, r"erased or never created.* POST /users"),
    ):
        answer = _post(client, **body)
        assert answer.status_code == 404
        assert re.search(words, answer.json()["detail"])


def test_no_client_sets_a_time_and_a_time_in_the_future_is_outlived_by_what_comes_later(
    client: httpx.Client, database: Database
) -> None:
    refused = _post(client, rated_at="2099-01-01T00:00:00Z")
    assert refused.status_code == 422
    assert "rated_at" in refused.text
    assert _rows(database) == []
    _post(client, stars=5)
    with database.transaction() as cursor:  # as after a clock that was ahead
        cursor.execute(f"UPDATE {SCHEMA}.app_ratings SET rated_at = now() + interval '3 days'")
    assert client.get(f"/users/{USER}/recommendations").status_code == 200
    assert _post(client, stars=1).json()["added"]
    assert _current(client)[MOVIE] == 1.0, "the latest one counts, whatever the clock says"
    assert client.delete(f"/ratings/{USER}/{MOVIE}").status_code == 200
    assert MOVIE not in _current(client)


def test_while_postgres_has_no_free_connection_requests_are_told_to_come_back_and_then_answered(
    worker: Worker, database: Database, settings: Settings
) -> None:
    with limited(database) as url:
        few = settings.model_copy(update={"database_url": url})
        alone = worker_with(few, worker.current.snapshot)
        with served(create_app(few, running(alone))) as client:
            require_back_after_connections_ran_out(client, database)


def require_back_after_connections_ran_out(client: httpx.Client, database: Database) -> None:
    assert _post(client, stars=3).status_code == 201
    connections_of_limited(database, 0)
    for answer in (_post(client, stars=4), client.get(f"/users/{USER}/ratings")):
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) > 0
    assert client.get("/health/live").status_code == 200
    connections_of_limited(database, -1)
    assert _post(client, stars=4).status_code == 201
    assert _current(client)[MOVIE] == 4.0


@contextmanager
def limited(database: Database) -> Iterator[str]:
    """URL of a role for which a limit of connections holds, as none does for a superuser."""
    name = f"limited_{uuid.uuid4().hex[:12]}"
    with database.transaction() as cursor:
        cursor.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x' IN ROLE pg_read_all_data, pg_write_all_data")
        cursor.execute(f"GRANT ALL ON SCHEMA {SCHEMA} TO {name}")
    parts = urlsplit(database.url)
    try:
        yield urlunsplit(parts._replace(netloc=f"{name}:x@{parts.hostname}:{parts.port}"))
    finally:
        connections_of_limited(database, 0)
        with database.transaction() as cursor:
            cursor.execute(f"DROP OWNED BY {name}")
            cursor.execute(f"DROP ROLE {name}")


def connections_of_limited(database: Database, limit: int) -> None:
    """Limit the connections to the database; those that are open are closed."""
    name = urlsplit(database.url).path[1:]
    with database.transaction() as cursor:
        cursor.execute(f"ALTER DATABASE {name} CONNECTION LIMIT {limit}")
    if limit == 0:
        database.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename LIKE 'limited%%'",
            [name],
        )


def test_a_body_that_does_not_fit_is_422_with_the_field(client: httpx.Client) -> None:
    stars = (0, 5.5, 3.0000000001, 3.3, "4", True, None, -0.5, 1e308)
    users = (0, -1, 2**31, 2**63, 1.0, "1", True)
    unusable = [("stars", each) for each in stars] + [("user_id", each) for each in users]
    for field, value in [*unusable, ("movie_id", 2**40), ("colour", "red")]:
        answer = _post(client, **{field: value})
        assert answer.status_code == 422, (field, value)
        assert [error["field"] for error in answer.json()["errors"]] == [f"body.{field}"]
    for key in ("", "a b", "x" * 201):
        assert _post(client, key=key).status_code == 422, key


def test_an_id_in_a_path_is_a_number_in_plain_digits(client: httpx.Client) -> None:
    for path in ("/ratings/5_0/1", "/ratings/%205/1", "/ratings/1/1.0", "/ratings/0/1", f"/ratings/1/{2**31}"):
        assert client.delete(path).status_code == 422, path


@pytest.mark.slow
def test_every_one_of_1000_posted_ratings_is_seen_by_the_next_read(database: Database) -> None:
    def post(database: Database, movie: int, stars: float) -> int:
        with database.transaction() as cursor:
            return post_rating(cursor, USER, movie, stars).rating_id

    async def main() -> None:
        async with ThreadedQueries(database) as queries, LiveReader(database) as live:
            for turn in range(1000):
                movie, stars = turn % 59 + 1, turn % 10 / 2 + 0.5
                rating_id = await queries.run(lambda database, m=movie, s=stars: post(database, m, s))  # type: ignore[misc]
                state = await live.state(USER, None, 0)
                assert state.freshness.watermark == rating_id
                assert state.ratings is not None
                assert state.ratings.stars[state.ratings.movie_ids == movie].tolist() == [stars]

    asyncio.run(main())
