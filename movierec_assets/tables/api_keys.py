"""Keys of the API: made, listed, revoked and found.

Belongs here: the table `api_keys`, and the form of a key. Does not: who may do what (`serving.api.roles`).

A key is `movierec_ID_SECRET`: the id finds the row, the secret is 32 random bytes in base64. The table has the SHA-256
of the secret only. A slow hash would protect secrets that can be guessed, which these cannot.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from movierec_assets.errors import ExplainedError
from movierec_assets.tables.database import SCHEMA, Database

KeyRole = Literal["reader", "operator"]

_FORM = re.compile(r"movierec_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_SECRET_BYTES = 32
_COLUMNS = "key_id, role, label, user_id, created_at, expires_at, revoked_at, digest"


class ApiKeyError(ExplainedError, ValueError):
    """A key cannot be made or revoked; the message says why."""


@dataclass(frozen=True)
class ApiKey:
    """A row of the table.

    Attributes
    ----------
    key_id : str
        Public: logs and lists show it.
    role : {"reader", "operator"}
    label : str
        What it is for.
    user_id : int or None
        The only user that it is for.
    created_at : datetime
    expires_at, revoked_at : datetime or None
    digest : bytes
        SHA-256 of the secret.
    """

    key_id: str
    role: KeyRole
    label: str
    user_id: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    digest: bytes

    def opens(self, secret: str) -> bool:
        """Whether this is the secret of the key; takes the same time for every secret."""
        return hmac.compare_digest(self.digest, digest_of(secret))

    def state(self, now: datetime | None = None) -> Literal["valid", "expired", "revoked"]:
        """Whether the key is good for anything."""
        if self.revoked_at is not None:
            return "revoked"
        expired = self.expires_at is not None and self.expires_at <= (now or datetime.now(UTC))
        return "expired" if expired else "valid"


def split_key(text: str) -> tuple[str, str] | None:
    """Id and secret of a key; None for what has not the form of one."""
    found = _FORM.fullmatch(text)
    return (found[1], found[2]) if found else None


def digest_of(secret: str) -> bytes:
    """SHA-256 of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def create_key(
    database: Database,
    role: KeyRole,
    label: str,
    *,
    user_id: int | None = None,
    expires_at: datetime | None = None,
) -> str:
    """Store a new key; returns its text, which cannot be shown again.

    Raises
    ------
    ApiKeyError
        For an operator's key that is bound to a user, and one that has expired already.
    """
    if role == "operator" and user_id is not None:
        raise ApiKeyError("A key of the role operator is for all users; give the role reader to a key for one.")
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise ApiKeyError(f"The key would have expired at {expires_at:%Y-%m-%d %H:%M} UTC; give a time to come.")
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(_SECRET_BYTES)
    with database.transaction() as cursor:
        cursor.execute(
            f"""INSERT INTO {SCHEMA}.api_keys (key_id, digest, role, label, user_id, expires_at)
                VALUES (%s, %s, %s, %s, %s, %s)""",
            [key_id, digest_of(secret), role, label, user_id, expires_at],
        )
    return f"movierec_{key_id}_{secret}"


def list_keys(database: Database) -> list[ApiKey]:
    """All keys, the newest first."""
    rows = database.rows(f"SELECT {_COLUMNS} FROM {SCHEMA}.api_keys ORDER BY created_at DESC, key_id")
    return list(map(_key, rows))


def find_key(database: Database, key_id: str) -> ApiKey | None:
    """A key by its id; None when there is none."""
    rows = database.rows(f"SELECT {_COLUMNS} FROM {SCHEMA}.api_keys WHERE key_id = %s", [key_id])
    return _key(rows[0]) if rows else None


def revoke_key(database: Database, key_id: str) -> bool:
    """Revoke a key for good; False when it was revoked before.

    Raises
    ------
    ApiKeyError
        When there is no such key.
    """
    if find_key(database, key_id) is None:
        raise ApiKeyError(f"There is no key {key_id}; `movierec keys list` shows all.")
    with database.transaction() as cursor:
        cursor.execute(
            f"UPDATE {SCHEMA}.api_keys SET revoked_at = clock_timestamp() WHERE key_id = %s AND revoked_at IS NULL",
            [key_id],
        )
        return cursor.rowcount > 0


def remove_keys_of(cursor: Cursor, user_id: int) -> int:
    """Remove the keys that are bound to a user who is erased; returns their number."""
    cursor.execute(f"DELETE FROM {SCHEMA}.api_keys WHERE user_id = %s", [user_id])
    return cursor.rowcount


def _key(row: tuple[Any, ...]) -> ApiKey:
    key_id, role, label, user_id, created_at, expires_at, revoked_at, digest = row
    return ApiKey(key_id, role, label, user_id, created_at, expires_at, revoked_at, bytes(digest))
