"""The servers of the platform, which start together and stop together.

Belongs here: the programs with their addresses and variables; `honcho` supervises them. Does not: the lines that they
print (`server_lines`), or runs (`run_watch`).
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import honcho.manager
import requests
from honcho.manager import Manager

from movierec_assets.host import CommandError, guard, run_watch
from movierec_assets.host.api import address_of
from movierec_assets.host.listeners import ServersListener
from movierec_assets.host.server_lines import ServerLines
from movierec_assets.settings import Settings

AUTOMATION = "MOVIEREC_AUTOMATION"
"""On here, unless the user has said otherwise."""

HOST = "127.0.0.1"
READY_SECONDS = 120
STOP_SECONDS = 20
"""Servers that take longer to end are killed. A run in progress ends within this time."""


def serve(settings: Settings, listener: ServersListener) -> int:
    """Run the API, MLflow and Dagster (webserver, daemon, code server) on running databases until interrupted.

    Returns
    -------
    int
        0 after Ctrl-C or a request to end; else the exit status of the server that ended by itself.

    Raises
    ------
    CommandError
        When a port is taken.
    """
    _require_free("Dagster", settings.dagster_port, "MOVIEREC_DAGSTER_PORT")
    _require_free("the API", settings.api_port, "MOVIEREC_API_PORT")
    own_mlflow = settings.mlflow_tracking_uri is None
    addresses = {"API": address_of(settings), "Dagster": f"http://{HOST}:{settings.dagster_port}"}
    honcho.manager.KILL_WAIT = STOP_SECONDS
    quiet = {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore"}
    environment = {AUTOMATION: "true"} | os.environ | quiet | {guard.VARIABLE: guard.start()}
    lines = ServerLines(settings.state / "logs" / "servers", listener)
    manager = Manager(lines)
    if own_mlflow:
        _require_free("MLflow", settings.mlflow_port, "MOVIEREC_MLFLOW_PORT")
        addresses["MLflow"] = f"http://{HOST}:{settings.mlflow_port}"
        manager.add_process("mlflow", _mlflow_command(settings), env=environment | _mlflow_environment(settings))
    # Not in the project directory, where a .env of another state directory would be read.
    manager.add_process("dagster", _dagster_command(settings), env=environment, cwd=str(settings.state))
    manager.add_process("api", _api_command(), env=environment, cwd=str(settings.state))
    # A closed terminal ends the servers as Ctrl-C does.
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    listener.starting()
    ended = threading.Event()
    threading.Thread(target=_report, args=(addresses, lines.directory, listener, ended), daemon=True).start()
    manager.loop()
    ended.set()
    lines.close()
    if manager.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM):
        return 0
    status = int(manager.returncode or 0)
    lines.report_death(status)
    return status or 1


def _program(name: str) -> str:
    # Not its script: odd characters in the path break the first line of scripts, which names the interpreter.
    return f"{shlex.quote(sys.executable)} -m {name}"


def _dagster_command(settings: Settings) -> str:
    workspace = shlex.quote(str(settings.home / "workspace.yaml"))
    return (
        f"exec {_program('dagster')} dev -w {workspace} -h {HOST} -p {settings.dagster_port} --live-data-poll-rate 2000"
    )


def _api_command() -> str:
    return f"exec {_program('movierec_assets.cli')} api"


def _mlflow_command(settings: Settings) -> str:
    artifacts = shlex.quote(settings.artifacts.as_uri())
    port = settings.mlflow_port
    return (
        f"exec {_program('mlflow')} server --host {HOST} --port {port} --workers 1 "
        f"--artifacts-destination {artifacts} --allowed-hosts {HOST}:{port},localhost:{port}"
    )


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
            path = "/server_info" if name == "Dagster" else "/health"
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
