"""`movierec api` as it runs: what clients see when the keeper, a worker, MLflow or the database ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from movierec_tests.benchmarks.api.service import free_port
from movierec_tests.defs.harness import Platform, own_platform
from movierec_tests.mapped_files import mapped_files
from movierec_tests.models.harness import CLOSED, MOVIES, USERS, move_alias, reset
from movierec_tests.serving.online.loaded import load, ours
from movierec_tests.waiting import wait_until

pytestmark = pytest.mark.slow

API = [sys.executable, "-m", "movierec_assets.cli", "api"]
KEEPER, WORKER = "movierec_assets.serving.online.keeper", "movierec_assets.serving.api"
NOWHERE = "postgresql://x@127.0.0.1:9/x"
"""A database that does not answer."""


@dataclass(frozen=True)
class Served:
    """A running `movierec api`."""

    process: subprocess.Popen[bytes]
    address: str
    log: Path

    def get(self, path: str) -> httpx.Response:
        """An answer over a new connection."""
        # Without certificates, whose reading takes longer than the answer.
        return httpx.get(self.address + path, timeout=30, trust_env=False, verify=False)

    def recommend(self, **body: Any) -> httpx.Response:
        """A list, over a new connection."""
        return httpx.post(f"{self.address}/recommend", json=body, timeout=30, trust_env=False, verify=False)

    def ready(self) -> bool:
        """Whether requests may be sent."""
        try:
            return self.get("/health/ready").status_code == 200
        except httpx.TransportError:
            assert self.process.poll() is None, self.log.read_text()
            return False

    def pids(self, module: str) -> set[int]:
        """Processes of a module."""
        children = psutil.Process(self.process.pid).children()
        return {each.pid for each in children if module in _arguments(each)}


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@contextmanager
def running(directory: Path, environment: dict[str, str], workers: int = 1) -> Iterator[Served]:
    """Run `movierec api` until the end of the context, which ends it by SIGTERM."""
    port, log = free_port(), directory / f"api-{workers}.log"
    others = {name: value for name, value in os.environ.items() if not name.startswith("MOVIEREC_")}
    command = [*API, "--port", str(port), "--workers", str(workers)]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=others | environment, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        served = Served(process, f"http://127.0.0.1:{port}", log)
        try:
            wait_until(served.ready, "the API")
            yield served
        finally:
            process.terminate()
            process.wait()


@pytest.fixture(scope="module")
def api_platform(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform with a dataset and a champion."""
    directory = tmp_path_factory.mktemp("api")
    with own_platform(server_url, directory, directory) as platform:
        reset(platform)
        load(platform)
        move_alias(platform, ours(platform))
        yield platform


@pytest.fixture(scope="module")
def served(api_platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two workers of the platform."""
    with running(tmp_path_factory.mktemp("served"), api_platform.environment, workers=2) as served:

        def settled() -> bool:
            """Whether each worker has the champion: the first one to be ready says nothing about the other."""
            states = [served.get("/health").json()["status"] for _ in range(20)]
            lists = [served.recommend(user_id=USERS[0], n=1).json()["source"] for _ in range(20)]
            return "starting" not in states and set(lists) == {"model"}

        wait_until(settled, "a champion in both workers")
        wait_until(lambda: len(served.pids(WORKER)) == 2, "two workers")
        yield served
        children = psutil.Process(served.process.pid).children(recursive=True)
    assert served.process.returncode == 0, served.log.read_text()
    wait_until(lambda: not any(child.is_running() for child in children), "the end of its processes")


def test_it_answers_from_the_champion_and_names_what_is_away(served: Served) -> None:
    found = served.recommend(user_id=USERS[0], n=3).json()
    assert (found["source"], found["model_version"], len(found["movies"])) == ("model", 1, 3)
    health = served.get("/health").json()
    assert health["status"] == "degraded"
    assert health["problems"] == ["dagster does not answer"]
    assert (health["model"]["version"], health["model"]["champion"], health["model"]["movies"]) == (1, 1, len(MOVIES))
    assert [health["dependencies"][name]["answers"] for name in ("database", "mlflow", "dagster", "keeper")] == [
        True,
        True,
        False,
        True,
    ]
    assert served.get("/health/live").json() == {"status": "alive"}


def test_workers_import_neither_mlflow_nor_dagster_nor_what_takes_memory(served: Served) -> None:
    served.recommend(user_id=USERS[0], n=3, explain=True)
    for pid in served.pids(WORKER):
        mapped = mapped_files(pid)
        assert "numpy" in mapped
        assert not [name for name in ("/polars", "/pandas/", "/matplotlib/", "/pyarrow/") if name in mapped]


def test_after_the_keeper_was_killed_the_next_champion_is_served_all_the_same(
    served: Served, api_platform: Platform
) -> None:
    (before,) = served.pids(KEEPER)
    os.kill(before, signal.SIGKILL)
    assert served.recommend(user_id=USERS[0], n=3).status_code == 200
    second = ours(api_platform, seed=2)
    move_alias(api_platform, second)

    def is_served() -> bool:
        answers = [served.recommend(user_id=USERS[0], n=3) for _ in range(4)]
        assert {answer.status_code for answer in answers} == {200}
        return {answer.json()["model_version"] for answer in answers} == {second}

    wait_until(is_served, "the second champion")
    assert served.pids(KEEPER) != {before}
    assert f"The keeper ended by signal {signal.SIGKILL}" in served.log.read_text()


def test_a_killed_worker_comes_back_and_clients_that_connect_meanwhile_are_answered(served: Served) -> None:
    before = served.pids(WORKER)
    stop, statuses, broken = threading.Event(), set[int](), list[str]()

    def ask() -> None:
        while not stop.is_set():
            try:
                statuses.add(served.get("/health/live").status_code)
            except httpx.ConnectError as error:
                broken.append(f"refused: {error}")
            except httpx.TransportError:  # accepted by the worker that was killed
                continue

    client = threading.Thread(target=ask)
    client.start()
    try:
        for pid in sorted(before):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(served.pids(WORKER) - before) == 2, "two new workers")
        wait_until(served.ready, "an answer")
    finally:
        stop.set()
        client.join()
    assert (statuses, broken) == ({200}, [])


def test_a_second_one_on_the_same_port_is_refused_with_the_remedy(served: Served, api_platform: Platform) -> None:
    port = served.address.rpartition(":")[2]
    environment = os.environ | api_platform.environment
    refused = subprocess.run(
        [*API, "--port", port], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert refused.returncode == 1
    assert f"port {port}" in refused.stderr
    assert "MOVIEREC_API_PORT" in refused.stderr
    assert served.ready()


def test_with_mlflow_and_the_database_away_at_the_start_the_last_champion_is_served(
    served: Served, api_platform: Platform, tmp_path: Path
) -> None:
    wait_until((api_platform.settings.state / "serving" / "keeper.json").exists, "a keeper")
    version = served.recommend(user_id=USERS[0], n=3).json()["model_version"]
    shutil.copytree(api_platform.settings.state / "serving", tmp_path / "state" / "serving")
    environment = api_platform.environment | {
        "MOVIEREC_STATE_DIR": str(tmp_path / "state"),
        "MOVIEREC_DATABASE_URL": NOWHERE,
        "MOVIEREC_MLFLOW_TRACKING_URI": CLOSED,
    }
    with running(tmp_path, environment) as alone:
        found = alone.recommend(liked_movie_ids=MOVIES[:2], n=3)
        assert found.status_code == 200, found.text
        assert (found.json()["source"], found.json()["model_version"]) == ("model", version)
        refused = alone.recommend(user_id=USERS[0], n=3)
        assert refused.status_code == 503
        assert "Retry-After" in refused.headers

        def told() -> bool:
            health = alone.get("/health").json()
            assert health["status"] == "degraded"
            return {"database does not answer", "mlflow does not answer"} <= set(health["problems"])

        wait_until(told, "both problems")


def test_at_its_end_under_load_no_request_fails_before_the_socket_is_closed(
    api_platform: Platform, tmp_path: Path
) -> None:
    environment = api_platform.environment | {"MOVIEREC_STATE_DIR": str(tmp_path / "state")}
    answers, broken = list[int](), list[str]()
    with running(tmp_path, environment, workers=2) as served:

        def ask() -> None:
            reset = ""
            while True:
                try:
                    answers.append(served.recommend(user_id=USERS[0], n=3).status_code)
                    if reset:
                        broken.append(f"{reset}, and the next request was answered")
                except httpx.ConnectError:
                    return  # the socket is closed
                except httpx.TransportError as error:
                    # It had connected when the socket was closed, and no worker had read the request.
                    reset = repr(error)
                    if "without sending complete message" in reset:
                        broken.append(reset)

        clients = [threading.Thread(target=ask) for _ in range(8)]
        for client in clients:
            client.start()
        wait_until(lambda: len(answers) > 200, "some answers")
        served.process.terminate()
        for client in clients:
            client.join(60)
        assert served.process.wait(60) == 0, served.log.read_text()
    assert (set(answers), broken) == ({200}, [])


def test_when_it_is_killed_its_processes_end(api_platform: Platform, tmp_path: Path) -> None:
    environment = api_platform.environment | {"MOVIEREC_STATE_DIR": str(tmp_path / "state")}
    with running(tmp_path, environment) as served:
        children = psutil.Process(served.process.pid).children(recursive=True)
        assert len(children) >= 2
        served.process.kill()
        gone, alive = psutil.wait_procs(children, timeout=60)
        assert not alive, gone
