"""Two daemons on one database."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from movierec_assets.host import daemon
from movierec_assets.host.daemon import only_daemon, watch
from movierec_assets.host.supervision import AGAIN
from movierec_assets.settings import Settings
from movierec_assets.tables.database import Database
from movierec_tests.resources.test_exclusive import end_sessions
from movierec_tests.waiting import PATIENCE, wait_until


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "LOOK_SECONDS", 0.05)


def test_a_second_daemon_waits_says_so_once_and_takes_over(database: Database) -> None:
    told: list[str] = []
    took_over = threading.Event()

    def second() -> None:
        with only_daemon(database, told.append):
            took_over.set()

    first = only_daemon(database, pytest.fail)
    thread = threading.Thread(target=second)
    thread.start()
    wait_until(lambda: bool(told), "the second one waits")
    assert not took_over.wait(0.3)
    first.close()
    thread.join()
    assert took_over.is_set()
    assert told == ["Another daemon works on this database. This one waits, and takes over when that ends."]


def test_a_daemon_ends_with_the_session_of_its_lock(database: Database) -> None:
    ended = threading.Event()
    thread = threading.Thread(target=watch, args=(only_daemon(database), ended.set))
    thread.start()
    end_sessions(database)
    thread.join()
    assert ended.is_set()


def test_a_daemon_waits_for_a_database_that_does_not_answer(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Database("postgresql://nobody@127.0.0.1:9/nothing")
    told: list[str] = []

    def back(why: str) -> None:
        told.append(why)
        away.url = database.url

    with only_daemon(away, back):
        (why,) = told
        assert "does not answer at 127.0.0.1:9/nothing" in why


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    file = tmp_path / "workspace.yaml"
    file.write_text("load_from: []\n", encoding="utf-8")
    return file


@pytest.fixture
def daemons(platform_settings: Settings, workspace: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Two daemons of one platform."""
    command = [sys.executable, "-m", "movierec_assets.host.daemon", "--workspace", str(workspace)]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ)
        for _ in range(2)
    ]
    yield started
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow  # two processes that import Dagster
def test_of_two_daemons_one_launches_runs_and_the_other_follows_a_kill(
    daemons: list[subprocess.Popen[str]], database: Database
) -> None:
    lines: dict[int, list[str]] = {process.pid: [] for process in daemons}

    def read_on(process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines[process.pid].append(line)

    for process in daemons:
        threading.Thread(target=read_on, args=(process,), daemon=True).start()

    def working() -> list[subprocess.Popen[str]]:
        return [process for process in daemons if any("SensorDaemon" in line for line in lines[process.pid])]

    wait_until(lambda: bool(working()), "a daemon that works")
    (first,) = working()
    (second,) = (process for process in daemons if process is not first)
    wait_until(lambda: any("Another daemon works" in line for line in lines[second.pid]), "the other one waits")
    first.kill()
    wait_until(lambda: second in working(), "the other one works")
    end_sessions(database)
    assert second.wait(PATIENCE) == AGAIN, "a restart of Postgres ends it, whenever that is"
