"""Tools for tests of the embedded server: processes with a lease, directories, and looking at servers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from movierec_assets.postgres import keeper as postgres_keeper
from movierec_assets.postgres.binaries import installations
from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_tests.waiting import PATIENCE

AS_ROOT = os.geteuid() == 0
PROJECT = Path(__file__).resolve().parents[2]
INSTALLATIONS = list(installations())

HOLD = """
import subprocess, sys
from pathlib import Path
from movierec_assets.postgres.server import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1])).lease() as url:
    if sys.argv[2:]:
        subprocess.Popen(sys.argv[2:], close_fds=False)
    print(url, flush=True)
    sys.stdin.read()
"""


class Holder:
    """Another process with a lease."""

    def __init__(self, state: Path, *child: str) -> None:
        path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(state), *child],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
        )

    @property
    def url(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def end(self) -> int:
        self.process.communicate(timeout=PATIENCE)
        return self.process.returncode

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)


@contextmanager
def open_directory() -> Iterator[Path]:
    """Make a directory that every account can enter, with a name that breaks careless quoting."""
    # A server that is ending may still write while the directory is removed.
    with tempfile.TemporaryDirectory(prefix="movierec ", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)
        yield Path(directory) / "Zustände $HOME `é`"


def query(url: str, statement: str) -> Any:
    with closing(psycopg2.connect(url, connect_timeout=int(PATIENCE))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone() if cursor.description else None


def stopped(server: EmbeddedPostgres) -> Callable[[], bool]:
    return lambda: server.url() is None


def kill_server(server: EmbeddedPostgres) -> None:
    """Kill the main process of a server that runs."""
    pid = server.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def keepers(state: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = process.cmdline()
            if postgres_keeper.MODULE in command and str(state / "postgres") in command:
                found.append(process)
    return found


def listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


def port_of(url: str) -> int:
    return int(url.rsplit(":", maxsplit=1)[1].split("/", maxsplit=1)[0])
