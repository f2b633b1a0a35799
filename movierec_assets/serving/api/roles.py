"""Who may call a route.

Belongs here: the roles that routes declare, and users that a key is bound to. Does not: keys (`tables.api_keys`), and
checking them (the middleware).

A route declares its role in its decorator: `@router.get("/movies", **READER)`.
"""

from __future__ import annotations

from typing import Any

OPEN: dict[str, Any] = {"openapi_extra": {"x-role": "open"}}
"""Never behind a key: health."""
READER: dict[str, Any] = {"openapi_extra": {"x-role": "reader"}}
"""Open on loopback or with a key of any role, by setting."""
OPERATOR: dict[str, Any] = {"openapi_extra": {"x-role": "operator"}}
"""Always with a key of the role operator."""
