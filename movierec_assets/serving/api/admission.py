"""What every request passes before its route is looked for: how many at once, who calls, and how often.

Belongs here: checks that need no route. Does not: roles (`guard`), keys (`keys`).
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from movierec_assets.serving.api.keys import KeyRing
from movierec_assets.serving.api.problems import Problem, unavailable
from movierec_assets.serving.api.roles import ANONYMOUS, CALLER

_BUCKETS = 20_000
_HEALTH = "/health"


@dataclass
class Admitted:
    """Requests that are being answered."""

    running: int = 0


class Admission:
    """Limits requests at a time and by caller, and notes who calls. Health is never limited.

    Parameters
    ----------
    app : ASGI application
    keys : KeyRing
    admitted : Admitted
    at_once : int
        Requests at a time.
    per_minute : int
        Requests of one caller; 0 for any number.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing, admitted: Admitted, at_once: int, per_minute: int) -> None:
        self._app = app
        self._keys = keys
        self._at_once = at_once
        self._rate = RateLimit(per_minute)
        self._admitted = admitted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on.

        Raises
        ------
        Problem
            429 and 503, with Retry-After.
        """
        if scope["type"] != "http" or scope["path"].startswith(_HEALTH):
            await self._app(scope, receive, send)
            return
        if self._admitted.running >= self._at_once:
            raise unavailable("The service has as many requests as it takes at a time.", retry_after=1)
        self._admitted.running += 1
        try:
            await self._identify(scope)
            await self._app(scope, receive, send)
        finally:
            self._admitted.running -= 1

    async def _identify(self, scope: Scope) -> None:
        header = _authorization(scope)
        if header is None:
            self._rate.take_from_address(scope)
            scope[CALLER] = ANONYMOUS
            return
        if not self._keys.known(header):  # before the database is asked, so that nobody tries many keys
            self._rate.take_from_address(scope)
        caller = scope[CALLER] = await self._keys.caller(header)
        if caller.key_id is not None:
            self._rate.take(caller.key_id)


class RateLimit:
    """A bucket of tokens for each caller, as in a minute of requests, which fills up again evenly.

    Parameters
    ----------
    per_minute : int
        Size of a bucket; 0 for no limit.
    """

    def __init__(self, per_minute: int) -> None:
        self._size = per_minute
        self._per_second = per_minute / 60
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """Take a token.

        Raises
        ------
        Problem
            429 when there is none.
        """
        if not self._size:
            return
        now = time.monotonic()
        tokens, at = self._buckets.pop(caller, (float(self._size), now))
        tokens = min(self._size, tokens + (now - at) * self._per_second)
        taken = tokens >= 1
        self._buckets[caller] = (tokens - taken, now)
        if len(self._buckets) > _BUCKETS:
            self._buckets.popitem(last=False)
        if not taken:
            wait = math.ceil((1 - tokens) / self._per_second)
            detail = f"More than {self._size} requests a minute; the next one is answered in {wait} s."
            raise Problem(429, "Too many requests", detail, {"Retry-After": str(wait)})

    def take_from_address(self, scope: Scope) -> None:
        """Take a token for the address of a client, unless it is this machine."""
        client = scope.get("client")
        if not self._size or client is None:
            return
        network = network_of(client[0])
        if network is not None:
            self.take(network)


@lru_cache(10_000)
def network_of(address: str) -> str | None:
    """The address, or for IPv6 the network of one subscriber; None for this machine."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.is_loopback:
        return None
    return address if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))


def _authorization(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"authorization":
            header: bytes = value
            return header
    return None
