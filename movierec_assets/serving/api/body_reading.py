"""Reading the body of a request.

Belongs here: its bytes and their encoding. Does not: its length (`body_limit`), and its fields (the routes).
"""

from __future__ import annotations

import asyncio
import codecs

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from movierec_assets.serving.api.problems import Problem, not_json

BODY_SECONDS = 5.0
"""A body that is not complete after this time is refused: while it is awaited, it counts as a request at a time."""


async def read_body(receive: Receive) -> bytes:
    """The whole body; it is in one message as a rule.

    Raises
    ------
    ClientDisconnect
    Problem
        408 when the body is not complete in time.
    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _whole(receive)
    except TimeoutError:
        detail = f"The body did not arrive within {BODY_SECONDS:g} s; send it at once."
        raise Problem(408, "Body not received", detail, {"Connection": "close"}) from None


async def _whole(receive: Receive) -> bytes:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body
    parts = [body]
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
    return b"".join(parts)


async def read_text(receive: Receive) -> Receive:
    """Read a body that must be UTF-8; returns what gives it to the route.

    FastAPI guesses the encoding of JSON, and answers 400 whatever is raised while it reads.

    Raises
    ------
    Problem
        400 for another encoding; 408, see `read_body`; 413, see `body_limit`.
    """
    body = await read_body(receive)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise not_json() from None
    if "\0" in text or body.startswith(codecs.BOM_UTF8):
        raise not_json()
    given = False

    async def give() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return give
