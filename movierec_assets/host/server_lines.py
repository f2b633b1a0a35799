"""What the servers of `movierec up` print: all of it in files, and on the screen what somebody has to know.

Belongs here: files of lines, and which lines are warnings or errors. Which servers there are is `servers`' work; runs
are told by `run_watch`, from Dagster's records.
"""

from __future__ import annotations

import logging
import re
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from honcho.printer import Message

MOST_BYTES = 5_000_000
"""Of one file; the one before it is kept beside it."""
LAST_LINES = 15
"""How many lines of a server that ended by itself are shown."""
WARNING, ERROR = "WARNING", "ERROR"

_SUPERVISOR = "system"
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_LEVEL = re.compile(
    r"""
    (?:^|\s)-\s(?P<dagster>WARNING|ERROR|CRITICAL)\s-\s     # ... - dagster.daemon - ERROR - ...
    | ^(?:[\d/:.\- ]+\s)?(?P<others>WARNING|ERROR|CRITICAL)(?:\s[\w.]+)?:  # 2026/01/01 12:00:00 ERROR mlflow.store: ...
    | ^\[[^\]]+\]\s\[\d+\]\s\[(?P<gunicorn>WARNING|ERROR|CRITICAL)\]  # [time] [pid] [ERROR] ...
    """,
    re.VERBOSE,
)
_EVENT_OF_RUN = re.compile(r" - (?:STEP|RUN|PIPELINE)_[A-Z_]+ - | - ENGINE_EVENT - ")
_STAMP = re.compile(r"^\[?[\d/\-]{8,10}[T ][\d:.,]{8,}(?:\s[+-]\d{4})?\]?\s(?:-\s)?")
_EXPECTED = ("No cursor for event type",)
"""Warnings that say nothing: Dagster's, at its first start."""


class ServerLines:
    """Takes the lines of servers, for `honcho` to print with.

    Parameters
    ----------
    directory : Path
        Gets one file a server, with the lines since its start and without colours, and the file before it.
    console : Console
        Told warnings and errors.
    verbose : bool
        Tell the console every line.

    Attributes
    ----------
    width : int
        Of the longest name; set by `honcho`.
    """

    def __init__(self, directory: Path, console: Console, *, verbose: bool = False) -> None:
        self.directory = directory
        self.width = 0
        self._console = console
        self._verbose = verbose
        self._files: dict[str, RotatingFileHandler] = {}
        self._ended: str | None = None

    def path(self, name: str) -> Path:
        """File of a server."""
        return self.directory / f"{name}.log"

    def write(self, message: Message) -> None:
        """Keep the lines of a message, and show what is to be shown."""
        data = message.data
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data)
        for line in _COLOUR.sub("", text).splitlines():
            if message.name == _SUPERVISOR:
                self._supervised(line)
            else:
                self._file(message.name).emit(logging.makeLogRecord({"msg": line}))
            if self._verbose:
                time = f"{message.time:%H:%M:%S} {message.name:<{self.width}} | "
                self._console.print(f"[dim]{escape(time)}[/]{escape(line)}", soft_wrap=True)
            elif message.name != _SUPERVISOR:
                self._show(message.name, line)

    def show_death(self, status: int) -> None:
        """Tell that a server ended by itself, with its last lines."""
        if self._ended is None:
            return
        path = self.path(self._ended)
        last = path.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:] if path.is_file() else []
        self._console.print(
            f"[bold red]{self._ended} ended by itself, with exit status {status}; the others were stopped.[/] "
            f"Its last lines, of {escape(str(path))}:",
            soft_wrap=True,
        )
        for line in last:
            self._console.print(f"  {escape(line)}", soft_wrap=True)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def _supervised(self, line: str) -> None:
        """Note which server ended first."""
        stopped = re.fullmatch(r"(\S+) stopped \(rc=-?\d+\)", line)
        if stopped and self._ended is None:
            self._ended = stopped[1]
        if line.endswith(" received") and not self._verbose:
            self._console.print("[dim]Stopping[/]")

    def _file(self, name: str) -> RotatingFileHandler:
        if name not in self._files:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._files[name] = RotatingFileHandler(
                self.path(name), maxBytes=MOST_BYTES, backupCount=1, encoding="utf-8", delay=True
            )
            self._files[name].doRollover()  # each start has a file of its own
        return self._files[name]

    def _show(self, name: str, line: str) -> None:
        level = level_of(line)
        if level is not None:
            colour = "yellow" if level == WARNING else "red"
            text = f"{name}: {_STAMP.sub('', line)}"
            self._console.print(f"[{colour}]{escape(text)}[/]", soft_wrap=True)


def level_of(line: str) -> str | None:
    """Level of a server's line that somebody has to know: WARNING, ERROR, or None for any other line.

    Events of runs are None: they are told from Dagster's records.
    """
    found = _LEVEL.search(line)
    if found is None or _EVENT_OF_RUN.search(line) or any(text in line for text in _EXPECTED):
        return None
    return WARNING if WARNING in found.groups() else ERROR
