"""Processes that are started again when they end by themselves.

Belongs here: one such process, and several that end together. Does not: which processes (`api`, `servers`).
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO

STOP_SECONDS = 10.0
"""Processes that take longer to end are killed."""
STEADY_SECONDS = 10.0
"""A process that lived for so long is started again at once; one that ended sooner, after a pause that doubles."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0
SHORT_LIVES = 5
"""A process that ended so many times in a row, each time soon, does not get better by another start."""
AGAIN = 75
"""Exit status of a process that asks to be started again, for a reason outside of it."""

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
    directory : str, optional
        Where it works.
    output : callable, optional
        Called with each line that it prints, in a thread; else it prints where this process does.
    warn : callable
        Called with a line about each end.
    alone : bool
        Whether processes that it started are killed before it is started again; they may hold its port.
    gives_up : bool
        Whether it becomes hopeless, instead of being started for ever.

    Attributes
    ----------
    status : int or None
        Exit status of its latest end, negative for a signal; None before the first.
    hopeless : bool
        Whether its first life was short, or too many in a row were. It is not started again then. A life that a signal
        or AGAIN ended says nothing about the next one, unless too many in a row were short.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        descriptors: Sequence[int] = (),
        *,
        directory: str | None = None,
        output: Callable[[str], None] | None = None,
        warn: Callable[[str], None] = _log.warning,
        alone: bool = False,
        gives_up: bool = False,
    ) -> None:
        self.name = name
        self.status: int | None = None
        self.hopeless = False
        self._command = [sys.executable, *arguments]
        self._environment = dict(environment or {})
        self._descriptors = tuple(descriptors)
        self._directory = directory
        self._output = output
        self._warn = warn
        self._alone = alone
        self._gives_up = gives_up
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._failures = 0
        self._steady = False
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
        self._steady = self._steady or lived > STEADY_SECONDS
        self._failures = 0 if lived > STEADY_SECONDS else self._failures + 1
        self.status = status
        by_itself = status >= 0 and status != AGAIN
        self.hopeless = self._gives_up and ((by_itself and not self._steady) or self._failures >= SHORT_LIVES)
        if self.hopeless:
            return
        pause = 0.0 if self._failures == 0 else min(FIRST_PAUSE * 2 ** (self._failures - 1), LONGEST_PAUSE)
        self._due = now + pause
        how = f"by signal {-status}" if status < 0 else f"with exit status {status}"
        again = f" in {pause:g} s" if pause else ""
        self._warn(f"{self.name} ended {how} after {lived:.1f} s; it is started again{again}.")

    def _start(self) -> None:
        if self._alone:
            self._signal(signal.SIGKILL)
        self._started, self._due = time.monotonic(), None
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,  # closed when this process ends, however it ends
            stdout=None if self._output is None else subprocess.PIPE,
            stderr=None if self._output is None else subprocess.STDOUT,
            cwd=self._directory,
            env=os.environ | self._environment,
            pass_fds=self._descriptors,
            start_new_session=True,  # Ctrl-C reaches this process, which ends the others in order
        )
        if self._output is not None and self._process.stdout is not None:
            threading.Thread(target=_read, args=(self._process.stdout, self._output), daemon=True).start()

    def _signal(self, number: int) -> None:
        """Send a signal to the process and those that it started."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def end(self) -> None:
        """Ask the process, and those that it started, to end."""
        if self._process is not None and self._process.poll() is None:
            self._signal(signal.SIGTERM)

    def wait(self, until: float) -> None:
        """Wait for the end up to a moment of the monotonic clock, then kill the process."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._warn(f"{self.name} did not end in time, and was killed.")
            self._signal(signal.SIGKILL)
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def end(children: Sequence[Child], seconds: float | None = None) -> None:
    """End processes together; those that take longer are killed."""
    for child in children:
        child.end()
    until = time.monotonic() + (STOP_SECONDS if seconds is None else seconds)
    for child in children:
        child.wait(until)


def _read(pipe: IO[bytes], output: Callable[[str], None]) -> None:
    """Hand on the lines of a process until it, and every process that it started, has ended."""
    with pipe:
        for line in pipe:
            # A process whose lines nobody reads would stop; a disk may be full for a while.
            with suppress(OSError):
                output(line.decode("utf-8", "replace").rstrip("\r\n"))
