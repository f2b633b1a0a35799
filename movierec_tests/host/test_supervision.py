"""Processes that are started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from movierec_assets.host import supervision
from movierec_assets.host.supervision import Child, end
from movierec_tests.waiting import wait_until

SLEEP = ["-c", "import time; time.sleep(600)"]


@pytest.fixture
def started() -> Iterator[list[Child]]:
    children: list[Child] = []
    yield children
    end(children)


def running(child: Child) -> bool:
    child.look()
    return child.pid is not None


def test_a_killed_process_is_started_again(started: list[Child], caplog: pytest.LogCaptureFixture) -> None:
    child = Child("The keeper", SLEEP)
    started.append(child)
    child.look()
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: child.pid is None, "the end of the process")
    wait_until(lambda: running(child), "a new process")
    assert child.pid != first
    assert "The keeper ended by signal 9" in caplog.text


def test_pauses_double_while_a_process_ends_at_once(
    started: list[Child], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervision, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(supervision, "LONGEST_PAUSE", 0.04)
    child = Child("A worker", ["-c", "raise SystemExit(3)"])
    started.append(child)

    def ended_five_times() -> bool:
        child.look()
        return len(caplog.records) >= 5

    wait_until(ended_five_times, "five ends")
    pauses = [record.getMessage().rsplit(" in ", 1)[1] for record in caplog.records[:5]]
    assert pauses == ["0.01 s.", "0.02 s.", "0.04 s.", "0.04 s.", "0.04 s."]
    assert "with exit status 3" in caplog.text


def test_a_process_that_lived_long_is_started_again_at_once(
    started: list[Child], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervision, "STEADY_SECONDS", 0.0)
    child = Child("A worker", SLEEP)
    started.append(child)
    child.look()
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: child.pid is None, "the end of the process")
    child.look()
    assert child.pid is not None
    assert caplog.text.rstrip().endswith("it is started again.")


def lives(child: Child, count: int, warned: list[str]) -> bool:
    """Let a child that ends soon be started `count` times, or until it is hopeless; returns whether it is."""

    def ended() -> bool:
        child.look()
        return child.hopeless or len(warned) >= count

    wait_until(ended, "the ends of the process")
    return child.hopeless


def soon_ending(code: str, warned: list[str], monkeypatch: pytest.MonkeyPatch) -> Child:
    monkeypatch.setattr(supervision, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(supervision, "STEADY_SECONDS", 600.0)
    return Child("The daemon", ["-c", code], warn=warned.append, gives_up=True)


def test_a_server_that_ends_soon_after_its_first_start_is_hopeless(monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    child = soon_ending("raise SystemExit(1)", warned, monkeypatch)
    assert lives(child, 1, warned)
    assert (child.status, warned) == (1, [])


@pytest.mark.parametrize(
    "code",
    [f"raise SystemExit({supervision.AGAIN})", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"],
    ids=["it asks for another start", "somebody kills it"],
)
def test_a_server_that_something_else_ends_soon_after_its_first_start_is_started_again(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned: list[str] = []
    child = soon_ending(code, warned, monkeypatch)
    assert not lives(child, supervision.SHORT_LIVES - 1, warned)
    assert lives(child, supervision.SHORT_LIVES, warned), "in the end it is hopeless, too"


def test_a_process_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(supervision, "STOP_SECONDS", 0)
    ready = tmp_path / "ready"
    deaf = (
        "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"pathlib.Path({str(ready)!r}).touch(); time.sleep(600)"
    )
    child = Child("A worker", ["-c", deaf])
    child.look()
    wait_until(ready.exists, "the start")
    pid = child.pid
    assert pid is not None
    end([child])
    assert not psutil.pid_exists(pid)


def test_a_child_ends_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    code = f"""
import pathlib, time
from movierec_assets.host.supervision import Child
from movierec_assets.serving.online import errand
child = Child("A worker", ["-c", f"import time; from {{errand.__name__}} import *; end_with_parent(); time.sleep(600)"])
child.look()
pathlib.Path({str(told)!r}).write_text(str(child.pid))
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        wait_until(lambda: told.exists() and bool(told.read_text()), "the child")
        parent.kill()
    pid = int(told.read_text())
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, "its end")
