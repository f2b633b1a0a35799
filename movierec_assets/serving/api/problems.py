"""Refusals as problem+json (RFC 9457).

Belongs here: the exception that routes raise, and the answers to every kind of error. Does not: texts of one route.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from movierec_assets.tables.database import DatabaseUnavailableError

MEDIA_TYPE = "application/problem+json"
REQUEST_ID = "movierec.request_id"
"""Where the scope of a request has its id."""
_SHOWN_ERRORS, _SHOWN_CHARACTERS = 20, 200
_HALF = re.compile(r"[\ud800-\udfff]")
UNION_LABEL = re.compile(
    r"[A-Z].*|.*[\[-].*|any|bool|bytes|date|datetime|decimal|float|int|none|str|time|url|uuid", re.S
)
"""How pydantic calls a member of a union in the place of an error; no field of a body has such a name."""


class Problem(Exception):  # noqa: N818 - the name of RFC 9457
    """A refusal that a client understands.

    Parameters
    ----------
    status : int
        HTTP status.
    title : str
        The kind of problem, the same for all of its kind.
    detail : str
        This case: what was wrong, and the remedy.
    headers : dict, optional
    **more
        Further members of the answer, as in `field="n"`.
    """

    def __init__(
        self, status: int, title: str, detail: str, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail, self.headers, self.more = status, title, detail, headers or {}, more


def not_json() -> Problem:
    """400: the body cannot be read."""
    detail = "The body cannot be read: it must be complete JSON in UTF-8, of moderate depth and with short numbers."
    return Problem(400, "Unreadable body", detail)


def unauthorized(detail: str) -> Problem:
    """401."""
    return Problem(401, "Key needed", detail, {"WWW-Authenticate": 'Bearer realm="movierec"'})


def forbidden(detail: str) -> Problem:
    """403."""
    return Problem(403, "Not allowed", detail)


def not_found(detail: str) -> Problem:
    """404."""
    return Problem(404, "Not found", detail)


def missing(field: str, message: str) -> Problem:
    """404, naming the field with an id or a name that nothing has."""
    return Problem(404, "Not found", f"{field}: {message}", errors=[{"field": field, "message": message}])


def out_of_range(field: str, message: str) -> Problem:
    """422, naming a field."""
    return Problem(422, "Unusable value", f"{field}: {message}", errors=[{"field": field, "message": message}])


def unavailable(detail: str, retry_after: int = 5) -> Problem:
    """503, with Retry-After in seconds."""
    return Problem(503, "Temporarily unavailable", detail, {"Retry-After": str(retry_after)})


def internal() -> Problem:
    """500; what happened is in the log only."""
    return Problem(500, "Internal error", "The request failed. The log of the service has the reason under this id.")


def unusable(errors: Sequence[Any], part: str | None = None) -> Problem:
    """The refusal of values that do not fit the schema; never shows the values.

    Parameters
    ----------
    errors : sequence of dict
        As pydantic lists them. Bodies that cannot be read give 400, others 422.
    part : str, optional
        Part of the request that the places of the errors are in, as in `body`.
    """
    if any(_unreadable(error) for error in errors):
        return not_json()
    within = () if part is None else (part,)
    said: dict[str, list[str]] = {}  # each member of a union says why it is not the value
    for error in errors:
        said.setdefault(_field((*within, *error["loc"]), error["type"]), []).append(_said(error))
    found = [{"field": field, "message": _either(messages)} for field, messages in said.items()]
    first = found[0]
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    fields = found[:_SHOWN_ERRORS]
    return Problem(422, "Unusable value", f"{first['field']}: {first['message']}{more}.", errors=fields)


def response(problem: Problem, request_id: str | None) -> Response:
    """A problem as an answer."""
    content = {"type": "about:blank", "title": problem.title, "status": problem.status, "detail": problem.detail}
    content |= problem.more | {"request_id": request_id}
    # ASCII, because names of unknown fields may hold what UTF-8 cannot.
    return Response(json.dumps(content).encode(), problem.status, problem.headers, MEDIA_TYPE)


def problem_of(error: Exception) -> Problem:
    """The problem that an exception stands for; `internal` for those that nobody expects."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError | ValidationError):
        return unusable(error.errors())
    if isinstance(error, DatabaseUnavailableError):
        return unavailable("The ratings database does not answer now. The same request works when it is back.")
    if isinstance(error, HTTPException):
        return _of_http(error)
    return internal()


def answer_problems(app: FastAPI) -> None:
    """Answer every exception of the routes with a problem."""

    async def answer(request: Request, error: Exception) -> Response:
        return response(problem_of(error), request.scope.get(REQUEST_ID))

    for kind in (Problem, RequestValidationError, ValidationError, DatabaseUnavailableError, HTTPException):
        app.add_exception_handler(kind, answer)


def _of_http(error: HTTPException) -> Problem:
    headers = dict(error.headers or {})
    if error.status_code == 404:
        return not_found("There is no such address; /docs lists all.")
    if error.status_code == 405:
        return Problem(
            405, "Method not allowed", f"This address takes {headers.get('Allow', 'another method')}.", headers
        )
    if error.status_code == 400:
        return not_json()
    return Problem(error.status_code, HTTPStatus(error.status_code).phrase, str(error.detail), headers)


def _unreadable(error: Any) -> bool:
    """Whether a body is no JSON, or has half of a surrogate pair in a text or a name: some parsers let it through."""
    if error["type"] in ("json_invalid", "string_unicode"):
        return True
    return any(isinstance(part, str) and _HALF.search(part) for part in error["loc"])


def _field(location: Sequence[str | int], kind: str) -> str:
    """A place in a request, as in `body.filters.years.0`, without the names of members of unions.

    Parameters
    ----------
    location : sequence of str or int
        The part of the request, the name of a parameter or a field, and what is in it.
    kind : str
        Of the error. The last name of an unknown field is the client's, whatever it is.
    """
    named = len(location) - 1 if kind == "extra_forbidden" else len(location)
    return shown(
        ".".join(
            str(part)
            for at, part in enumerate(location)
            if at < 2 or at >= named or isinstance(part, int) or not UNION_LABEL.fullmatch(part)
        )
    )


def _either(messages: Sequence[str]) -> str:
    """What is wrong with a value, when one of several would have to be right."""
    first, *others = dict.fromkeys(messages)
    return shown(", or ".join([first, *(f"{other[:1].lower()}{other[1:]}" for other in others)]))


def _said(error: Any) -> str:
    context = error.get("ctx", {})
    if error["type"] == "extra_forbidden":
        return "There is no such field"
    if error["type"] == "too_long" and "max_length" in context:
        return f"Should have at most {context['max_length']:,} items"
    return shown(str(error["msg"]).removeprefix("Value error, "))


def shown(text: str) -> str:
    """A text that may be of a client, short and as UTF-8."""
    return text[:_SHOWN_CHARACTERS].encode("utf-8", "replace").decode()
