"""Refusals as problem+json (RFC 9457).

Belongs here: the exception that routes raise, and the answers to every kind of error. Does not: texts of one route.
"""

from __future__ import annotations

import json
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


def not_json(detail: str) -> Problem:
    """400: the body cannot be read."""
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


def missing(field: str, detail: str) -> Problem:
    """404, naming the field with an id or a name that nothing has."""
    return Problem(404, "Not found", detail, errors=[{"field": field, "message": detail}])


def out_of_range(field: str, detail: str) -> Problem:
    """422, naming a field."""
    return Problem(422, "Unusable value", detail, errors=[{"field": field, "message": detail}])


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
    if any(error["type"] == "json_invalid" for error in errors):
        return not_json("The body is not JSON: see that it is UTF-8, complete, and has plain numbers.")
    within = () if part is None else (part,)
    listed = errors[:_SHOWN_ERRORS]
    fields = [{"field": _field((*within, *error["loc"])), "message": _said(error)} for error in listed]
    first = fields[0]
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
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
        return not_json("The body cannot be read: it must be JSON in UTF-8, of moderate depth and with short numbers.")
    return Problem(error.status_code, HTTPStatus(error.status_code).phrase, str(error.detail), headers)


def _field(location: Sequence[str | int]) -> str:
    """A place in a request, as in `body.filters.years.0`."""
    return _shown(".".join(map(str, location)))


def _said(error: Any) -> str:
    return _shown(str(error["msg"]).removeprefix("Value error, "))


def _shown(text: str) -> str:
    return text[:_SHOWN_CHARACTERS].encode("utf-8", "replace").decode()
