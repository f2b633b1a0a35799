"""Users of the app over HTTP: they are created, exported and erased; and the ratings of anybody, by page."""

from __future__ import annotations

import json
from typing import Any

import httpx

from movierec_assets.ratings import FIRST_APP_USER_ID
from movierec_assets.serving.api.app import create_app
from movierec_assets.serving.api.worker import Worker
from movierec_assets.tables.app_ratings import update_rejects
from movierec_assets.tables.app_users import delete_lists_of_erased_users
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.day_partitions import make_days
from movierec_tests.serving.api.conftest import running, served
from movierec_tests.serving.api.small import LAST_MOVIE, USERS


def _new(client: httpx.Client, movies: range = range(1, 9)) -> int:
    user = int(client.post("/users", json={}).json()["user_id"])
    for movie in movies:
        posted = client.post(
            "/ratings", json={"user_id": user, "movie_id": movie, "stars": 4}, headers=_key(user, movie)
        )
        assert posted.status_code == 201
    return user


def _key(user: int, movie: int) -> dict[str, str]:
    return {"Idempotency-Key": f"{user}-{movie}"}


def _fill(database: Database, user: int) -> None:
    """Write rows about a user into every table that has some, beside ratings."""
    with database.transaction() as cursor:
        cursor.execute(f"REFRESH MATERIALIZED VIEW {SCHEMA}.eligible_users")
        cursor.execute(f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating) VALUES (%s, 999, 3)", [user])
        cursor.execute("SELECT (now() AT TIME ZONE 'UTC')::date")
        ((today,),) = cursor.fetchall()
        make_days(cursor, {today})
        cursor.execute(
            f"""INSERT INTO {SCHEMA}.served (recommendation_id, at, user_id, source, movie_ids)
                VALUES ('00000000-0000-0000-0000-000000000001', now(), %(user)s, 'model', '{{1,2}}');
                INSERT INTO {SCHEMA}.events (recommendation_id, at, user_id, movie_id, position, kind)
                VALUES ('00000000-0000-0000-0000-000000000001', now(), %(user)s, 1, 1, 'click');
                INSERT INTO {SCHEMA}.api_keys (key_id, digest, role, label, user_id)
                VALUES (to_hex(%(user)s)||'0000', decode(repeat('ab', 32), 'hex'), 'reader', 'phone', %(user)s)""",
            {"user": user},
        )
    update_rejects(database)


def _write_lists(database: Database, *users: int) -> None:
    with database.replace("user_recommendations") as table:
        names = ("user_id", "rank", "movie_id", "score", "model_version")
        table.write_rows(names, [(user, 1, 60, 0.5, 1) for user in users])


def _mentions(database: Database, user: int) -> dict[str, int]:
    """Number of rows of each table in which the number of a user occurs."""
    tables = database.rows(
        """SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND NOT relispartition
           AND relkind IN ('r', 'p', 'm')""",
        [SCHEMA],
    )
    found = {}
    for (table,) in tables:
        query = f"SELECT count(*) FROM {SCHEMA}.{table} t WHERE to_jsonb(t)::text LIKE %s"
        if count := int(database.scalar(query, [f"%{user}%"])):
            found[table] = count
    return found


def test_new_users_get_ids_that_no_dataset_has(client: httpx.Client) -> None:
    made = [client.post("/users", json={}) for _ in range(3)]
    assert [answer.status_code for answer in made] == [201] * 3
    assert [answer.json()["user_id"] for answer in made] == [FIRST_APP_USER_ID + at for at in range(3)]
    page = client.get(made[0].headers["location"])
    assert page.json() == {"user_id": FIRST_APP_USER_ID, "total": 0, "offset": 0, "ratings": []}


def test_an_export_holds_everything_and_no_secret(client: httpx.Client, database: Database) -> None:
    user = _new(client)
    client.delete(f"/ratings/{user}/2")
    _fill(database, user)
    _write_lists(database, user)
    answer = client.get(f"/users/{user}/export")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    found = answer.json()
    counts = {name: len(value) for name, value in found.items() if isinstance(value, list)}
    assert counts == {
        "ratings": 10, "rejected_ratings": 1, "recommendations": 1, "shown": 1, "events": 1, "keys": 1, "requests": 8,
    }  # fmt: skip
    assert (found["user_id"], found["eligible_ratings"]) == (user, 7)
    assert [rating["movie_id"] for rating in found["ratings"] if rating["withdrawn"]] == [2]
    assert found["ratings"][0]["title"] == "Toy Story (1951)"
    assert found["keys"][0]["label"] == "phone"
    assert "abab" not in answer.text
    exported = {"app_users", "app_ratings", "rejected_ratings", "user_recommendations", "served", "events"}
    exported |= {"api_keys", "idempotency_keys", "eligible_users"}
    assert set(_mentions(database, user)) == exported, "a table that names users belongs into the export"


def test_an_erased_user_is_in_no_table_and_others_keep_their_rows(client: httpx.Client, database: Database) -> None:
    users = [_new(client), _new(client)]
    for user in users:
        _fill(database, user)
    _write_lists(database, *users, 1)
    kept = _mentions(database, users[1])
    assert client.delete(f"/users/{users[0]}").status_code == 204
    assert _mentions(database, users[0]) == {}
    assert _mentions(database, users[1]) == kept
    for answer in (
        client.delete(f"/users/{users[0]}"),
        client.get(f"/users/{users[0]}/export"),
        client.get(f"/users/{users[0]}/ratings"),
        client.post("/ratings", json={"user_id": users[0], "movie_id": 1, "stars": 4}, headers=_key(users[0], 1)),
    ):
        assert answer.status_code == 404
        assert "POST /users" in answer.json()["detail"]
    assert client.post("/users", json={}).json()["user_id"] == users[1] + 1, "an id is not given again"


def test_lists_that_were_being_made_while_their_user_was_erased_are_deleted(
    client: httpx.Client, database: Database
) -> None:
    users = [_new(client), _new(client)]
    client.delete(f"/users/{users[0]}")
    _write_lists(database, 1, *users)
    delete_lists_of_erased_users(database)
    assert database.rows(f"SELECT user_id FROM {SCHEMA}.user_recommendations ORDER BY 1") == [(1,), (users[1],)]


def test_users_of_the_dataset_are_not_exported_and_not_erased(client: httpx.Client) -> None:
    for method, suffix in (("GET", "/export"), ("DELETE", "")):
        refused = client.request(method, f"/users/1{suffix}")
        assert refused.status_code == 403
        assert "user of the loaded dataset" in refused.json()["detail"]
        assert client.request(method, f"/users/{max(USERS) + 1}{suffix}").status_code == 404


def test_ratings_come_by_page_the_latest_first_with_titles(client: httpx.Client) -> None:
    def page(**parameters: int) -> dict[str, Any]:
        answer = client.get("/users/3/ratings", params=parameters)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = json.loads(answer.text)
        return found

    client.post("/ratings", json={"user_id": 3, "movie_id": LAST_MOVIE, "stars": 0.5})
    whole = page()
    assert whole["total"] == len(whole["ratings"]) == 16
    first = whole["ratings"][0]
    assert (first["movie_id"], first["title"], first["stars"]) == (LAST_MOVIE, "Film 60 (2010)", 0.5)
    times = [rating["rated_at"] for rating in whole["ratings"]]
    assert times == sorted(times, reverse=True)
    parts = [page(limit=5, offset=offset) for offset in (0, 5, 10, 15, 20)]
    assert [rating for part in parts for rating in part["ratings"]] == whole["ratings"]
    assert {part["total"] for part in parts} == {16}
    for parameter in ("limit=0", "limit=1001", "offset=-1", "offset=5_0", "page=2", "limit=1.0"):
        assert client.get(f"/users/3/ratings?{parameter}").status_code == 422, parameter


def test_strangers_may_choose_the_same_idempotency_key(worker: Worker) -> None:
    with served(create_app(worker.settings, running(worker)), worker.settings) as client:

        def made(address: str) -> int:
            headers = {"Idempotency-Key": "1", "X-Forwarded-For": address}
            return int(client.post("/users", json={}, headers=headers).json()["user_id"])

        first, second = made("198.51.100.7"), made("198.51.100.8")
        assert first != second
        assert (made("198.51.100.7"), made("198.51.100.8")) == (first, second)
