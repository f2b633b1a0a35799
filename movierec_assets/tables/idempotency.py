"""Requests with an Idempotency-Key: sent again, they get the first answer and change nothing.

Belongs here: keeping keys and answers for a day. Does not: what a request does.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.errors import ExplainedError
from movierec_assets.tables.database import SCHEMA

KEPT_HOURS = 24
_DELETED_AT_ONCE = 100
_EXPIRED = f"made_at < clock_timestamp() - interval '{KEPT_HOURS} hours'"


class KeyReusedError(ExplainedError, ValueError):
    """The key belongs to another request; the message says so."""


@dataclass(frozen=True)
class IdempotencyKey:
    """A key that a request names.

    Attributes
    ----------
    caller : str
        Who sent it; different callers may choose the same key.
    key : str
    """

    caller: str
    key: str


def once(
    cursor: Cursor,
    key: IdempotencyKey | None,
    request: dict[str, Any],
    answer: Callable[[], dict[str, Any]],
) -> tuple[dict[str, Any], bool]:
    """Answer a request, unless one with its key was answered within a day.

    Parameters
    ----------
    cursor : cursor
        In the transaction of the request. Another request with the key waits until it ends.
    key : IdempotencyKey or None
        None for a request without one.
    request : dict
        All that the request asks for, as JSON.
    answer : callable
        Does it and returns the answer, as JSON; its `user_id` is the user whom it is about.

    Returns
    -------
    dict
        The answer.
    bool
        Whether it was given before.

    Raises
    ------
    KeyReusedError
        When another request was sent with the key.
    """
    if key is None:
        return answer(), False
    pair = [key.caller, key.key]
    cursor.execute(f"DELETE FROM {SCHEMA}.idempotency_keys WHERE caller = %s AND key = %s AND {_EXPIRED}", pair)
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).digest()
    cursor.execute(
        f"INSERT INTO {SCHEMA}.idempotency_keys (caller, key, request) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        [*pair, digest],
    )
    if cursor.rowcount == 0:
        return _kept(cursor, pair, digest), True
    made = answer()
    cursor.execute(
        f"UPDATE {SCHEMA}.idempotency_keys SET answer = %s, user_id = %s WHERE caller = %s AND key = %s",
        [json.dumps(made), made["user_id"], *pair],
    )
    cursor.execute(
        f"""DELETE FROM {SCHEMA}.idempotency_keys WHERE (caller, key) IN (
                SELECT caller, key FROM {SCHEMA}.idempotency_keys WHERE {_EXPIRED}
                ORDER BY made_at LIMIT {_DELETED_AT_ONCE} FOR UPDATE SKIP LOCKED
            )"""
    )
    return made, False


def _kept(cursor: Cursor, pair: list[str], digest: bytes) -> dict[str, Any]:
    cursor.execute(f"SELECT request, answer FROM {SCHEMA}.idempotency_keys WHERE caller = %s AND key = %s", pair)
    row = cursor.fetchone()
    if row is None or bytes(row[0]) != digest:
        raise KeyReusedError(
            f"The Idempotency-Key {pair[1]!r} was sent with another request before. Send a new key with each request, "
            "and the same key only to send the same request again."
        )
    found: dict[str, Any] = row[1]
    return found
