"""Messages between a command and the process of its run: the request, and JSON lines with what happens.

Belongs here: their form. Does not: the processes (`run`, `run_process`), the events (`run_events`).
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from movierec_assets.host import CommandError
from movierec_assets.host.listeners import RunListener
from movierec_assets.host.run_events import Report

_EVENTS = ("warned", "logged", "started", "materialized", "checked", "failed")
"""Methods of RunListener; a message with one of these names is a call of it."""
_CREATED, _REFUSED, _ENDED = "created", "refused", "ended"


@dataclass(frozen=True)
class Request:
    """A job to execute.

    Attributes
    ----------
    job : str
    config : dict
        Run configuration of Dagster.
    tags : dict of str to str
        Beside the tags of the job.
    dataset : str or None
        Path of the dataset to load, instead of the one that the settings choose.
    """

    job: str
    config: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    dataset: str | None = None

    def text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Request:
        """From JSON."""
        return cls(**json.loads(text))


class Sender:
    """A RunListener that sends its calls through a pipe, for `receive` at the other end.

    Parameters
    ----------
    descriptor : int
        Of the pipe, to write to.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)  # the pipe ends with this process
        self._pipe = os.fdopen(descriptor, "w", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()

    def created(self, run_id: str) -> None:
        """Dagster recorded the run."""
        self._send(_CREATED, run_id)

    def refused(self, why: str) -> None:
        """The run cannot start."""
        self._send(_REFUSED, why)

    def ended(self, report: Report) -> None:
        """The run ended."""
        metadata = {asset: _plain(values) for asset, values in report.metadata.items()}
        found = {"succeeded": report.succeeded, "failures": report.failures, "warnings": report.warnings}
        self._send(_ENDED, found | {"metadata": metadata})

    def warned(self, text: str) -> None:
        """Pass on a call of RunListener, as all methods below."""
        self._send("warned", text)

    def logged(self, step: str | None, text: str, *, warning: bool) -> None:  # noqa: D102
        self._send("logged", step, text, warning=warning)

    def started(self, step: str) -> None:  # noqa: D102
        self._send("started", step)

    def materialized(self, asset: str, metadata: dict[str, Any], seconds: float) -> None:  # noqa: D102
        self._send("materialized", asset, _plain(metadata), seconds)

    def checked(self, check: str, problem: str | None, *, blocking: bool) -> None:  # noqa: D102
        self._send("checked", check, problem, blocking=blocking)

    def failed(self, step: str) -> None:  # noqa: D102
        self._send("failed", step)

    def close(self) -> None:
        """Nothing is sent any more."""
        self._pipe.close()

    def _send(self, name: str, *values: Any, **named: Any) -> None:
        line = json.dumps([name, values, named])
        # Without a reader the command was killed, and its guard ends this process.
        with self._lock, suppress(BrokenPipeError):
            self._pipe.write(f"{line}\n")


def _plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata that JSON can hold; tables and lineage are left out."""
    return {name: value for name, value in metadata.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if type(value) is list:
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float)


def receive(pipe: IO[str], listener: RunListener, report: Report) -> None:
    """Pass the calls of a Sender on, and fill in the report, as far as the other end sent them.

    Raises
    ------
    CommandError
        When the run could not start.
    """
    for line in pipe:
        name, values, named = json.loads(line)
        if name in _EVENTS:
            getattr(listener, name)(*values, **named)
        elif name == _CREATED:
            (report.run_id,) = values
        elif name == _REFUSED:
            raise CommandError(*values)
        elif name == _ENDED:
            (found,) = values
            for attribute, value in found.items():
                setattr(report, attribute, value)
