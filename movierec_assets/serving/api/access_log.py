"""The access log: a line of JSON for each request.

Belongs here: what a line says, and writing lines together. Does not: errors (`observe`).
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any

import orjson
from starlette.types import Scope

from movierec_assets.serving.api.guard import ROUTE
from movierec_assets.serving.api.problems import REQUEST_ID
from movierec_assets.serving.api.roles import ANONYMOUS, CALLER

WRITE_EVERY = 0.2
"""Seconds."""


def fields_of(scope: Scope, status: int, seconds: float) -> dict[str, Any]:
    """What a line says: no query, no body, no header but the request id, and of a key its id only."""
    client = scope.get("client")
    return {
        "time": round(time.time(), 3),
        "request_id": scope.get(REQUEST_ID),
        "client": client[0] if client else None,
        "key": scope.get(CALLER, ANONYMOUS).key_id,
        "method": scope["method"],
        "route": scope.get(ROUTE),
        "status": status,
        "milliseconds": round(seconds * 1000, 2),
    }


def to_output(lines: bytes) -> None:
    """Write lines to the standard output."""
    sys.stdout.buffer.write(lines)
    sys.stdout.buffer.flush()


class AccessLog:
    """Collects lines and writes them a few times a second.

    Parameters
    ----------
    write : callable
        Takes whole lines.
    """

    def __init__(self, write: Callable[[bytes], None] = to_output) -> None:
        self._write = write
        self._lines: list[bytes] = []

    def __call__(self, scope: Scope, status: int, seconds: float) -> None:
        """Note a request."""
        if not self._lines:
            asyncio.get_running_loop().call_later(WRITE_EVERY, self.flush)
        self._lines.append(orjson.dumps(fields_of(scope, status, seconds)))

    def flush(self) -> None:
        """Write what was collected."""
        if self._lines:
            lines, self._lines = self._lines, []
            self._write(b"\n".join(lines) + b"\n")
