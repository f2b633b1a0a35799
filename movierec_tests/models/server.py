"""MLflow's server in a process of its own.

Belongs here: starting and ending it. Does not: claims.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import requests

from movierec_tests.waiting import wait_until


@contextmanager
def mlflow_server(store: str, artifacts: Path) -> Iterator[str]:
    """MLflow's server on a database, with the artifacts of a directory, as `movierec up` starts it; yields its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "movierec_assets.host.mlflow_server", "--workers", "1"]
    options = ["--host", "127.0.0.1", "--port", str(port)]
    options += ["--backend-store-uri", store, "--artifacts-destination", artifacts.as_uri()]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, "the server ended"
        try:
            return requests.get(f"{address}/health", timeout=5).ok
        except requests.RequestException:
            return False

    try:
        wait_until(answers, "MLflow's server")
        assert psutil.Process(process.pid).children() == [], "the server is the process that was started"
        yield address
    finally:
        process.terminate()
        process.wait()
