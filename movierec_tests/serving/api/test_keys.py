"""Keys: who may call what, for how long, and what happens while the database is away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx
import pytest
from fastapi import APIRouter, Request
from fastapi.routing import APIRoute

from movierec_assets.serving.api import keys as keys_module
from movierec_assets.serving.api.app import create_app
from movierec_assets.serving.api.fields import UserPath
from movierec_assets.serving.api.keys import KeyRing
from movierec_assets.serving.api.problems import Problem
from movierec_assets.serving.api.roles import OPEN, OPERATOR, READER, Caller, allow_user
from movierec_assets.serving.api.worker import Worker
from movierec_assets.settings import Settings
from movierec_assets.tables.api_keys import ApiKeyError, KeyRole, create_key, list_keys, revoke_key, split_key
from movierec_assets.tables.app_users import erase_user
from movierec_assets.tables.database import Database, DatabaseUnavailableError
from movierec_tests.defs.harness import new_app_users
from movierec_tests.serving.api.conftest import ThreadQueries, running, served

_Result = TypeVar("_Result")
router = APIRouter()


@router.get("/health/x", **OPEN)
async def health() -> dict[str, bool]:
    return {"open": True}


@router.get("/x", **READER)
async def anything(request: Request, user: int | None = None) -> dict[str, bool]:
    allow_user(request, user)
    return {"read": True}


@router.get("/users/{user_id}/x", **READER)
async def of_user(user_id: UserPath) -> dict[str, int]:
    return {"user": user_id}


@router.post("/x", **OPERATOR)
async def change() -> dict[str, bool]:
    return {"changed": True}


ROUTES = [route for route in router.routes if isinstance(route, APIRoute)]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(params=["always", "never"])
def readers(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(worker: Worker, settings: Settings, readers: str) -> Iterator[httpx.Client]:
    worker.settings = settings.model_copy(update={"api_reader_keys": readers})
    with served(create_app(worker.settings, running(worker), ROUTES)) as client:
        yield client


def made(database: Database, role: KeyRole = "reader", **options: Any) -> str:
    return create_key(database, role, "of a test", **options)


def statuses(client: httpx.Client, key: str | None) -> tuple[int, ...]:
    headers = bearer(key) if key else {}
    return (
        client.get("/health/x", headers=headers).status_code,
        client.get("/x", headers=headers).status_code,
        client.get("/users/5/x", headers=headers).status_code,
        client.post("/x", headers=headers).status_code,
    )


def test_each_role_may_call_its_routes_and_no_others(client: httpx.Client, database: Database, readers: str) -> None:
    anonymous = (200, 401, 401, 401) if readers == "always" else (200, 200, 200, 401)
    assert statuses(client, None) == anonymous
    assert statuses(client, made(database)) == (200, 200, 200, 403)
    assert statuses(client, made(database, "operator")) == (200, 200, 200, 200)
    assert statuses(client, made(database, user_id=5)) == (200, 200, 200, 403)
    assert statuses(client, made(database, user_id=6)) == (200, 200, 403, 403)
    key = made(database)
    wrong = key[:-1] + ("A" if key[-1] != "A" else "B")
    assert statuses(client, wrong) == statuses(client, "movierec") == (200, 401, 401, 401)


def test_a_key_of_a_user_is_refused_where_another_is_named_in_another_spelling(
    client: httpx.Client, database: Database
) -> None:
    headers = bearer(made(database, user_id=5))
    assert client.get("/x?user=5", headers=headers).status_code == 200
    assert client.get("/x?user=6", headers=headers).status_code == 403
    for spelling in ("6", "%36", "05", "%205", "5_0", "5%00", "+5"):
        assert client.get(f"/users/{spelling}/x", headers=headers).status_code in (403, 422), spelling


def test_a_refusal_says_what_to_send_and_never_repeats_the_key(client: httpx.Client, database: Database) -> None:
    key = made(database)
    wrong = key[:-3] + "abc"
    answer = client.post("/x", headers=bearer(wrong))
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "movierec keys create" in answer.json()["detail"]
    assert wrong.split("_", 2)[2] not in answer.text


@pytest.mark.parametrize("readers", ["always"], indirect=True)
def test_a_revoked_key_dies_within_seconds_and_an_expired_one_at_once(
    client: httpx.Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "CHECK_EVERY", 0.0)
    key = made(database)
    assert client.get("/x", headers=bearer(key)).status_code == 200
    revoke_key(database, split_key(key)[0])  # type: ignore[index]
    answer = client.get("/x", headers=bearer(key))
    assert answer.status_code == 401
    assert "revoked" in answer.json()["detail"]
    expiring = made(database, expires_at=datetime.now(UTC) + timedelta(seconds=0.3))
    deadline = datetime.now(UTC) + timedelta(seconds=30)
    while (answer := client.get("/x", headers=bearer(expiring))).status_code == 200:
        assert datetime.now(UTC) < deadline
    assert "expired" in answer.json()["detail"]


class Counted:
    """Queries that can be counted, and made to fail."""

    def __init__(self, database: Database) -> None:
        self._queries = ThreadQueries(database)
        self.asked, self.away = 0, False

    async def run(self, query: Any) -> Any:
        self.asked += 1
        if self.away:
            raise DatabaseUnavailableError("away")
        return await self._queries.run(query)


def callers(ring: KeyRing, *keys: str) -> list[Caller]:
    async def ask() -> list[Caller]:
        return [await ring.caller(f"Bearer {key}".encode()) for key in keys]

    return asyncio.run(ask())


def test_the_database_is_asked_once_for_many_requests(database: Database) -> None:
    queries, key = Counted(database), made(database)
    assert {caller.role for caller in callers(KeyRing(queries), *[key] * 50)} == {"reader"}
    assert queries.asked == 1


def test_a_key_that_is_known_works_while_the_database_is_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "CHECK_EVERY", 0.0)
    queries, known, other = Counted(database), made(database), made(database)
    ring = KeyRing(queries)
    callers(ring, known)
    queries.away = True
    first, second, third = callers(ring, known, other, known)
    assert first.role == third.role == "reader"
    assert isinstance(second.refused, Problem)
    assert second.refused.status == 503
    monkeypatch.setattr(keys_module, "KEPT", -1.0)
    assert callers(ring, known)[0].refused is not None


def test_made_up_keys_push_no_valid_key_out(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "_MOST", 3)
    queries, key = Counted(database), made(database)
    ring = KeyRing(queries)
    callers(ring, key, *(f"movierec_{number:012x}_{'a' * 43}" for number in range(10)))
    queries.away = True
    assert callers(ring, key)[0].role == "reader"


def test_the_table_has_no_secret_and_lists_the_newest_first(database: Database) -> None:
    older, newer = made(database), made(database, "operator")
    listed = list_keys(database)
    assert [key.key_id for key in listed] == [split_key(newer)[0], split_key(older)[0]]  # type: ignore[index]
    rows = database.rows("SELECT to_jsonb(k)::text FROM movierec.api_keys k")
    assert not any(key.split("_", 2)[2] in row for (row,) in rows for key in (older, newer))
    assert older.split("_", 2)[2] != newer.split("_", 2)[2]


def test_keys_that_make_no_sense_are_refused(database: Database) -> None:
    with pytest.raises(ApiKeyError, match=r"for all users"):
        made(database, "operator", user_id=5)
    with pytest.raises(ApiKeyError, match=r"would have expired"):
        made(database, expires_at=datetime.now(UTC) - timedelta(days=1))
    with pytest.raises(ApiKeyError, match=r"no key 0123"):
        revoke_key(database, "0123")


def test_keys_of_a_user_who_is_erased_are_removed(database: Database) -> None:
    with database.transaction() as cursor:
        (user,) = new_app_users(cursor)
    of_user, of_another = made(database, user_id=user), made(database, user_id=5)
    erase_user(database, user)
    assert [key.key_id for key in list_keys(database)] == [of_another.split("_")[1]]
    assert callers(KeyRing(ThreadQueries(database)), of_user)[0].refused is not None


class TestRate:
    """Limits by key and by address."""

    def test_a_key_has_its_own_limit_on_any_machine(self, worker: Worker, database: Database) -> None:
        worker.settings = worker.settings.model_copy(update={"api_rate_limit": 3})
        one, other = made(database), made(database)
        with served(create_app(worker.settings, running(worker), ROUTES)) as client:
            assert [client.get("/x", headers=bearer(one)).status_code for _ in range(4)] == [200, 200, 200, 429]
            assert client.get("/x", headers=bearer(other)).status_code == 200
            refused = client.get("/x", headers=bearer(one))
            assert 1 <= int(refused.headers["retry-after"]) <= 20
            assert client.get("/health/x", headers=bearer(one)).status_code == 200
            assert {client.get("/x").status_code for _ in range(5)} == {200}  # this machine

    def test_an_address_has_one_limit_for_requests_without_a_key_and_with_wrong_ones(self, worker: Worker) -> None:
        worker.settings = worker.settings.model_copy(update={"api_rate_limit": 3})
        app = create_app(worker.settings, running(worker), ROUTES)

        async def call() -> list[int]:
            transport = httpx.ASGITransport(app, client=("2001:db8::1", 1))
            near = httpx.ASGITransport(app, client=("2001:db8::2", 1))
            async with app.router.lifespan_context(app):
                async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                    found = [(await client.get("/x")).status_code for _ in range(2)]
                    found.append((await client.get("/x", headers=bearer("movierec_no"))).status_code)
                    found.append((await client.get("/x", headers=bearer("movierec_no"))).status_code)
                async with httpx.AsyncClient(transport=near, base_url="http://x") as client:
                    found.append((await client.get("/x")).status_code)
            return found

        assert asyncio.run(call()) == [200, 200, 401, 429, 429]
