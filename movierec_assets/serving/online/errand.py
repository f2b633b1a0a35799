"""A process that does one thing for the keeper, and prints one line.

Belongs here: starting and ending it, on both sides. Does not: what it does (`user_states`, `registry_page`).
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from movierec_assets.errors import ExplainedError


class Errand:
    """A process of a module of this package.

    Parameters
    ----------
    module : str
    *arguments : str
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,  # closed when the keeper ends, however it ends
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # All cores belong to the requests.
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def result(self) -> tuple[str | None, str]:
        """The line that it printed, None when it failed; and the last line of its errors. Waits for its end."""
        printed, errors = self._process.communicate()
        lines = [line for line in errors.splitlines() if line.strip()]
        return printed.strip() if self._process.returncode == 0 else None, lines[-1] if lines else ""

    def stop(self) -> None:
        """End the process, if it has not ended."""
        if not self.ended:
            self._process.kill()
        with suppress(OSError, ValueError):
            self._process.communicate()


def end_with_parent(end: Callable[[], None] = lambda: os._exit(1)) -> None:
    """End this process as soon as the parent has ended, which closes the pipe that is the standard input.

    Parameters
    ----------
    end : callable, optional
        Ends it.
    """

    def wait() -> None:
        with suppress(OSError):
            while os.read(0, 1024):
                pass
        end()

    threading.Thread(target=wait, daemon=True).start()


def log_lines() -> None:
    """Log to the standard error in lines whose level `movierec up` recognizes."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%Y/%m/%d %H:%M:%S")
    logging.getLogger("movierec").setLevel(logging.INFO)


def explained(work: Callable[[], None]) -> None:
    """Do the work; an ExplainedError ends the process with its message."""
    try:
        work()
    except ExplainedError as error:
        sys.exit(" ".join(str(error).split()))
