"""The service under test: what `movierec api` starts in a state directory, with the floor route in its application.

Belongs here: starting it, its processes, and its end. Does not: asking it.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import httpx
import psutil

from movierec_assets.host import CommandError
from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_assets.serving.online import stored
from movierec_tests.benchmarks.api.load import HOST
from movierec_tests.benchmarks.api.server import WORKER

_LONGEST_START = 120.0
_LONGEST_STATES = 600.0
_SECONDS_TO_END = 30.0
_SECONDS_TO_NOTICE = 8.0
"""Until a worker has noticed a new snapshot."""
_PAUSE = 0.02
_SHOWN_LINES = 30


@dataclass(frozen=True)
class Start:
    """Seconds from the start of the command until the service is ready.

    Attributes
    ----------
    first : float
        With nothing prepared in the state directory.
    again : float
        After an earlier start.
    """

    first: float
    again: float


@dataclass(frozen=True)
class Service:
    """A service that runs.

    Attributes
    ----------
    port : int
    workers : list of int
        Process ids.
    keeper : int
        Process id.
    seconds_to_ready : float
    """

    port: int
    workers: list[int]
    keeper: int
    seconds_to_ready: float


@contextmanager
def running(environment: Mapping[str, str], *, workers: int) -> Iterator[Service]:
    """Start the service on a free port, and stop it with the block.

    Raises
    ------
    CommandError
        When it ends, or is not ready within two minutes.
    """
    port = free_port()
    began = time.monotonic()
    variables = {"MOVIEREC_API_PORT": str(port), "MOVIEREC_API_WORKERS": str(workers)}
    command = [sys.executable, "-m", "movierec_tests.benchmarks.api.server"]
    with tempfile.TemporaryFile("w+", errors="replace") as lines:
        process = subprocess.Popen(
            command,
            env={**environment, **variables},
            stdin=subprocess.PIPE,  # closed when this process ends, however it ends
            stdout=lines,  # a line for each request
            stderr=lines,
            start_new_session=True,
        )
        try:
            _wait_until_ready(process, port, lines)
            seconds = time.monotonic() - began
            keeper, found = _processes(process.pid)
            yield Service(port, found, keeper, seconds)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS_TO_END)
            if process.poll() is None:
                process.kill()
            process.wait()


def forget(state: Path) -> None:
    """Remove what earlier starts prepared for workers."""
    shutil.rmtree(state / "serving", ignore_errors=True)


def wait_for_states(state: Path) -> float:
    """Wait until users with nothing new are answered from stored states; returns the seconds.

    Raises
    ------
    CommandError
        When there are none after ten minutes.
    """
    began = time.monotonic()
    directory = stored.directory_of(state)
    while time.monotonic() < began + _LONGEST_STATES:
        pointer = stored.read_pointer(directory)
        if pointer is not None and pointer.users is not None:
            time.sleep(_SECONDS_TO_NOTICE)
            return time.monotonic() - began
        time.sleep(0.5)
    raise CommandError(f"The keeper made no states of users within {_LONGEST_STATES:g} s.")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def postmaster(state: Path) -> int:
    """Process id of the main process of the Postgres server of a state directory.

    Raises
    ------
    CommandError
        When it does not run.
    """
    pid = EmbeddedPostgres(state).status().pid
    if pid is None:
        raise CommandError(f"Postgres does not run in {state}.")
    return pid


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, lines: TextIO) -> None:
    deadline = time.monotonic() + _LONGEST_START
    with httpx.Client(base_url=f"http://{HOST}:{port}", timeout=5.0) as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise CommandError(f"The API ended with exit status {process.returncode}:\n{_last(lines)}")
            with suppress(httpx.HTTPError):
                if client.get("/health/ready").status_code == httpx.codes.OK:
                    return
            time.sleep(_PAUSE)
    raise CommandError(f"The API was not ready within {_LONGEST_START:g} s:\n{_last(lines)}")


def _last(lines: TextIO) -> str:
    lines.seek(0)
    return "".join(lines.readlines()[-_SHOWN_LINES:])


def _processes(root: int) -> tuple[int, list[int]]:
    """Process ids of the keeper and of the workers under a process."""
    commands = {}
    for child in psutil.Process(root).children(recursive=True):
        with suppress(psutil.Error):
            commands[child.pid] = " ".join(child.cmdline())
    keeper = [pid for pid, command in commands.items() if "serving.online.keeper" in command]
    workers = [pid for pid, command in commands.items() if WORKER in command]
    if len(keeper) != 1 or not workers:
        raise CommandError(f"Found no keeper or no worker among the processes of the API: {commands}")
    return keeper[0], workers
