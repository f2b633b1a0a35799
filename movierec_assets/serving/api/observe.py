"""What surrounds every request: its id, the headers of its answer, who is told of it, and errors that nobody expects.

Belongs here: the outermost layer. Does not: deciding who may call (`admission`, `guard`).
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from movierec_assets.serving.api.problems import REQUEST_ID, internal, problem_of, response

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-site"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
GONE = 499
"""Status in metrics and log of a request whose client hung up before it was read; nobody gets it as an answer."""
_POLICIES = (b"content-security-policy", b"cache-control")
"""Headers that a route may set otherwise."""
_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_chance = random.Random()  # an id that need not be hard to guess; the system's source costs 25 us
_log = logging.getLogger(__name__)

Seen = Callable[[Scope, int, float], None]
"""Called after a request with its scope, the status, and the seconds it took."""


class Observe:
    """Gives each request an id, adds headers to its answer, reports it, and answers errors that nobody expects.

    Parameters
    ----------
    app : ASGI application
    seen : callables
        Called after each request.
    """

    def __init__(self, app: ASGIApp, seen: tuple[Seen, ...] = ()) -> None:
        self._app = app
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; what is no HTTP passes untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _id_of(scope)
        scope[REQUEST_ID] = request_id.decode()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"] = list(message.get("headers", ()))
                own = {name for name, _ in headers if name in _POLICIES}
                headers.append((b"x-request-id", request_id))
                headers.extend(pair for pair in SECURITY_HEADERS if pair[0] not in own)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            status = status or GONE
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            problem = problem_of(error)
            if problem.status == internal().status:
                _log.exception("Request %s failed", scope[REQUEST_ID])
            if status == 0:
                await response(problem, scope[REQUEST_ID])(scope, receive, send_with_headers)
        finally:
            took = time.perf_counter() - began
            for seen in self._seen:
                seen(scope, status, took)


def _id_of(scope: Scope) -> bytes:
    """The id that the client sent, or a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ID.fullmatch(value):
            sent: bytes = value
            return sent
    return b"%016x" % _chance.getrandbits(64)
