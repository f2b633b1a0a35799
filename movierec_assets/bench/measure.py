"""Running a command while watching what it costs.

Belongs here: wall time and memory of a process and all it starts.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

_SAMPLE_SECONDS = 0.1


@dataclass(frozen=True)
class Cost:
    """What a command took.

    Attributes
    ----------
    seconds : float
        Wall time.
    peaks : dict of float
        Highest resident memory in MB seen of any one process, by what the process is.
    """

    seconds: float
    peaks: dict[str, float]

    @property
    def peak_mb(self) -> float:
        """Memory of the largest process."""
        return max(self.peaks.values())


def run(command: Sequence[str], environment: Mapping[str, str], *, servers: str) -> Cost:
    """Run a command to its end.

    Parameters
    ----------
    command : sequence of str
    environment : mapping of str
    servers : str
        Part of the command line of servers that the command starts detached from itself.

    Raises
    ------
    subprocess.CalledProcessError
        When it fails; its output is part of the error.
    """
    peaks: dict[str, float] = {}
    done = threading.Event()
    started = time.perf_counter()
    with subprocess.Popen(
        command, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        watcher = threading.Thread(target=_watch, args=(process.pid, servers, peaks, done))
        watcher.start()
        output, _ = process.communicate()
        done.set()
        watcher.join()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command), output)
    return Cost(time.perf_counter() - started, peaks)


def _watch(pid: int, servers: str, peaks: dict[str, float], done: threading.Event) -> None:
    root = psutil.Process(pid)
    while not done.wait(_SAMPLE_SECONDS):
        with suppress(psutil.Error):
            for process in [root, *root.children(recursive=True), *_detached(servers)]:
                with suppress(psutil.Error):
                    name = "command" if process.pid == pid else _kind(process)
                    peaks[name] = max(peaks.get(name, 0.0), process.memory_info().rss / 1e6)


def _detached(servers: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            line = process.cmdline()
            if servers in " ".join(line) or (process.name() == "postgres" and _belongs(process, servers)):
                found.append(process)
    return found


def _belongs(process: psutil.Process, servers: str) -> bool:
    parent = process.parent()
    return parent is not None and servers in " ".join(parent.cmdline())


def _kind(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    for part, kind in (("job execute", "Dagster run"), ("postgres_keeper", "keeper"), ("postgres", "Postgres")):
        if part in line:
            return kind
    return process.name()
