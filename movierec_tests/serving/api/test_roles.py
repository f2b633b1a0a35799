"""Every route of the schema is called without a key, with a reader's, an operator's and one that is bound to a user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from movierec_assets.serving.api.app import create_app
from movierec_assets.serving.api.examples import example_of
from movierec_assets.serving.api.worker import Worker
from movierec_assets.tables.api_keys import create_key
from movierec_assets.tables.database import Database
from movierec_tests.serving.api.conftest import running, served

BOUND, OTHER = 5, 6
OF_A_USER = {
    ("post", "/recommend"): {"user_id": OTHER},
    ("post", "/recommend/batch"): {"requests": [{"user_id": BOUND}, {"user_id": OTHER}]},
    ("post", "/ratings"): {"user_id": OTHER, "movie_id": 1, "stars": 4.0},
}
"""Bodies that name another user than the bound one."""
FOR_ALL = {("post", "/users"), ("get", "/metrics"), ("get", "/insights/{name}")}
"""What a bound key may not do at all, besides what needs an operator."""


@pytest.fixture
def app(worker: Worker) -> FastAPI:
    worker.settings = worker.settings.model_copy(update={"api_reader_keys": "always"})
    return create_app(worker.settings, running(worker))


@pytest.fixture
def client(app: FastAPI) -> Iterator[httpx.Client]:
    with served(app) as client:
        yield client


def calls(schema: Mapping[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(verb, path, call) for path, calls in schema["paths"].items() for verb, call in calls.items()]


def refused(client: httpx.Client, schema: Mapping[str, Any], verb: str, path: str, key: str | None) -> int | None:
    """401 or 403 where a call is refused for its key, with an unusable body, so that nothing is changed; else None."""
    operation = schema["paths"][path][verb]
    address = path
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            value = OTHER if parameter["name"] == "user_id" else example_of(schema, parameter["schema"])
            address = address.replace("{" + parameter["name"] + "}", str(value))
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    body: dict[str, Any] = {"params": {"no such parameter": 1}}
    if "requestBody" in operation:
        body = {"json": {"no such field": 1}}
    status = client.request(verb.upper(), address, headers=headers, **body).status_code
    return status if status in (401, 403) else None


def test_every_route_takes_the_keys_of_its_role_only(client: httpx.Client, app: FastAPI, database: Database) -> None:
    schema, found = app.openapi(), {}
    reader, operator = create_key(database, "reader", "r"), create_key(database, "operator", "o")
    for verb, path, call in calls(schema):
        expected = {"open": (None, None, None), "reader": (401, None, None), "operator": (401, 403, None)}
        tried = tuple(refused(client, schema, verb, path, key) for key in (None, reader, operator))
        if tried != expected[call["x-role"]]:
            found[verb, path] = tried
    assert not found
    open_ones = {path for _, path, call in calls(schema) if call["x-role"] == "open"}
    assert open_ones == {"/health", "/health/live", "/health/ready"}


def test_a_key_of_one_user_reaches_nothing_of_another(client: httpx.Client, app: FastAPI, database: Database) -> None:
    schema, bound = app.openapi(), create_key(database, "reader", "b", user_id=BOUND)
    headers = {"Authorization": f"Bearer {bound}"}
    for verb, path, call in calls(schema):
        names = {parameter["name"] for parameter in call.get("parameters", ())}
        if "user_id" in names:
            assert refused(client, schema, verb, path, bound) == 403, path
        body = call.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        if body and "user_id" in str(schema["components"]["schemas"][body["$ref"].rsplit("/", 1)[1]]):
            assert (verb, path) in OF_A_USER, "give a body that names another user"
    for (verb, path), content in OF_A_USER.items():
        assert client.request(verb, path, json=content, headers=headers).status_code == 403, path
    for verb, path in FOR_ALL:
        kind: dict[str, Any] = {"json": {}} if "requestBody" in schema["paths"][path][verb] else {}
        address = path.replace("{name}", "dataset")
        assert client.request(verb, address, headers=headers, **kind).status_code == 403, path
    assert client.get("/movies/1/similar", params={"user": OTHER}, headers=headers).status_code == 403
    assert client.post("/recommend", json={"user_id": BOUND}, headers=headers).status_code == 200
