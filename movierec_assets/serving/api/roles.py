"""Who may call a route.

Belongs here: the roles that routes declare, who calls, and users that a key is bound to. Does not: keys
(`tables.api_keys`), and finding out who calls (`admission`).

A route declares its role in its decorator: `@router.get("/movies", **READER)`. A path parameter `user_id` is compared
with the user that a key is bound to; a user in a body or a query is for the route to compare, with `allow_user`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import Request
from starlette.routing import BaseRoute

from movierec_assets.serving.api.problems import Problem, forbidden, unauthorized

Role = Literal["reader", "operator"]
Declared = Literal["open", "reader", "operator"]

OPEN: dict[str, Any] = {"openapi_extra": {"x-role": "open"}}
"""Never behind a key: health."""
READER: dict[str, Any] = {"openapi_extra": {"x-role": "reader"}}
"""Open on loopback or with a key of any role, by setting."""
OPERATOR: dict[str, Any] = {"openapi_extra": {"x-role": "operator"}}
"""Always with a key of the role operator."""

CALLER = "movierec.caller"
"""Where the scope of a request has its caller."""
_KEY_HINT = "Send the header `Authorization: Bearer KEY`; `movierec keys create` makes a key."


@dataclass(frozen=True)
class Caller:
    """Who sent a request.

    Attributes
    ----------
    key_id : str or None
        None without a key that is valid.
    role : {"reader", "operator"} or None
    user_id : int or None
        The only user that the key is for.
    refused : Problem or None
        Why the key that was sent is not accepted.
    """

    key_id: str | None = None
    role: Role | None = None
    user_id: int | None = None
    refused: Problem | None = None


ANONYMOUS = Caller()


def declared_role(route: BaseRoute) -> Declared:
    """The role that a route declares.

    Raises
    ------
    ValueError
        When it declares none.
    """
    role: Declared | None = (getattr(route, "openapi_extra", None) or {}).get("x-role")
    if role not in ("open", "reader", "operator"):
        raise ValueError(f"{route} declares no role; give its decorator **READER, **OPERATOR or **OPEN")
    return role


def refusal(caller: Caller, declared: Declared, *, readers_need_keys: bool) -> Problem | None:
    """Why a caller may not call a route of a role; None when it may."""
    if declared == "open":
        return None
    if caller.refused is not None:
        return caller.refused
    if caller.role is None and (declared == "operator" or readers_need_keys):
        return unauthorized(f"This address needs a key. {_KEY_HINT}")
    if declared == "operator" and caller.role != "operator":
        return forbidden("This address needs a key of the role operator; this key has the role reader.")
    return None


def caller_of(request: Request) -> Caller:
    """Who sent a request."""
    caller: Caller = request.scope.get(CALLER, ANONYMOUS)
    return caller


def allow_user(request: Request, user_id: int | None) -> None:
    """Refuse a key that is bound to another user; nobody in particular (None) is allowed.

    Raises
    ------
    Problem
        403.
    """
    bound = caller_of(request).user_id
    if bound is not None and user_id is not None and user_id != bound:
        raise forbidden(f"This key is for user {bound} only.")


def refuse_bound(request: Request) -> None:
    """Refuse keys that are bound to a user, for what concerns everybody.

    Raises
    ------
    Problem
        403.
    """
    bound = caller_of(request).user_id
    if bound is not None:
        raise forbidden(f"This key is for user {bound} only.")
