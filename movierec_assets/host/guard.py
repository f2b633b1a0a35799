"""Ends what a killed command leaves behind: `python -m movierec_assets.host.guard PID TOKEN`.

Belongs here: nothing but waiting for one process to end, and ending those that carry its token. A command that ends
by itself, or by any signal but SIGKILL, ends its processes itself; then there is nothing left to do here.
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
_PATIENCE_SECONDS = 5.0


def start() -> str:
    """Start a guard over this process; returns the token for the environment of what it starts."""
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
    """Wait for a process to end, then end all that carry the token in their environment."""
    with suppress(psutil.NoSuchProcess):
        owner = psutil.Process(pid)
        # Not owner.wait(): a process that ended stays a zombie until somebody asks for its exit status.
        while owner.is_running() and owner.status() != psutil.STATUS_ZOMBIE:
            time.sleep(_POLL_SECONDS)
    orphans = _carrying(token)
    for process in orphans:
        with suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(orphans, timeout=_PATIENCE_SECONDS)
    for process in _carrying(token):
        with suppress(psutil.Error):
            process.kill()


def _carrying(token: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(VARIABLE) == token:
                found.append(process)
    return found


if __name__ == "__main__":
    guard(int(sys.argv[1]), sys.argv[2])
