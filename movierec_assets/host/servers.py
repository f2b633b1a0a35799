"""`movierec up`: the servers of the platform, started together and stopped together.

Belongs here: which programs run with which addresses. Supervising them is `honcho`'s work; what is shown of their lines
is `server_lines`', and of runs `run_watch`'.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
import threading
import time
from datetime import UTC, datetime

import honcho.manager
import requests
from honcho.manager import Manager
from rich.console import Console
from rich.markup import escape

from movierec_assets.host import CommandError, guard, run_watch
from movierec_assets.host.server_lines import ServerLines
from movierec_assets.settings import Settings

HOST = "127.0.0.1"
READY_SECONDS = 120
STOP_SECONDS = 20
"""How long servers may take to end before they are killed; a run in progress ends first."""

_QUIET = {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore"}


def serve(settings: Settings, console: Console, *, verbose: bool = False) -> int:
    """Run the MLflow server and Dagster (webserver, daemon, code server) until interrupted.

    Parameters
    ----------
    settings : Settings
        With the databases ready.
    console : Console
        Told the addresses as soon as they answer, then runs that start and end, warnings and errors.
    verbose : bool
        Show every line of the servers as well.

    Returns
    -------
    int
        0 after Ctrl-C or a request to end; the exit status of a server that ended by itself otherwise.

    Raises
    ------
    CommandError
        When a port is taken.
    """
    _require_free("Dagster", settings.dagster_port, "MOVIEREC_DAGSTER_PORT")
    own_mlflow = settings.mlflow_tracking_uri is None
    addresses = {"Dagster": f"http://{HOST}:{settings.dagster_port}"}
    honcho.manager.KILL_WAIT = STOP_SECONDS
    environment = os.environ | _QUIET | {guard.VARIABLE: guard.start()}
    lines = ServerLines(settings.state / "logs" / "servers", console, verbose=verbose)
    manager = Manager(lines)
    if own_mlflow:
        _require_free("MLflow", settings.mlflow_port, "MOVIEREC_MLFLOW_PORT")
        addresses["MLflow"] = f"http://{HOST}:{settings.mlflow_port}"
        manager.add_process("mlflow", _mlflow_command(settings), env=environment | _mlflow_environment(settings))
    # Elsewhere than in the project, where a .env of another state directory would be read.
    manager.add_process("dagster", _dagster_command(settings), env=environment, cwd=str(settings.state))
    # A closed terminal ends the servers as Ctrl-C does.
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    console.print("[dim]Starting the servers[/]")
    ended = threading.Event()
    threading.Thread(target=_tell, args=(addresses, lines, console, ended), daemon=True).start()
    manager.loop()
    ended.set()
    lines.close()
    if manager.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM):
        return 0
    status = int(manager.returncode or 0)
    lines.show_death(status)
    return status or 1


def _program(name: str) -> str:
    # Not its script: there, odd characters in the path break the line that names the interpreter.
    return f"{shlex.quote(sys.executable)} -m {name}"


def _dagster_command(settings: Settings) -> str:
    workspace = shlex.quote(str(settings.home / "workspace.yaml"))
    return (
        f"exec {_program('dagster')} dev -w {workspace} -h {HOST} -p {settings.dagster_port} --live-data-poll-rate 2000"
    )


def _mlflow_command(settings: Settings) -> str:
    artifacts = shlex.quote(settings.artifacts.as_uri())
    port = settings.mlflow_port
    return (
        f"exec {_program('mlflow')} server --host {HOST} --port {port} --workers 1 "
        f"--artifacts-destination {artifacts} --allowed-hosts {HOST}:{port},localhost:{port}"
    )


def _mlflow_environment(settings: Settings) -> dict[str, str]:
    # The URL holds a password, which arguments would show to everybody on the machine. Without job execution the
    # server needs a fifth of the memory and half the time to start.
    return (
        os.environ
        | {
            "MLFLOW_BACKEND_STORE_URI": settings.databases.mlflow,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        | _QUIET
    )


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


def _tell(addresses: dict[str, str], lines: ServerLines, console: Console, ended: threading.Event) -> None:
    """Say where the servers are, then which runs start and end."""
    since = datetime.now(UTC)
    _announce(addresses, lines, console, ended)
    if ended.is_set():
        return
    # Not earlier: Dagster is imported for it, and a process that is started meanwhile may get stuck in an import.
    run_watch.watch(console, ended, since)


def _announce(addresses: dict[str, str], lines: ServerLines, console: Console, ended: threading.Event) -> None:
    """Say where the servers are, once they answer."""
    deadline = time.monotonic() + READY_SECONDS
    waiting = dict(addresses)
    while waiting and time.monotonic() < deadline and not ended.is_set():
        for name, address in list(waiting.items()):
            path = "/server_info" if name == "Dagster" else "/health"
            try:
                answers = requests.get(address + path, timeout=2).ok
            except requests.RequestException:
                answers = False
            if answers:
                del waiting[name]
        ended.wait(0.5)
    if ended.is_set():
        return
    if waiting:
        console.print(
            f"[yellow]Not answering after {READY_SECONDS} s: {', '.join(waiting)}. "
            f"See the files in {escape(str(lines.directory))}.[/]",
            soft_wrap=True,
        )
        return
    console.print()
    for name, address in addresses.items():
        console.print(f"[bold green]{name:<8}[/] [link={address}]{address}[/link]")
    console.print(f"[dim]Lines of the servers are in {escape(str(lines.directory))}[/]", soft_wrap=True)
    console.print("[dim]Ctrl-C stops everything.[/]\n")
