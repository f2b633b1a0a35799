"""Every route declares a role; errors are problems; each answer has an id and the headers that browsers heed."""

from __future__ import annotations

import httpx
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

from movierec_assets.serving.api.app import all_routes
from movierec_assets.serving.api.guard import guarded
from movierec_assets.serving.api.roles import declared_role


def test_every_route_declares_a_role() -> None:
    assert {declared_role(route) for route in all_routes()} <= {"open", "reader", "operator"}


def test_a_route_without_a_role_cannot_be_served() -> None:
    router = APIRouter()

    @router.get("/without")
    async def without() -> None: ...

    (route,) = (route for route in router.routes if isinstance(route, APIRoute))
    with pytest.raises(ValueError, match=r"declares no role"):
        guarded(route, readers_need_keys=False)


def test_an_unknown_address_is_a_problem_with_an_id(client: httpx.Client) -> None:
    answer = client.get("/nowhere", headers={"X-Request-ID": "mine-1"})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_body_over_the_limit_is_refused_whether_or_not_its_length_is_announced(client: httpx.Client) -> None:
    many = b"x" * 2_000_000
    for body in (many, (part for part in [many])):
        assert client.post("/nowhere", content=body).status_code in (404, 413)
