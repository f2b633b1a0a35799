"""What is checked before a route runs: its role, the user a key is bound to, and the names of query parameters.

Belongs here: checks that need the route. Does not: those that every request passes (`admission`).
"""

from __future__ import annotations

import copy
from urllib.parse import parse_qsl

from fastapi import params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from movierec_assets.serving.api.body_reading import read_text
from movierec_assets.serving.api.problems import Problem, forbidden, out_of_range, shown
from movierec_assets.serving.api.ready_route import ReadyRoute
from movierec_assets.serving.api.roles import ANONYMOUS, CALLER, declared_role, refusal

ROUTE = "movierec.route"
"""Where the scope of a request has the path of its route, as in `/movies/{movie_id}`."""
_USERS = ("user_id", "user")


def guarded(route: APIRoute, *, readers_need_keys: bool) -> APIRoute:
    """A copy of a route with a guard in front.

    Raises
    ------
    ValueError
        When the route declares no role.
    """
    made = copy.copy(route)
    made.unique_id = route.name  # the operation in the schema
    made.app = Guard(route, readers_need_keys=readers_need_keys)
    return made


class Guard:
    """Lets requests through to a route that may have them."""

    def __init__(self, route: APIRoute, *, readers_need_keys: bool) -> None:
        self._app: ASGIApp = route.app
        self._path = route.path
        self._declared = declared_role(route)
        self._readers_need_keys = readers_need_keys
        self._parameters = query_parameters(route)
        self._takes_body = route.body_field is not None
        self._takes_text = self._takes_body and not isinstance(route, ReadyRoute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then run the route.

        Raises
        ------
        Problem
            401, 403, 415 for a request that is not announced as JSON, 400 for a body in another encoding than UTF-8, or
            422 for a query parameter that is unknown or given twice.
        """
        scope[ROUTE] = self._path
        caller = scope.get(CALLER, ANONYMOUS)
        problem = refusal(caller, self._declared, readers_need_keys=self._readers_need_keys)
        if problem is None and caller.user_id is not None:
            problem = _of_another(caller.user_id, scope["path_params"])
        if problem is not None:
            raise problem
        require_parameters(scope, self._parameters)
        if self._takes_body and not _announces_json(scope):
            raise Problem(415, "Unknown kind of body", "Send JSON, with the header `Content-Type: application/json`.")
        if self._takes_text:
            receive = await read_text(receive)
        await self._app(scope, receive, send)


def require_parameters(scope: Scope, known: frozenset[str]) -> None:
    """Refuse query parameters that an address does not take.

    Raises
    ------
    Problem
        422 for a parameter that is unknown or given twice, and for text that nothing here has.
    """
    if scope["query_string"] or "\0" in scope["path"]:
        problem = _unusable_text(scope, known)
        if problem is not None:
            raise problem


def query_parameters(route: APIRoute) -> frozenset[str]:
    """Names of the query parameters that a route takes."""
    parameters = get_flat_params(route.dependant)
    return frozenset(parameter.alias for parameter in parameters if isinstance(parameter.field_info, params.Query))


def _announces_json(scope: Scope) -> bool:
    """Whether a body is announced as JSON, or there is none and no page of another origin can have sent the request.

    Browsers send a POST without a body to any origin, unless it has a header as Authorization,
    for which they ask first.
    """
    kind, body, asked_first = b"", False, False
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = value
        elif name == b"content-length":
            body = value != b"0"
        elif name == b"transfer-encoding":
            body = True
        elif name == b"authorization":
            asked_first = True
    return kind.partition(b";")[0].strip().lower() == b"application/json" or (asked_first and not body)


def _of_another(bound: int, path: dict[str, str]) -> Problem | None:
    asked = next((path[name] for name in _USERS if name in path), None)
    if asked is None or asked == str(bound):
        return None
    return forbidden(f"This key is for user {bound} only.")


def _unusable_text(scope: Scope, known: frozenset[str]) -> Problem | None:
    if "\0" in scope["path"]:
        return out_of_range("path", "The address holds the character NUL, which none here has.")
    try:
        sent = parse_qsl(
            scope["query_string"].decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50
        )
    except ValueError:
        return out_of_range("query", "It is not percent-encoded UTF-8 with at most 50 parameters.")
    found = set[str]()
    for name, value in sent:
        if name not in known:
            takes = f"takes {', '.join(sorted(known))}" if known else "takes none"
            return out_of_range(f"query.{shown(name)}", f"There is no such parameter; this address {takes}.")
        if name in found:
            return out_of_range(f"query.{name}", "The parameter is given twice; give it once.")
        if "\0" in value:
            return out_of_range(f"query.{name}", "The text holds the character NUL, which no text here has.")
        found.add(name)
    return None
