"""The servers of the platform, which start together and stop together.

Belongs here: the programs with their addresses and variables, and their order. Does not: starting one again that ended
(`supervision`), the lines that they print (`server_lines`), or runs (`run_watch`).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import requests

from movierec_assets.host import CommandError, app, guard, run_watch
from movierec_assets.host.listeners import ServersListener
from movierec_assets.host.server_lines import ServerLines
from movierec_assets.host.supervision import Child, end
from movierec_assets.settings import Settings

AUTOMATION = "MOVIEREC_AUTOMATION"
"""On here, unless the user has said otherwise."""

HOST = "127.0.0.1"
READY_SECONDS = 120
STOP_SECONDS = 20.0
"""Servers that take longer to end are killed. A run in progress ends within this time."""
LOOK_SECONDS = 0.2
_HEALTH = {"App": "/_stcore/health", "Dagster": "/server_info"}
"""Paths that answer once a server does; of others, /health."""
LOCATION = "movierec_assets"
"""Name of the code location, as in the project's workspace.yaml."""


def serve(settings: Settings, listener: ServersListener) -> int:
    """Run the API, the app, MLflow and Dagster (code server, webserver, daemon) on running databases until interrupted.

    A server that ends by itself is started again; the others go on. One that ends soon after its first start, or again
    and again, ends all.

    Returns
    -------
    int
        0 after Ctrl-C or a request to end; else the exit status of the server that ended by itself.

    Raises
    ------
    CommandError
        When a port is taken.
    """
    addresses = _free_addresses(settings)
    lines = ServerLines(settings.state / "logs" / "servers", listener)
    stop = threading.Event()
    # A closed terminal ends the servers as Ctrl-C does.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    # Paths of sockets must be short, and the state directory may be anywhere.
    with tempfile.TemporaryDirectory(prefix="movierec-") as directory:
        code = Path(directory) / "code"
        servers = _servers(settings, lines, listener, code)
        listener.starting()
        threading.Thread(target=_report, args=(addresses, lines.directory, listener, stop), daemon=True).start()
        try:
            failed = _look_after(servers, code, stop)
            if failed is None:
                listener.stopping()
        finally:
            stop.set()
            end(servers, STOP_SECONDS)
            lines.close()
    if failed is None:
        return 0
    status = failed.status or 0
    lines.report_death(failed.name, status)
    return 128 - status if status < 0 else status or 1


def _free_addresses(settings: Settings) -> dict[str, str]:
    """Addresses of the servers by name, whose ports are free."""
    _require_free("Dagster", settings.dagster_port, "MOVIEREC_DAGSTER_PORT")
    _require_free("the API", settings.api_port, "MOVIEREC_API_PORT")
    addresses = {"API": settings.api_address, "Dagster": f"http://{HOST}:{settings.dagster_port}"}
    if app.is_installed():
        _require_free("the app", settings.app_port, "MOVIEREC_APP_PORT")
        addresses = {"App": settings.app_address, **addresses}
    if settings.mlflow_tracking_uri is None:
        _require_free("MLflow", settings.mlflow_port, "MOVIEREC_MLFLOW_PORT")
        addresses["MLflow"] = f"http://{HOST}:{settings.mlflow_port}"
    return addresses


def _servers(settings: Settings, lines: ServerLines, listener: ServersListener, code: Path) -> list[Child]:
    """All servers; the code server is the first, because Dagster's others ask it."""
    workspace = code.with_name("workspace.yaml")
    location = {"grpc_server": {"socket": str(code), "location_name": LOCATION}}
    workspace.write_text(json.dumps({"load_from": [location]}), encoding="utf-8")
    environment = {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore", guard.VARIABLE: guard.start()}
    environment[AUTOMATION] = os.environ.get(AUTOMATION, "true")

    def server(
        name: str, arguments: Sequence[str], more: Mapping[str, str] | None = None, *, alone: bool = True
    ) -> Child:
        return Child(
            name,
            arguments,
            environment | dict(more or {}),
            # Not in the project directory, where a .env of another state directory would be read.
            directory=str(settings.state),
            output=partial(lines.write, name),
            warn=listener.warned,
            alone=alone,
            gives_up=True,
        )

    found = [
        # Runs are child processes of the code server, and go on without it.
        server("code", _code_command(code), alone=False),
        server("webserver", _webserver_command(settings, workspace)),
        server("daemon", _daemon_command(workspace)),
        server("api", _api_command()),
    ]
    if app.is_installed():
        found.append(server("app", _app_command(settings)))
    else:
        listener.warned(f"There is no app without Streamlit: {app.INSTALL}, then start again.")
    if settings.mlflow_tracking_uri is None:
        found.append(server("mlflow", _mlflow_command(settings), _mlflow_environment(settings)))
    return found


def _look_after(servers: Sequence[Child], code: Path, stop: threading.Event) -> Child | None:
    """Start servers, and start them again, until `stop`; returns the one for which that does not help."""
    while not stop.is_set():
        for server in servers:
            if code.exists() or server.name not in ("webserver", "daemon"):
                server.look()
            if server.hopeless:
                return server
        stop.wait(LOOK_SECONDS)
    return None


def _code_command(code: Path) -> list[str]:
    arguments = ["--module-name", "movierec_assets.definitions", "--location-name", LOCATION]
    return ["-m", "dagster", "api", "grpc", "--socket", str(code), *arguments]


def _webserver_command(settings: Settings, workspace: Path) -> list[str]:
    port = str(settings.dagster_port)
    return ["-m", "dagster_webserver", "-w", str(workspace), "-h", HOST, "-p", port, "--live-data-poll-rate", "2000"]


def _daemon_command(workspace: Path) -> list[str]:
    return ["-m", "movierec_assets.host.daemon", "-w", str(workspace)]


def _api_command() -> list[str]:
    return ["-m", "movierec_assets.cli", "api"]


def _app_command(settings: Settings) -> list[str]:
    return app.command(settings)


def _mlflow_command(settings: Settings) -> list[str]:
    port = settings.mlflow_port
    hosts = f"{HOST}:{port},localhost:{port}"
    destination = ["--artifacts-destination", settings.artifacts.as_uri()]
    return [
        *("-m", "movierec_assets.host.mlflow_server", "--host", HOST, "--port", str(port), "--workers", "1"),
        *(*destination, "--allowed-hosts", hosts),
    ]


def _mlflow_environment(settings: Settings) -> dict[str, str]:
    # The URL holds a password, which all users of the machine could read in arguments. Without job execution the
    # server needs a fifth of the memory and half the time to start.
    return {
        "MLFLOW_BACKEND_STORE_URI": settings.databases.mlflow,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def _require_free(server: str, port: int, variable: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise CommandError(
                f"Port {port}, where {server} would listen, is taken ({error.strerror}). "
                f"End the program that uses it, or choose another port with {variable}."
            ) from error


def _report(addresses: dict[str, str], logs: Path, listener: ServersListener, ended: threading.Event) -> None:
    """Report that the servers answer, then the runs that start and end."""
    since = datetime.now(UTC)
    _report_answers(addresses, logs, listener, ended)
    if not ended.is_set():
        # Not earlier: it imports Dagster, and a process that is started meanwhile may get stuck in an import.
        run_watch.watch(listener, ended, since)


def _report_answers(addresses: dict[str, str], logs: Path, listener: ServersListener, ended: threading.Event) -> None:
    deadline = time.monotonic() + READY_SECONDS
    waiting = dict(addresses)
    while waiting and time.monotonic() < deadline and not ended.is_set():
        for name, address in list(waiting.items()):
            path = _HEALTH.get(name, "/health")
            with suppress(requests.RequestException):
                if requests.get(address + path, timeout=2).ok:
                    del waiting[name]
        ended.wait(0.5)
    if ended.is_set():
        return
    if waiting:
        listener.warned(f"Not answering after {READY_SECONDS} s: {', '.join(waiting)}. See the files in {logs}.")
    else:
        listener.answering(addresses, logs)
