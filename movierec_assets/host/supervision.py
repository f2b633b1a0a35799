"""Processes that are started again when they end by themselves.

Belongs here: one such process, and several that end together. Does not: which processes (`api`). `honcho`, which runs
the servers of `movierec up`, ends all when one ends.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

STOP_SECONDS = 10
"""Processes that take longer to end are killed."""
STEADY_SECONDS = 10.0
"""A process that lived for so long is started again at once; one that ended sooner, after a pause that doubles."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0

_log = logging.getLogger("movierec.api")


class Child:
    """A process that is started again when it ends by itself. It ends with this process, see `errand.end_with_parent`.

    Parameters
    ----------
    name : str
        For people.
    arguments : sequence of str
        For the interpreter.
    environment : mapping, optional
        Variables in addition to those of this process.
    descriptors : sequence of int, optional
        Files that it inherits.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        self.name = name
        self._command = [sys.executable, *arguments]
        self._environment = dict(environment or {})
        self._descriptors = tuple(descriptors)
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._failures = 0
        self._due: float | None = 0.0

    @property
    def pid(self) -> int | None:
        """Process id; None while it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def look(self) -> None:
        """Start the process, if it does not run and that is due."""
        if self._process is not None and self._due is None:
            status = self._process.poll()
            if status is not None:
                self._plan(status)
        if self._due is not None and time.monotonic() >= self._due:
            self._start()

    def _plan(self, status: int) -> None:
        """Decide when to start the process again."""
        now = time.monotonic()
        lived = now - self._started
        self._failures = 0 if lived > STEADY_SECONDS else self._failures + 1
        pause = 0.0 if self._failures == 0 else min(FIRST_PAUSE * 2 ** (self._failures - 1), LONGEST_PAUSE)
        self._due = now + pause
        how = f"by signal {-status}" if status < 0 else f"with exit status {status}"
        again = f" in {pause:g} s" if pause else ""
        _log.warning("%s ended %s after %.1f s; it is started again%s.", self.name, how, lived, again)

    def _start(self) -> None:
        self._started, self._due = time.monotonic(), None
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,  # closed when this process ends, however it ends
            env=os.environ | self._environment,
            pass_fds=self._descriptors,
            start_new_session=True,  # Ctrl-C reaches this process, which ends the others in order
        )

    def end(self) -> None:
        """Ask the process to end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait(self, until: float) -> None:
        """Wait for the end up to a moment of the monotonic clock, then kill the process."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            _log.warning("%s did not end in %d s, and was killed.", self.name, STOP_SECONDS)
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def end(children: Sequence[Child]) -> None:
    """End processes together."""
    for child in children:
        child.end()
    until = time.monotonic() + STOP_SECONDS
    for child in children:
        child.wait(until)
