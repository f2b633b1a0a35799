"""Keys as a worker knows them: looked up once, and again every few seconds while they are used.

Belongs here: from the header of a request to its caller. Does not: the table (`tables.api_keys`).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass

from movierec_assets.serving.api.problems import Problem, unauthorized, unavailable
from movierec_assets.serving.api.roles import Caller
from movierec_assets.serving.api.worker import Queries
from movierec_assets.tables.api_keys import ApiKey, find_key, split_key
from movierec_assets.tables.database import DatabaseUnavailableError

CHECK_EVERY = 2.0
"""Seconds for which a key that was looked up is used without another look: a revoked key works for so long."""
KEPT = 3600.0
"""Seconds for which a key works while the database is away."""
_MOST = 10_000
_HINT = "Send the header `Authorization: Bearer KEY` with a key that `movierec keys create` made."


@dataclass
class _Looked:
    """What a look-up found."""

    key: ApiKey | None
    found_at: float
    """When the database answered."""
    next_look: float


class KeyRing:
    """Keys that were used lately.

    Attributes
    ----------
    queries : Queries or None
        To look keys up with; None before the worker has started.
    """

    def __init__(self, queries: Queries | None = None) -> None:
        self.queries = queries
        self._valid: OrderedDict[str, _Looked] = OrderedDict()
        # Apart from valid keys, so that made-up ids push none of those out.
        self._others: OrderedDict[str, _Looked] = OrderedDict()

    def known(self, header: bytes) -> bool:
        """Whether the key of a header was valid at the latest look, so that no other look is due for a stranger."""
        parts = _split(header)
        looked = self._valid.get(parts[0]) if parts else None
        return parts is not None and looked is not None and looked.key is not None and looked.key.opens(parts[1])

    async def caller(self, header: bytes) -> Caller:
        """Who sends a header `Authorization`; a key that is not valid, or cannot be looked up, is `refused`."""
        parts = _split(header)
        if parts is None:
            return _refused(unauthorized(f"The header Authorization holds no key of this service. {_HINT}"))
        key_id, secret = parts
        try:
            key = await self._looked_up(key_id)
        except DatabaseUnavailableError:
            return _refused(unavailable("Keys cannot be looked up now: the database does not answer."))
        if key is None or not key.opens(secret):
            return _refused(unauthorized(f"There is no such key. {_HINT}"))
        state = key.state()
        if state != "valid":
            return _refused(unauthorized(f"This key is {state}. {_HINT}"))
        return Caller(key.key_id, key.role, key.user_id)

    async def _looked_up(self, key_id: str) -> ApiKey | None:
        now = time.monotonic()
        looked = self._valid.get(key_id) or self._others.get(key_id)
        if looked is not None and now < looked.next_look:
            return looked.key
        if looked is not None:
            looked.next_look = now + CHECK_EVERY  # requests that come during this look go on with the latest one
        assert self.queries is not None
        try:
            key = await self.queries.run(lambda database: find_key(database, key_id))
        except DatabaseUnavailableError:
            if looked is None or looked.key is None or now - looked.found_at > KEPT:
                raise
            return looked.key
        self._keep(key_id, _Looked(key, now, now + CHECK_EVERY))
        return key

    def _keep(self, key_id: str, looked: _Looked) -> None:
        valid = looked.key is not None and looked.key.state() == "valid"
        kept, other = (self._valid, self._others) if valid else (self._others, self._valid)
        other.pop(key_id, None)
        kept[key_id] = looked
        kept.move_to_end(key_id)
        if len(kept) > _MOST:
            kept.popitem(last=False)


def _split(header: bytes) -> tuple[str, str] | None:
    scheme, _, key = header.partition(b" ")
    if scheme.lower() != b"bearer" or len(key) > 200 or not key.isascii():
        return None
    return split_key(key.decode().strip())


def _refused(problem: Problem) -> Caller:
    return Caller(refused=problem)
