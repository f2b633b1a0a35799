"""Events of runs and servers, as the code that drives them reports them.

Belongs here: the interfaces. Does not: the text of an event, which `cli` writes (`run_progress`, `up`).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from dagster import RunRecord


class RunListener(Protocol):
    """Receives the events of one run."""

    def warned(self, text: str) -> None:
        """A problem beside the run was found, such as an earlier run that was killed."""

    def logged(self, step: str | None, text: str, *, warning: bool) -> None:
        """The platform logged a line, in a step or (None) about the whole run."""

    def started(self, step: str) -> None:
        """A step started."""

    def materialized(self, asset: str, metadata: dict[str, Any], seconds: float) -> None:
        """The step of an asset succeeded."""

    def checked(self, check: str, problem: str | None, *, blocking: bool) -> None:
        """An asset check ended; `problem` is None when it passed."""

    def failed(self, step: str) -> None:
        """A step failed; the report of the run has the reason."""


class ServersListener(Protocol):
    """Receives the events of the servers, and of all runs while the servers are up."""

    def warned(self, text: str) -> None:
        """Something does not answer."""

    def starting(self) -> None:
        """The servers are about to start."""

    def answering(self, addresses: dict[str, str], logs: Path) -> None:
        """All servers answer; `logs` is the directory of their log files."""

    def line(self, server: str, text: str, level: str | None, at: datetime) -> None:
        """A server printed a line; `level` is WARNING, ERROR, or None for any other line."""

    def stopping(self) -> None:
        """The servers were asked to end."""

    def died(self, server: str, status: int, log: Path, last: list[str]) -> None:
        """A server ended by itself; `last` are the last lines of its log file."""

    def run_started(self, record: RunRecord) -> None:
        """A run started."""

    def run_ended(self, record: RunRecord, problem: str) -> None:
        """A run ended; `problem` says why it failed, and is empty otherwise."""
