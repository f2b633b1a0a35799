"""A real browser, and the app as people start it.

Belongs here: starting both. Does not: what is done with them (`test_browser_walk`).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_SECONDS = 120
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


def chromium() -> str | None:
    """The browser's program: that of the variable CHROMIUM, else the system's; None without one."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def browsing() -> Iterator[Any]:
    """A browser of Playwright without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def served_app(api: str, port: int, log: Path, more: Mapping[str, str] | None = None) -> Iterator[str]:
    """`movierec app` on an API; yields its address."""
    environment = os.environ | {"MOVIEREC_APP_API_URL": api, "MOVIEREC_APP_PORT": str(port)} | dict(more or {})
    with log.open("wb") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "movierec_assets.cli", "app"],
            env=environment,
            stdout=lines,
            stderr=lines,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(address, process, log)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"The app does not answer: {log.read_text(encoding='utf-8', errors='replace')}")
