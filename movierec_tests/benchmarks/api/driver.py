"""Runs the load generator as a process beside the caller.

Belongs here: its files, and its end. Does not: the load itself (`load`).
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from movierec_assets.host import CommandError
from movierec_tests.benchmarks.api.plan import Found, Plan

_SECONDS_TO_START = 60.0


class RunningLoad:
    """A load that is being sent."""

    def __init__(self, process: subprocess.Popen[bytes], result: Path, limit: float) -> None:
        self._process, self._result, self._limit = process, result, limit
        self._found: Found | None = None

    @property
    def running(self) -> bool:
        """Whether it is still being sent."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Send nothing more."""
        self._process.send_signal(signal.SIGTERM)

    def found(self) -> Found:
        """What it found, after its end.

        Raises
        ------
        CommandError
            When the generator failed.
        """
        if self._found is None:
            if self._process.wait(self._limit):
                raise CommandError("The load generator failed; its output above says why.")
            self._found = Found(**json.loads(self._result.read_text(encoding="utf-8")))
        return self._found


@contextmanager
def started(plan: Plan) -> Iterator[RunningLoad]:
    """Start a load, and end it with the block."""
    with tempfile.TemporaryDirectory(prefix="movierec-load-") as directory:
        paths = Path(directory) / "plan.json", Path(directory) / "found.json"
        paths[0].write_text(json.dumps(asdict(plan)), encoding="utf-8")
        command = [sys.executable, "-m", "movierec_tests.benchmarks.api.load", *map(str, paths)]
        process = subprocess.Popen(command, stdout=2)
        try:
            yield RunningLoad(process, paths[1], plan.seconds + plan.timeout + _SECONDS_TO_START)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def send(plan: Plan) -> Found:
    """Send a load and wait for its end."""
    with started(plan) as load:
        return load.found()
