"""Health of a worker: live always, ready with a snapshot, and what is away is told."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from movierec_assets.serving.api.app import create_app
from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.online import stored
from movierec_assets.serving.online.snapshot import NOTHING
from movierec_assets.settings import Settings
from movierec_assets.tables.database import Database
from movierec_tests.serving.api.conftest import running, served, worker_with
from movierec_tests.serving.api.small import LAST_MOVIE, VERSION

ADDRESSES = ("/health", "/health/ready")


@pytest.fixture
def worker(worker: Worker) -> Worker:
    """A worker that has read a snapshot, beside a live keeper."""
    worker.current.found = True
    tell(worker)
    return worker


def tell(worker: Worker, **told: Any) -> None:
    """Write what a keeper saw."""
    seen = {"at": time.time(), "alias": VERSION, "mlflow": {"answers": True, "milliseconds": 3.0}, "problems": {}}
    stored.write_json(stored.directory_of(worker.settings.state) / stored.KEEPER, seen | told)


@pytest.mark.parametrize("address", ADDRESSES)
def test_each_dependency_is_told_with_its_latency(client: httpx.Client, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 200
    found = answer.json()
    assert (found["status"], found["problems"]) == ("degraded", ["dagster does not answer"])
    assert (found["model"]["version"], found["model"]["champion"]) == (VERSION, VERSION)
    assert found["model"]["age_seconds"] > 0
    assert (found["model"]["dataset"], found["model"]["movies"]) == ("small", LAST_MOVIE)
    dependencies = found["dependencies"]
    assert {name: each["answers"] for name, each in dependencies.items()} == {
        "database": True,
        "mlflow": True,
        "dagster": False,
        "daemon": None,
        "keeper": True,
    }
    assert dependencies["database"]["milliseconds"] > 0
    assert dependencies["mlflow"]["milliseconds"] == 3.0


def test_without_a_snapshot_a_worker_lives_and_is_not_ready(worker: Worker) -> None:
    worker.current.found, worker.current.snapshot = False, NOTHING
    with served(create_app(worker.settings, running(worker))) as client:
        assert client.get("/health/live").json() == {"status": "alive"}
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"], ready.headers["Retry-After"]) == (503, "starting", "2")
        assert client.get("/health").status_code == 200


def test_with_the_database_away_a_worker_stays_ready(settings: Settings, worker: Worker) -> None:
    away = settings.model_copy(update={"database_url": "postgresql://x@127.0.0.1:9/x"})
    alone = worker_with(away, worker.current.snapshot)
    alone.current.found = True
    with served(create_app(away, running(alone))) as client:
        ready = client.get("/health/ready")
    assert ready.status_code == 200
    assert "database does not answer" in ready.json()["problems"]


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({"at": 0.0}, "keeper does not answer"),
        ({"mlflow": {"answers": False}}, "mlflow does not answer"),
        ({"alias": 9}, f"version 9 is the champion, and version {VERSION} is served"),
        ({"problems": {"champion": "secret: /a/path"}}, "champion: see the keeper's log"),
    ],
)
def test_what_the_keeper_saw_is_told_without_its_texts(
    worker: Worker, client: httpx.Client, told: dict[str, Any], problem: str
) -> None:
    tell(worker, **told)
    answer = client.get("/health/ready")
    assert answer.status_code == 200
    assert problem in answer.json()["problems"]
    assert "secret" not in answer.text


def test_mlflow_is_unknown_while_the_keeper_is_away(worker: Worker, client: httpx.Client) -> None:
    tell(worker, at=0.0)
    assert client.get("/health").json()["dependencies"]["mlflow"]["answers"] is None


def test_health_is_never_behind_a_key(settings: Settings, worker: Worker, database: Database) -> None:
    keyed = settings.model_copy(update={"api_reader_keys": "always"})
    worker.settings = keyed
    with served(create_app(keyed, running(worker))) as client:
        assert client.get("/movies").status_code == 401
        assert {client.get(address).status_code for address in (*ADDRESSES, "/health/live")} == {200}
