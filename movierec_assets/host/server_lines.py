"""Lines that the servers of `movierec up` print.

Belongs here: log files of the servers, and the level of a line. Does not: the servers (`servers`), or showing lines
(`cli.up`).
"""

from __future__ import annotations

import logging
import re
import threading
from datetime import datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from movierec_assets.host.listeners import ServersListener

MAX_BYTES = 5_000_000
"""Size of a log file; the file before it is kept."""
LAST_LINES = 15
"""Lines that are reported of a server that ended by itself."""
WARNING, ERROR = "WARNING", "ERROR"

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_LEVEL = re.compile(
    r"""
    (?:^|\s)-\s(?P<dagster>WARNING|ERROR|CRITICAL)\s-\s     # ... - dagster.daemon - ERROR - ...
    | ^(?:[\d/:.\- ]+\s)?(?P<others>WARNING|ERROR|CRITICAL)(?:\s[\w.]+)?:  # 2026/01/01 12:00:00 ERROR mlflow.store: ...
    | ^\[[^\]]+\]\s\[\d+\]\s\[(?P<gunicorn>WARNING|ERROR|CRITICAL)\]  # [time] [pid] [ERROR] ...
    """,
    re.VERBOSE,
)
_RUN_EVENT = re.compile(r" - (?:STEP|RUN|PIPELINE)_[A-Z_]+ - | - ENGINE_EVENT - ")
_TIME = re.compile(r"^\[?[\d/\-]{8,10}[T ][\d:.,]{8,}(?:\s[+-]\d{4})?\]?\s(?:-\s)?")
_IGNORED = ("No cursor for event type",)
"""Warnings of Dagster at its first start, which mean nothing."""


class ServerLines:
    """Log files of the servers.

    Each server has one file in `directory`, with the lines since its start and without colours. One older file is kept.
    The listener gets every line. Any thread may write.
    """

    def __init__(self, directory: Path, listener: ServersListener) -> None:
        self.directory = directory
        self._listener = listener
        self._files: dict[str, RotatingFileHandler] = {}
        self._lock = threading.Lock()
        self._closed = False

    def path(self, name: str) -> Path:
        """Log file of a server."""
        return self.directory / f"{name}.log"

    def write(self, name: str, line: str) -> None:
        """Write a line of a server to its log file, and report it."""
        plain = _COLOUR.sub("", line)
        with self._lock:
            if not self._closed:
                self._file(name).emit(logging.makeLogRecord({"msg": plain}))
        self._listener.line(name, plain, level_of(plain), datetime.now())

    def report_death(self, name: str, status: int) -> None:
        """Report a server that ended by itself and is not started again, with its last lines."""
        path = self.path(name)
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
        self._listener.died(name, status, path, lines[-LAST_LINES:])

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            self._closed = True
            for file in self._files.values():
                file.close()

    def _file(self, name: str) -> RotatingFileHandler:
        if name not in self._files:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._files[name] = RotatingFileHandler(
                self.path(name), maxBytes=MAX_BYTES, backupCount=1, encoding="utf-8", delay=True
            )
            self._files[name].doRollover()  # each start has a file of its own
        return self._files[name]


def level_of(line: str) -> str | None:
    """Level of a server's line: WARNING, ERROR, or None for any other line.

    Events of runs have level None, because they are reported from Dagster's records.
    """
    found = _LEVEL.search(line)
    if found is None or _RUN_EVENT.search(line) or any(text in line for text in _IGNORED):
        return None
    return WARNING if WARNING in found.groups() else ERROR


def without_time(line: str) -> str:
    """A server's line without the time at its start."""
    return _TIME.sub("", line)
