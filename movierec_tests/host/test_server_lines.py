"""Lines of the servers of `movierec up`: on the screen and in log files."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from movierec_assets.cli import up
from movierec_assets.host import app, guard, server_lines, servers, supervision
from movierec_assets.host.server_lines import ServerLines, level_of
from movierec_assets.settings import Settings
from movierec_tests.waiting import wait_until

STAMP = "\x1b[32m2026-01-02 03:04:05 +0000\x1b[0m"
TICK = f"{STAMP} - dagster.daemon.SensorDaemon - \x1b[34mINFO\x1b[0m - Sensor dead_runs skipped: nothing to do."
FAULT = f"{STAMP} - dagster.daemon.SensorDaemon - \x1b[34mERROR\x1b[0m - \x1b[31mSensor daemon caught an error\x1b[0m"


class Screen(up._Screen):
    """The screen of the command on a console that is no terminal."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.console = Console(file=io.StringIO(), width=80)
        super().__init__(self.console, verbose=verbose)

    @property
    def text(self) -> str:
        return self.console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def screen() -> Screen:
    return Screen()


def _print(lines: ServerLines, text: str, name: str = "dagster") -> None:
    lines.write(name, text)


def test_ticks_go_to_a_file_without_colours_and_only_warnings_and_errors_to_the_screen(
    tmp_path: Path, screen: Screen
) -> None:
    lines = ServerLines(tmp_path / "servers", screen)
    for text in (TICK, FAULT, "Traceback (most recent call last):"):
        _print(lines, text)
    _print(lines, "2026/01/02 03:04:05 INFO:     Application startup complete.", "mlflow")
    _print(lines, "2026/01/02 03:04:05 WARNING mlflow.store: the database is slow", "mlflow")
    lines.close()
    assert screen.text.splitlines() == [
        "dagster: dagster.daemon.SensorDaemon - ERROR - Sensor daemon caught an error",
        "mlflow: WARNING mlflow.store: the database is slow",
    ]
    kept = lines.path("dagster").read_text()
    assert kept.splitlines() == [
        "2026-01-02 03:04:05 +0000 - dagster.daemon.SensorDaemon - INFO - Sensor dead_runs skipped: nothing to do.",
        "2026-01-02 03:04:05 +0000 - dagster.daemon.SensorDaemon - ERROR - Sensor daemon caught an error",
        "Traceback (most recent call last):",
    ]
    assert "startup complete" in lines.path("mlflow").read_text()


def test_verbose_shows_every_line(tmp_path: Path) -> None:
    screen = Screen(verbose=True)
    lines = ServerLines(tmp_path, screen)
    _print(lines, TICK)
    assert " dagster | 2026-01-02 03:04:05 +0000" in screen.text
    assert "Sensor dead_runs skipped" in screen.text
    assert "\x1b" not in screen.text


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("2026-01-02 03:04:05 +0000 - dagster.daemon - WARNING - late", "WARNING"),
        ("2026-01-02 03:04:05 +0000 - dagster-webserver - CRITICAL - gone", "ERROR"),
        ("2026/01/02 03:04:05 ERROR:    [Errno 98] address already in use", "ERROR"),
        ("[2026-01-02 03:04:05 +0000] [77] [ERROR] Worker failed to boot.", "ERROR"),
        ("2026-01-02 03:04:05 +0000 - dagster - INFO - everything - 1f2e - 77 - RUN_SUCCESS - Finished.", None),
        (
            "2026-01-02 03:04:05 +0000 - dagster - ERROR - train - 1f2e - 77 - als_model - STEP_FAILURE - It failed.",
            None,
        ),
        ("2026-01-02 03:04:05 +0000 - dagster - ERROR - train - 1f2e - 77 - RUN_FAILURE - It failed.", None),
        ("2026-01-02 03:04:05 +0000 - dagster - WARNING - train - 1f2e - 77 - als_model - Nobody is left", "WARNING"),
        ("2026-01-02 03:04:05 +0000 - x - WARNING - No cursor for event type DagsterEventType.RUN_FAILURE", None),
        ('127.0.0.1:4 - "GET /ERROR HTTP/1.1" 200 OK', None),
    ],
)
def test_the_level_of_a_line(line: str, level: str | None) -> None:
    assert level_of(line) == level


def test_log_files_have_a_largest_size(tmp_path: Path, screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_lines, "MAX_BYTES", 2_000)
    for start in range(3):
        lines = ServerLines(tmp_path, screen)
        for number in range(100):
            _print(lines, f"start {start}, line {number:06d}")
        lines.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dagster.log", "dagster.log.1"]
    assert all(path.stat().st_size <= 2_000 for path in tmp_path.iterdir())
    assert lines.path("dagster").read_text().splitlines()[-1] == "start 2, line 000099"
    _print(again := ServerLines(tmp_path, screen), "the next start")
    assert again.path("dagster").read_text() == "the next start\n"
    assert "start 2, line 000099" in (tmp_path / "dagster.log.1").read_text()


# Real processes


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings on free ports, and the signal handlers as they were afterwards."""
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.setattr(servers, "_require_free", lambda *_: None)
    monkeypatch.setattr(guard, "start", lambda: "none")
    monkeypatch.setattr(servers, "_code_command", lambda code: python(f"open({str(code)!r}, 'w')", SLEEP))
    monkeypatch.setattr(servers, "_mlflow_command", lambda _: python("print('mlflow is here')", SLEEP))
    monkeypatch.setattr(servers, "_webserver_command", lambda *_: python(SLEEP))
    monkeypatch.setattr(servers, "_api_command", lambda: python(SLEEP))
    monkeypatch.setattr(servers, "_app_command", lambda _: python("print('the app is here')", SLEEP))
    yield Settings(state_dir=tmp_path, dagster_port=1, mlflow_port=2, database_url="postgresql://x@127.0.0.1:9/x")
    for each, handler in before.items():
        signal.signal(each, handler)


SLEEP = "import time; time.sleep(600)"


def python(*lines: str) -> list[str]:
    return ["-c", "; ".join(lines)]


def test_a_server_that_dies_at_its_start_is_reported_with_its_last_lines(
    settings: Settings, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies = ("[print(n) for n in range(1, 31)]", "print('the disk is full')", "import time", "time.sleep(1)", "exit(3)")
    monkeypatch.setattr(servers, "_daemon_command", lambda _: python(*dies))
    assert servers.serve(settings, screen) == 3
    shown = screen.text.splitlines()
    (index,) = [index for index, line in enumerate(shown) if "daemon ended by itself, with exit status 3" in line]
    path = settings.state / "logs" / "servers" / "daemon.log"
    assert str(path) in shown[index]
    assert shown[index + 1 :] == [*(f"  {number}" for number in range(17, 31)), "  the disk is full"]
    assert "mlflow is here" in (path.parent / "mlflow.log").read_text()


def test_a_server_that_was_killed_is_started_again_with_its_helpers_and_the_others_go_on(
    settings: Settings, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "STEADY_SECONDS", 0.0)
    helper = "import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    monkeypatch.setattr(servers, "_daemon_command", lambda _: python(helper, "print(os.getpid())", SLEEP))
    before: list[int] = []

    def kill_then_interrupt() -> None:
        file = settings.state / "logs" / "servers" / "daemon.log"
        wait_until(lambda: file.is_file() and file.read_text().endswith("\n"), "the daemon")
        before.append(int(file.read_text()))
        (child,) = psutil.Process(before[0]).children()
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: file.read_text().count("\n") == 2, "its second start")
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=kill_then_interrupt, daemon=True)
    thread.start()
    assert servers.serve(settings, screen) == 0
    thread.join()
    assert screen.text.splitlines()[1].startswith("daemon ended by signal 9 after ")
    assert (settings.state / "logs" / "servers" / "mlflow.log").read_text() == "mlflow is here\n"


@pytest.mark.parametrize("installed", [True, False])
def test_the_app_is_served_where_streamlit_is_and_else_a_line_says_how_to_get_it(
    settings: Settings, screen: Screen, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    monkeypatch.setattr(servers, "_daemon_command", lambda _: python("print('the daemon is here')", SLEEP))
    monkeypatch.setattr(app, "is_installed", lambda: installed)

    def interrupt() -> None:
        files = [settings.state / "logs" / "servers" / f"{name}.log" for name in ("daemon", "mlflow")]
        files += [files[0].with_name("app.log")] if installed else []
        wait_until(lambda: all(file.is_file() and file.stat().st_size for file in files), "the servers")
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    assert servers.serve(settings, screen) == 0
    assert (settings.state / "logs" / "servers" / "app.log").is_file() == installed
    assert ("movierec-assets[app]" in screen.text) == (not installed)


def test_ctrl_c_stops_all_servers_and_is_no_failure(
    settings: Settings, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "_daemon_command", lambda _: python("print('the daemon is here')", SLEEP))

    def interrupt() -> None:
        files = [settings.state / "logs" / "servers" / f"{name}.log" for name in ("daemon", "mlflow")]
        wait_until(lambda: all(file.is_file() and file.stat().st_size for file in files), "the servers")
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    assert servers.serve(settings, screen) == 0
    assert screen.text == "Starting the servers\nStopping\n"
