"""Bodies that are too large are refused before they are read.

Belongs here: counting bytes. Does not: what a body may hold (its schema).
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from movierec_assets.serving.api.problems import Problem


class BodyLimit:
    """Refuses bodies of more than `limit` bytes, by their announced or, without one, their counted length."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on.

        Raises
        ------
        Problem
            413, at once by the announced length, else while the body is read.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced, chunked = _announced(scope)
        if announced > self._limit:
            raise self._too_large()
        await self._app(scope, self._counted(receive) if chunked else receive, send)

    def _counted(self, receive: Receive) -> Receive:
        read = 0

        async def counting() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._limit:
                raise self._too_large()
            return message

        return counting

    def _too_large(self) -> Problem:
        detail = f"The body has more than {self._limit:,} bytes; send less at once."
        return Problem(413, "Body too large", detail, {"Connection": "close"})


def _announced(scope: Scope) -> tuple[int, bool]:
    """Announced length, and whether the body may be longer than announced."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            # The server refuses lengths that are no numbers, and cuts bodies at theirs.
            return (int(value), False) if value.isdigit() else (0, True)
    return 0, scope["method"] not in ("GET", "HEAD")
