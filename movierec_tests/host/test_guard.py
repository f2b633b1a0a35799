"""Child processes of a killed command end."""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil
import pytest

from movierec_tests.waiting import wait_until

OWNER = """
import os, subprocess, sys, time
from movierec_assets.host import guard
environment = os.environ | {guard.VARIABLE: guard.start()}
server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], env=environment)
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
print(server.pid, other.pid, flush=True)
time.sleep(3600)
"""


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_servers_of_a_killed_command_end_and_others_do_not(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        server, other = (psutil.Process(int(pid)) for pid in owner.stdout.readline().split())
        try:
            owner.send_signal(number)
            wait_until(lambda: not is_alive(server), "the end of the server")
            assert is_alive(other)
        finally:
            other.kill()
            owner.kill()
