"""The load generator, against a server of the kind that it is made for."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from movierec_assets.host import CommandError
from movierec_tests.benchmarks.api import driver, load
from movierec_tests.benchmarks.api.plan import MAX_CONNECTIONS, Asked, Plan
from movierec_tests.benchmarks.api.service import free_port

POST: list[Asked] = [("POST", "/", json.dumps({"user_id": user})) for user in range(3)]
SERVER = "movierec_tests.benchmarks.tests.small_server:app"


class Server:
    def __init__(self) -> None:
        self.port = free_port()
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "uvicorn", SERVER, "--port", str(self.port), "--no-access-log"]
        process = subprocess.Popen([*command, "--log-level", "warning"])
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return process
            assert process.poll() is None
            time.sleep(0.05)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.process.kill()
    running.process.wait()


def test_every_request_is_sent_once_and_its_answer_is_timed_and_noted(server: Server) -> None:
    found = driver.send(
        Plan(server.port, POST, 2, 60.0, count=30, note=r'"user_id": ?(\d+)', processes=[server.process.pid])
    )
    assert (found.answered, found.statuses, found.failures, found.errors) == (30, {"200": 30}, {}, 0)
    by_user = {user: sum(count for text, _, count in found.noted if text == user) for user in ("0", "1", "2")}
    assert by_user == {"0": 10, "1": 10, "2": 10}
    assert all(abs(at - found.started) <= found.seconds + 60 for _, at, _ in found.noted)
    assert 0 < found.latencies["p50"] <= found.latencies["p99"] <= found.latencies["max"] <= found.seconds * 1000
    assert found.rate == pytest.approx(30 / found.seconds)
    assert sum(count for _, _, count in found.by_second) == 30


def test_answers_that_refuse_count_as_errors(server: Server) -> None:
    found = driver.send(Plan(server.port, [POST[0], ("GET", "/nowhere", None)], 1, 60.0, count=10))
    assert (found.statuses, found.errors) == ({"200": 5, "404": 5}, 5)


def test_requests_at_a_rate_arrive_whether_or_not_earlier_ones_were_answered(server: Server) -> None:
    slow: list[Asked] = [("GET", "/slow", None)]
    found = driver.send(Plan(server.port, slow, 1, 2.0, rate=50.0, count=20))
    # One connection answers a request in 0.1 s: those that arrive meanwhile wait, and their wait is in the latency.
    assert found.answered >= 10
    assert found.latencies["p50"] > 200


def test_a_server_that_is_killed_costs_the_open_requests_and_is_found_again(server: Server) -> None:
    plan = Plan(server.port, [("GET", "/slow", None)], 4, 60.0)
    with driver.started(plan) as running:
        while not connected(server.port):
            time.sleep(0.02)
        time.sleep(0.3)
        server.process.kill()
        server.process.wait()
        time.sleep(0.2)
        server.process = server.start()
        time.sleep(1.0)
        running.stop()
        found = running.found()
    assert found.failures[load.CLOSED] >= 1
    assert found.failures[load.REFUSED] >= 1
    assert found.statuses["200"] > 4


def test_a_request_without_an_answer_is_given_up(server: Server) -> None:
    found = driver.send(Plan(server.port, [("GET", "/never", None)], 1, 1.0, timeout=0.4))
    assert found.failures.get(load.TIMEOUT, 0) >= 1
    assert found.answered == 0


def test_a_load_beyond_the_bounds_is_refused(server: Server) -> None:
    for wrong in (Plan(server.port, POST, MAX_CONNECTIONS + 1, 1.0), Plan(server.port, POST, 1, 1e9)):
        with pytest.raises(load.LoadError):
            load.run(wrong)
    with pytest.raises(CommandError):
        driver.send(Plan(server.port, [], 1, 1.0))


def test_percentiles_are_latencies_that_occurred() -> None:
    found = load.percentiles([each / 1000 for each in range(1, 101)])
    assert found == pytest.approx({"p50": 50, "p90": 90, "p99": 99, "p99.9": 100, "max": 100})
    assert load.percentiles([0.5]) == pytest.approx(dict.fromkeys(found, 500.0))


def connected(port: int) -> bool:
    return any(
        each.laddr and each.laddr[1] == port and each.status == psutil.CONN_ESTABLISHED
        for each in psutil.net_connections("tcp")
    )
