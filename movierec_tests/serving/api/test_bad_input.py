"""Input that breaks services, by name: each gets a problem that names the field, and nothing of it is repeated."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import date, datetime
from typing import Annotated, Any, Literal

import httpx
import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from movierec_assets.serving.api import body_reading
from movierec_assets.serving.api.app import create_app
from movierec_assets.serving.api.problems import unusable
from movierec_assets.serving.online.snapshot import Snapshot
from movierec_assets.settings import Settings
from movierec_tests.databases import own_database
from movierec_tests.serving.api.conftest import running, served, worker_with
from movierec_tests.waiting import PATIENCE, wait_until

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def client(small_url: str, snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Bad input changes nothing, so all of it is sent to one application."""
    with own_database(small_url) as url:
        settings = Settings(database_url=url, state_dir=tmp_path_factory.mktemp("state"), api_access_log=False)
        with served(create_app(settings, running(worker_with(settings, snapshot)))) as client:
            yield client


def send(client: httpx.Client, body: bytes, path: str = "/recommend") -> httpx.Response:
    return client.post(path, content=body, headers=JSON)


def field_of(answer: httpx.Response) -> str:
    return str(answer.json()["errors"][0]["field"])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"diversity": NaN}', 422),
        (b'{"diversity": Infinity}', 422),
        (b'{"boost": [{"kind": "newer", "weight": -Infinity}]}', 422),
        (b'{"user_id": NaN}', 422),
        (b'{"scenario": "\\ud800"}', 400),
        (b'{"\\ud800": 1}', 400),
        (b'{"user_id": ' + b"9" * 5000 + b"}", 400),
        (b"[" * 100_000, 400),
        (b'{"filters": ' * 50_000, 400),
        (b'{"scenario": "\xff\xfe"}', 400),
        ('{"user_id": 5}'.encode("utf-16"), 400),
        (b'{"scenario": "a\\u0000b"}', 422),
        (b'{"user_id": 5', 400),
        (b"", 422),
        (b"[]", 422),
        (b"null", 422),
        (b'"text"', 422),
        (b'{"user_id": 5.5}', 422),
        (b'{"user_id": 5.0}', 422),
        (b'{"user_id": "5"}', 422),
        (b'{"user_id": true}', 422),
        (b'{"user_id": 0}', 422),
        (b'{"user_id": 9223372036854775808}', 422),
        (b'{"user_id": 2147483648}', 422),
        (b'{"n": 0}', 422),
        (b'{"n": 101}', 422),
        (b'{"n": 1e1}', 422),
        (b'{"diversity": 1.1}', 422),
        (b'{"explain": "yes"}', 422),
        (b'{"users": 5}', 422),
        (b'{"filters": {"genre": ["Drama"]}}', 422),
        (b'{"boost": [{"kind": "genre", "weight": 11}]}', 422),
        (b'{"boost": [{"kind": "longer", "weight": 1}]}', 422),
        (b'{"boost": [{"kind": "genre", "weight": 1}]}', 422),
        (b'{"filters": {"year_from": 2000, "year_to": 1990}}', 422),
        (b'{"filters": {"genres_any": ["Dramma"]}}', 422),
        (json.dumps({"liked_movie_ids": [1] * 10_000}).encode(), 422),
        (json.dumps({"filters": {"exclude_ids": list(range(1, 10_001))}}).encode(), 422),
        (json.dumps({"liked_titles": ["x" * 10_000]}).encode(), 422),
    ],
)
def test_a_body_that_cannot_be_used_is_a_problem(client: httpx.Client, body: bytes, status: int) -> None:
    answer = send(client, body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert len(answer.content) < 4000
    if status != 400:
        assert field_of(answer).startswith("body")


@pytest.mark.parametrize("path", ["/recommend/batch", "/ratings", "/events", "/train"])
def test_other_routes_with_a_body_refuse_what_is_no_json(client: httpx.Client, path: str) -> None:
    other_encodings = ['{"user_id": 5}'.encode(name) for name in ("utf-16", "utf-16-le", "utf-32", "utf-8-sig")]
    for body in other_encodings:
        assert send(client, body, path).status_code in (400, 401), (path, body[:20])
    for body in (b'{"x": NaN}', b'{"\\ud800": 1}', b"9" * 5000, b"[" * 100_000, b'{"x": "\xff"}', b"{"):
        answer = send(client, body, path)
        assert answer.status_code in (400, 401, 422), (path, body[:20], answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("at", [-1, 2**32, "x", 5.5, [], {"latest": 1}, True])
def test_a_moment_that_cannot_be_used_is_one_error_of_its_field(client: httpx.Client, at: Any) -> None:
    for path, field in (("/recommend", "body.at"), ("/recommend/batch", "body.requests.0.at")):
        answer = client.post(path, json={"at": at} if path == "/recommend" else {"requests": [{"at": at}]})
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]].count(field) == 1
        assert field_of(answer) == field
        assert "'latest' or 'return', or input should be" in answer.json()["errors"][0]["message"]


class Inner(BaseModel):
    """A member of a union."""

    model_config = ConfigDict(extra="forbid")

    number: int


class Unions(BaseModel):
    """Unions of every kind that a body may have."""

    model_config = ConfigDict(extra="forbid")

    value: (
        Annotated[int, Field(ge=0)]
        | Literal["a", "b"]
        | Annotated[str, Field(max_length=3)]
        | bool
        | float
        | list[int | Inner]
        | dict[str, date]
        | Annotated[datetime, AfterValidator(lambda value: value)]
        | Inner
        | None
    ) = None


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        (b"", {"body.value"}),
        ({"number": "x"}, {"body.value", "body.value.number"}),
        ([{"number": 5}, {"number": "x"}], {"body.value", "body.value.1", "body.value.1.number"}),
    ],
)
def test_no_field_has_the_name_of_a_member_of_a_union(value: Any, fields: set[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        Unions.model_validate({"value": value}, strict=True)
    errors = unusable(caught.value.errors(), "body").more["errors"]
    assert {error["field"] for error in errors} == fields
    assert len(errors) == len(fields)


def test_an_unknown_field_is_named_as_the_client_named_it() -> None:
    for name in ("int", "Idempotency-Key", "list[int]"):
        with pytest.raises(ValidationError) as caught:
            Unions.model_validate({name: 1})
        assert unusable(caught.value.errors(), "body").more["errors"][0]["field"] == f"body.{name}"
    with pytest.raises(ValidationError) as caught:
        Inner.model_validate({"number": 1, "str": 5})
    assert unusable(caught.value.errors(), "body").more["errors"][0]["field"] == "body.str"


@pytest.mark.parametrize(
    "boost", [{"kind": "newer", "genres": ["Comedy"]}, {"kind": "genre"}, {"kind": "genre", "genres": []}]
)
def test_genres_are_of_boosts_by_genre_only(client: httpx.Client, boost: dict[str, Any]) -> None:
    for path, field in (("/recommend", "body.boost.1.genres"), ("/recommend/batch", "body.requests.0.boost.1.genres")):
        body = {"boost": [{"kind": "newer", "weight": 1, "genres": []}, {"weight": 1} | boost]}
        answer = client.post(path, json=body if path == "/recommend" else {"requests": [body]})
        assert (answer.status_code, field_of(answer)) == (422, field)


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 422), (b"null", 422), (b" ", 400), (b'{"\\ud800": 1}', 400), (b'{"x": 1}', 422)]
)
def test_the_same_broken_body_gets_the_same_status_everywhere(client: httpx.Client, body: bytes, status: int) -> None:
    for path in ("/recommend", "/recommend/batch", "/ratings", "/events"):
        answer = send(client, body, path)
        assert answer.status_code == status, (path, answer.text)
        if not body:
            assert answer.json()["errors"] == [{"field": "body", "message": "Field required"}]


def test_half_of_a_surrogate_pair_in_a_text_is_unreadable_everywhere(client: httpx.Client) -> None:
    name = "00000000-0000-7000-8000-00000000000\ud800"
    events = {"events": [{"recommendation_id": name, "movie_id": 1, "kind": "click"}]}
    for path, body in (("/recommend", {"scenario": "\ud800"}), ("/events", events)):
        assert send(client, json.dumps(body).encode(), path).status_code == 400, path


def test_a_problem_names_the_field_and_repeats_no_value(client: httpx.Client) -> None:
    answer = send(client, b'{"n": 4711, "scenario": "my secret scenario' + b"x" * 100 + b'"}')
    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {"body.n", "body.scenario"}
    assert "4711" not in answer.text
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/users/5_0/recommendations", 422),
        ("/users/%205/recommendations", 422),
        ("/users/05/recommendations", 422),
        ("/users/+5/recommendations", 422),
        ("/users/5.0/recommendations", 422),
        ("/users/0/recommendations", 422),
        ("/users/-5/recommendations", 422),
        ("/users/9223372036854775808/recommendations", 422),
        ("/users/" + "9" * 5000 + "/recommendations", 422),
        ("/users/%D9%A5/recommendations", 422),  # an Arabic five
        ("/users/5%00/recommendations", 422),
        ("/users/%ff/recommendations", 422),
        ("/users/999/recommendations", 404),
        ("/users/5/recommendations?n=1_0", 422),
        ("/users/5/recommendations?n=0", 422),
        ("/users/5/recommendations?n=101", 422),
        ("/users/5/recommendations?m=5", 422),
        ("/users/5/recommendations?scenario=a%00b", 422),
        ("/users/5/recommendations?scenario=%ff", 422),
        ("/users/5/recommendations?" + "&".join(f"a{i}=1" for i in range(60)), 422),
        ("/movies?query=a%00b", 422),
        ("/movies?limit=5", 422),
        ("/movies?n=5&n=6", 422),
        ("/movies/abc", 422),
        ("/movies/999", 404),
        ("/health?verbose=1", 422),
        ("/docs?x=1", 422),
        ("/openapi.json?x=1", 422),
        ("/?x=1", 422),
    ],
)
def test_an_address_that_cannot_be_used_is_a_problem(client: httpx.Client, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_sql_in_a_search_is_text(client: httpx.Client) -> None:
    for text in ("'; DROP TABLE movierec.movies; --", "%", "_", "\\", "' OR 1=1 --"):
        assert client.get("/movies", params={"query": text}).status_code == 200
    assert client.get("/movies/1").status_code == 200


def test_a_body_of_another_kind_is_refused(client: httpx.Client) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "", None):
        headers = {} if kind is None else {"Content-Type": kind}
        assert client.post("/recommend", content=b"{}", headers=headers).status_code == 415
    assert client.post(
        "/recommend", content=b"{}", headers={"Content-Type": "Application/JSON; charset=utf-8"}
    ).is_success


def test_a_body_over_the_limit_is_refused_before_it_is_sent_or_while_it_is_read(client: httpx.Client) -> None:
    assert send(client, b" " * 1_000_001).status_code == 413
    for path in ("/recommend", "/ratings"):
        chunks = (b" " * 100_000 for _ in range(20))
        assert client.post(path, content=chunks, headers=JSON).status_code == 413
    host, port = client.base_url.host, client.base_url.port
    with socket.create_connection((host, port), timeout=30) as connection:
        head = (
            b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 20000000\r\n\r\n"
        )
        connection.sendall(head)
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("path", ["/recommend", "/ratings"])
def test_a_body_that_does_not_arrive_is_refused_and_one_whose_client_hangs_up_is_no_failure(
    client: httpx.Client, path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = client.base_url.host, client.base_url.port
    begun = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    ).encode()

    def counted(status: int) -> float:
        text = client.get("/metrics").text
        found = [line for line in text.splitlines() if f'route="{path}"' in line and f'status="{status}"' in line]
        return sum(float(line.rpartition(" ")[2]) for line in found if "requests_total" in line)

    before = counted(499)
    with socket.create_connection((host, port), timeout=30) as connection:
        connection.sendall(begun)
    wait_until(lambda: counted(499) > before, "the end of the request of a client that hung up")
    assert counted(500) == 0
    assert not caplog.records

    monkeypatch.setattr(body_reading, "BODY_SECONDS", 0.2)
    with socket.create_connection((host, port), timeout=PATIENCE) as connection:
        connection.sendall(begun)
        answer = connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"send it at once" in answer or b"send it at once" in connection.recv(4096)


def test_a_method_that_an_address_does_not_take_is_named(client: httpx.Client) -> None:
    answer = client.delete("/recommend")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


def test_headers_of_any_kind_do_no_harm(client: httpx.Client) -> None:
    odd: list[dict[str, Any]] = [
        {"Authorization": "Bearer"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": b"Bearer \xff\xfe"},
        {"Authorization": "Bearer " + "x" * 5000},
    ]
    for headers in odd:
        assert client.get("/movies", headers=headers).status_code == 401, headers
    assert client.get("/health/live", headers=odd[2]).status_code == 200
    answer = client.get("/health/live", headers={"X-Request-ID": "a b<script>"})
    assert "<" not in answer.headers["x-request-id"]


def test_a_page_of_another_origin_can_make_no_user_without_being_asked_for_its_origin(client: httpx.Client) -> None:
    page = {"Origin": "https://other.example"}
    for kind in (None, "text/plain", "application/x-www-form-urlencoded"):
        answer = client.post("/users", headers=page | ({} if kind is None else {"Content-Type": kind}))
        assert answer.status_code == 415, kind
    assert client.post("/users", json={}).status_code == 201
    assert client.post("/users", headers={"Content-Type": "application/json"}).status_code == 201
