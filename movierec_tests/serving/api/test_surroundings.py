"""What surrounds every answer: the access log, metrics, origins of pages, the limit of requests at a time, failures."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, Request
from fastapi.routing import APIRoute

from movierec_assets.serving.api.app import create_app
from movierec_assets.serving.api.observe import SECURITY_HEADERS
from movierec_assets.serving.api.roles import OPEN, READER
from movierec_assets.serving.api.worker import Worker
from movierec_assets.settings import Settings, SettingsError, get_settings
from movierec_assets.tables.api_keys import create_key
from movierec_assets.tables.database import Database
from movierec_tests.serving.api.conftest import running, served
from movierec_tests.serving.api.small import VERSION

router = APIRouter()


@router.get("/fails", **READER)
async def fail() -> None:
    raise RuntimeError("a secret of the database")


@router.get("/slow", **READER)
async def wait(request: Request) -> dict[str, bool]:
    await request.app.state.released.wait()
    return {"done": True}


@router.get("/health/near", **OPEN)
async def near() -> dict[str, bool]:
    return {"open": True}


ROUTES = [route for route in router.routes if isinstance(route, APIRoute)]


def test_a_failure_is_a_problem_without_its_reason_which_the_log_has(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), served(create_app(worker.settings, running(worker), ROUTES)) as client:
        answer = client.get("/fails")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["request_id"] in caplog.text
    assert "a secret of the database" in caplog.text


def test_more_requests_than_the_limit_are_told_to_come_back(worker: Worker) -> None:
    settings = worker.settings.model_copy(update={"api_concurrency": 2})
    app = create_app(settings, running(worker), ROUTES)

    async def call() -> tuple[list[int], httpx.Response, int]:
        app.state.released = asyncio.Event()
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://x") as client,
        ):
            slow = [asyncio.create_task(client.get("/slow")) for _ in range(2)]
            while app.state.admission.running < 2:
                await asyncio.sleep(0)
            refused, health = await client.get("/slow"), await client.get("/health/near")
            app.state.released.set()
            return [(await each).status_code for each in slow], refused, health.status_code

    answered, refused, health = asyncio.run(call())
    assert answered == [200, 200]
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert health == 200


@pytest.mark.parametrize(
    ("proxies", "expected"), [("127.0.0.1", "198.51.100.7"), ("192.0.2.1", "127.0.0.1"), ("", "127.0.0.1")]
)
def test_only_a_trusted_proxy_says_who_the_client_is(
    worker: Worker, capfdbinary: pytest.CaptureFixture[bytes], proxies: str, expected: str
) -> None:
    settings = worker.settings.model_copy(update={"api_access_log": True, "api_trusted_proxies": proxies})
    with served(create_app(settings, running(worker)), settings) as client:
        # The proxy adds the last one; what its client sent comes before.
        client.get("/health/live", headers={"X-Forwarded-For": "203.0.113.9, 198.51.100.7"})
    assert json.loads(capfdbinary.readouterr().out)["client"] == expected


def test_behind_a_trusted_proxy_each_client_has_a_limit_of_its_own(worker: Worker) -> None:
    settings = worker.settings.model_copy(update={"api_rate_limit": 2})
    with served(create_app(settings, running(worker)), settings) as client:

        def statuses(address: str) -> list[int]:
            return [client.get("/movies/1", headers={"X-Forwarded-For": address}).status_code for _ in range(3)]

        assert statuses("198.51.100.7") == [200, 200, 429]
        assert statuses("198.51.100.8") == [200, 200, 429]
        assert client.get("/movies/1").status_code == 200


@pytest.mark.parametrize("proxies", ["caddy", "10.0.0.0/99", "10.0.0.1/24"])
def test_a_proxy_is_trusted_by_its_address(monkeypatch: pytest.MonkeyPatch, proxies: str) -> None:
    monkeypatch.setenv("MOVIEREC_API_TRUSTED_PROXIES", proxies)
    with pytest.raises(SettingsError, match=r"MOVIEREC_API_TRUSTED_PROXIES.*is no address or network"):
        get_settings()


def test_the_access_log_names_route_status_and_key_and_no_secret(
    worker: Worker, database: Database, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    key = create_key(database, "reader", "log")
    settings = worker.settings.model_copy(update={"api_access_log": True})
    with served(create_app(settings, running(worker))) as client:
        client.get("/movies", params={"query": "private"}, headers={"Authorization": f"Bearer {key}"})
        client.post("/recommend", json={"user_id": 5, "scenario": "private"})
        client.get("/no such address?private=1")
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines() if line.startswith(b"{")]
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("GET", "/movies", 200),
        ("POST", "/recommend", 200),
        ("GET", None, 404),
    ]
    assert [line["key"] for line in lines] == [key.split("_")[1], None, None]
    assert key.split("_", 2)[2] not in json.dumps(lines)
    assert "private" not in json.dumps(lines)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/health/live", 200), ("/movies/popular", 200), ("/movies/1", 200), ("/docs", 200), ("/x", 404)],
)
def test_head_has_the_status_and_headers_of_get_and_no_body(client: httpx.Client, path: str, status: int) -> None:
    asked, got = client.head(path), client.get(path)
    assert (asked.status_code, got.status_code) == (status, status)
    assert asked.content == b""
    assert asked.headers.keys() == got.headers.keys()
    assert asked.headers["content-type"] == got.headers["content-type"]
    assert asked.headers["content-length"] == str(len(got.content))


def test_head_of_what_can_only_be_posted_is_refused(client: httpx.Client) -> None:
    assert client.head("/recommend").status_code == 405


def test_metrics_count_requests_and_lists_and_name_the_model(client: httpx.Client) -> None:
    client.post("/recommend", json={"user_id": 5})
    client.post("/recommend", json={})  # nobody is folded in
    client.post("/recommend/batch", json={"requests": [{"user_id": 5}, {"user_id": 6}]})
    client.get("/made/up/address")
    figures = figures_of(client.get("/metrics").text)
    assert figures['movierec_requests_total{method="POST",route="/recommend",status="200"}'] == 2
    assert figures['movierec_requests_total{method="any",route="none",status="404"}'] == 1
    assert figures['movierec_request_seconds_count{route="/recommend"}'] == 2
    assert figures['movierec_answers_total{source="model"}'] == 3
    assert figures['movierec_answers_total{source="popular"}'] == 1
    assert figures["movierec_ranking_seconds_count"] == 4
    assert figures["movierec_fold_in_seconds_count"] == 3
    assert 0 < figures["movierec_fold_in_seconds_sum"] < figures["movierec_ranking_seconds_sum"]
    assert figures["movierec_live_queue_requests"] == 0
    assert figures["movierec_model_version"] == VERSION
    assert figures["movierec_model_age_seconds"] > 0
    assert figures["movierec_log_dropped_rows_total"] == 0
    assert {"movierec_log_queue_rows", "movierec_running_requests"} <= figures.keys()


def test_any_worker_gives_out_the_figures_of_all(tmp_path: Path) -> None:
    counting = (
        "import sys; from movierec_assets.serving.api.metrics import Metrics; metrics = Metrics();"
        "metrics.answered('model', 0.001); metrics._running.set(3);"
        "metrics.seen({'method': 'GET', 'movierec.route': '/x'}, 200, 0.1);"
        "sys.stdout.buffer.write(metrics.text())"
    )
    environment = dict(os.environ) | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for ended in (1, 2, 3):
        text = subprocess.run([sys.executable, "-c", counting], env=environment, capture_output=True, check=True).stdout
        figures = figures_of(text.decode())
        assert figures['movierec_answers_total{source="model"}'] == ended
        assert figures['movierec_requests_total{method="GET",route="/x",status="200"}'] == ended
        assert figures["movierec_running_requests"] == 3  # those of workers that have ended do not count


def figures_of(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_pages_of_the_origins_that_are_set_may_call_and_read_refusals(worker: Worker) -> None:
    settings = worker.settings.model_copy(update={"api_cors_origins": "https://films.example, https://b.example:8443"})
    with served(create_app(settings, running(worker))) as client:
        for origin, allowed in (("https://films.example", True), ("https://other.example", False)):
            asking = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            asked = client.options("/recommend", headers=asking)
            assert asked.status_code == (204 if allowed else 403)
            assert asked.headers.get("access-control-allow-origin") == (origin if allowed else None)
            assert SECURITY_HEADERS[0][0].decode() in asked.headers
            assert allowed or "MOVIEREC_API_CORS_ORIGINS" in asked.json()["detail"]
            refused = client.get("/users/0/recommendations", headers={"Origin": origin})
            assert refused.status_code == 422
            assert refused.headers.get("access-control-allow-origin") == (origin if allowed else None)


@pytest.mark.parametrize(
    "origins", ["films.example", "https://films.example/page", "https://a.example https://b.example"]
)
def test_an_origin_that_cannot_be_one_is_refused(monkeypatch: pytest.MonkeyPatch, origins: str) -> None:
    monkeypatch.setenv("MOVIEREC_API_CORS_ORIGINS", origins)
    with pytest.raises(SettingsError, match=r"MOVIEREC_API_CORS_ORIGINS.*is no origin"):
        get_settings()


def test_without_origins_no_other_page_may_read(client: httpx.Client) -> None:
    assert "access-control-allow-origin" not in client.get("/movies", headers={"Origin": "https://a.example"}).headers


@pytest.mark.parametrize(
    ("setting", "host", "needed"),
    [
        ("auto", "127.0.0.1", False),
        ("auto", "localhost", False),
        ("auto", "::1", False),
        ("auto", "0.0.0.0", True),
        ("auto", "::", True),
        ("auto", "192.168.1.5", True),
        ("never", "0.0.0.0", False),
        ("always", "127.0.0.1", True),
    ],
)
def test_reading_is_open_on_loopback_and_keyed_elsewhere(setting: str, host: str, needed: bool) -> None:
    made = Settings.model_validate({"api_reader_keys": setting, "api_host": host})
    assert made.readers_need_keys is needed
