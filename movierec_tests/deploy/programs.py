"""The programs of the compose file as processes of this machine, on free ports, with a state directory of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from movierec_assets.host.environment import variables
from movierec_assets.settings import PROJECT_ROOT, Settings
from movierec_tests.deploy.compose import DEPLOY, SERVICES, default_of, environment_of, image_environment

PORTS = {"mlflow": 5000, "code": 4000, "webserver": 3000, "api": 8000, "app": 8501}
_MODULES = {
    "dagster": "dagster",
    "dagster-webserver": "dagster_webserver",
    "movierec": "movierec_assets.cli",
}
_STOP_SECONDS = 20


class Programs:
    """Servers of the compose file, by service.

    Parameters
    ----------
    settings : Settings
        With the database and the state directory.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ports = {name: _free_port() for name in PORTS}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._workspace = settings.state / "workspace.yaml"
        workspace = (DEPLOY / "workspace.yaml").read_text(encoding="utf-8").replace("host: code", "host: 127.0.0.1")
        self._workspace.write_text(workspace.replace(str(PORTS["code"]), str(self.ports["code"])), encoding="utf-8")

    def address(self, service: str) -> str:
        """Address of a server of HTTP."""
        return f"http://127.0.0.1:{self.ports[service]}"

    def log(self, service: str) -> Path:
        """File with what a program printed."""
        return self.settings.state / f"{service}.log"

    def start(self, service: str) -> None:
        """Start the program of a service."""
        with self.log(service).open("wb") as log:
            self.processes[service] = subprocess.Popen(
                self._command(service),
                env=self._environment(service),
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.settings.state,
            )

    def end(self, service: str) -> None:
        """End a program, as Docker does."""
        process = self.processes[service]
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        process.kill()
        process.wait()

    def _command(self, service: str) -> list[str]:
        program, *words = map(default_of, SERVICES[service]["command"])
        changes = {
            "0.0.0.0": "127.0.0.1",
            "/app/workspace.yaml": str(self._workspace),
            "file:///state": self.settings.state.as_uri(),
        }
        if service in PORTS:
            changes[f"--port={PORTS[service]}"] = f"--port={self.ports[service]}"
        for old, new in changes.items():
            words = [word.replace(old, new) for word in words]
        return [sys.executable, *(words if program == "python" else ["-m", _MODULES[program], *words])]

    def _environment(self, service: str) -> dict[str, str]:
        given = image_environment() | environment_of(service)
        own = variables(self.settings) | {
            "MOVIEREC_DATABASE_URL": self.settings.databases.ratings,
            "MLFLOW_BACKEND_STORE_URI": self.settings.databases.mlflow,
            "MOVIEREC_DAGSTER_WEBSERVER": self.address("webserver"),
            "MOVIEREC_APP_API_URL": self.address("api"),
            "MOVIEREC_APP_API_KEY_FILE": "",
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(PROJECT_ROOT),
            "HOME": str(self.settings.state),
            "MPLCONFIGDIR": str(self.settings.state / "cache"),
        }
        return {name: value for name, value in (given | own).items() if name != "PGPASSFILE"}


@contextmanager
def programs(settings: Settings) -> Iterator[Programs]:
    """Programs that end with the context."""
    found = Programs(settings)
    try:
        yield found
    finally:
        for service in found.processes:
            found.end(service)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
