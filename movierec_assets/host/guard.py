"""A process that ends the child processes of a killed command: `python -m movierec_assets.host.guard PID TOKEN`.

Belongs here: waiting for the command to end, then ending the processes that have its token. Does not: the
end of other commands, which end their child processes themselves unless SIGKILL kills them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from contextlib import suppress

import psutil

VARIABLE = "MOVIEREC_GUARDED_BY"
_POLL_SECONDS = 0.5
_TERMINATION_SECONDS = 5.0


def start() -> str:
    """Start a guard of this process; returns the token for the environment of its child processes."""
    token = uuid.uuid4().hex
    subprocess.Popen(
        [sys.executable, "-m", __spec__.name, str(os.getpid()), token],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return token


def guard(pid: int, token: str) -> None:
    """Wait for a process to end, then end all processes with the token in their environment."""
    with suppress(psutil.NoSuchProcess):
        owner = psutil.Process(pid)
        # Not owner.wait(): a process that ended stays a zombie until its parent reads the exit status.
        while owner.is_running() and owner.status() != psutil.STATUS_ZOMBIE:
            time.sleep(_POLL_SECONDS)
    orphans = _processes_with(token)
    for process in orphans:
        with suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(orphans, timeout=_TERMINATION_SECONDS)
    for process in _processes_with(token):
        with suppress(psutil.Error):
            process.kill()


def _processes_with(token: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(VARIABLE) == token:
                found.append(process)
    return found


if __name__ == "__main__":
    guard(int(sys.argv[1]), sys.argv[2])
