"""The OpenAPI schema: what FastAPI makes of the routes, with every refusal that they may give.

Belongs here: what all routes have in common. Does not: bodies, parameters and answers of one route.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from movierec_assets.serving.api.field_examples import give_examples
from movierec_assets.serving.api.problems import MEDIA_TYPE

TITLE = "Movie recommendations"
DESCRIPTION = """\
Lists of movies that take a rating of a moment ago into account and say why.

**Keys.** `movierec keys create` makes a key; send it as `Authorization: Bearer KEY`. The role reader may read, and also
post, withdraw and erase: ratings, events and users of the app. It needs a key unless the service listens on loopback
only. What changes models and runs always needs a key of the role operator. A key may be for one user only. Health needs
none. Without a key, every POST needs the header `Content-Type: application/json`, with or without a body.

**Refusals** are `application/problem+json`. `detail` says what was wrong and what to send; `errors` names fields;
`request_id` finds the request in the log of the service. Unknown fields and query parameters are refused.

**Times** are seconds or ISO 8601 in UTC. Scores compare the movies of one list only.
"""
TAGS = [
    {"name": "recommendations", "description": "Lists for somebody."},
    {"name": "movies", "description": "The catalogue: search, details, neighbours, popular and trending movies."},
    {"name": "users", "description": "Users and their ratings."},
    {"name": "ratings", "description": "Ratings, which count from the next list on."},
    {"name": "feedback", "description": "What people did with the movies of a list."},
    {"name": "models", "description": "Versions of the model, and which one is served."},
    {"name": "operations", "description": "Runs of the platform, and figures about the service."},
    {"name": "health", "description": "Whether the service answers, and what it depends on."},
]

_REFUSALS = {
    400: "The body cannot be read: it is not JSON in UTF-8, or has too many brackets or digits.",
    401: "The key is missing, unknown, expired or revoked.",
    403: "The key has another role, or is for another user.",
    404: "Nothing has this id or name.",
    408: "The body did not arrive in time.",
    409: "The state of the platform does not allow it; `detail` says why.",
    413: "The body is too large.",
    415: "The body is not announced as application/json.",
    422: "A value does not fit; `errors` names the field.",
    429: "Too many requests; Retry-After says when to come back.",
    500: "The service failed; its log has the reason under `request_id`.",
    503: "Something that the answer needs does not answer now; Retry-After says when to come back.",
}
_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "A refusal, RFC 9457.",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "examples": ["about:blank"]},
        "title": {"type": "string", "description": "The kind of problem.", "examples": ["Unusable value"]},
        "status": {"type": "integer", "examples": [422]},
        "detail": {
            "type": "string",
            "description": "What was wrong, and the remedy.",
            "examples": ["body.n: Input should be less than or equal to 100."],
        },
        "request_id": {"type": ["string", "null"], "examples": ["5f0c1d2e3a4b5c6d"]},
        "errors": {
            "type": "array",
            "description": "The fields that do not fit.",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {
                    "field": {"type": "string", "examples": ["body.n"]},
                    "message": {"type": "string", "examples": ["Input should be less than or equal to 100"]},
                },
            },
        },
    },
}
_RETRY = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
_REQUEST_ID = {"X-Request-ID": {"description": "That of the request, or a new one.", "schema": {"type": "string"}}}


class DocumentedApi(FastAPI):
    """An application whose schema names every refusal."""

    def openapi(self) -> dict[str, Any]:
        """The schema, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = _completed(super().openapi())
        return self.openapi_schema


def _completed(schema: dict[str, Any]) -> dict[str, Any]:
    components = schema.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    give_examples(schemas)
    schemas["Problem"] = _PROBLEM
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "A key that `movierec keys create` made."}
    }
    components["responses"] = {_name(status): _refusal(status) for status in _REFUSALS}
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            _complete(operation, path)
    return schema


def _complete(operation: dict[str, Any], path: str) -> None:
    role = operation["x-role"]
    operation["security"] = {"open": [], "reader": [{"key": []}, {}], "operator": [{"key": []}]}[role]
    responses = operation["responses"]
    responses.pop("422", None)
    for status in _statuses(operation, path, role):
        if str(status) in responses:
            responses[str(status)] = _refusal(status) | responses[str(status)]
        else:
            responses[str(status)] = {"$ref": f"#/components/responses/{_name(status)}"}
    for response in responses.values():
        if "$ref" not in response:
            response["headers"] = response.get("headers", {}) | _REQUEST_ID
    operation["responses"] = dict(sorted(responses.items()))


def _name(status: int) -> str:
    return f"Refusal{status}"


def _refusal(status: int) -> dict[str, Any]:
    return {
        "description": _REFUSALS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        "headers": _REQUEST_ID | (_RETRY if status in (429, 503) else {}),
    }


def _statuses(operation: Mapping[str, Any], path: str, role: str) -> set[int]:
    """Statuses of the refusals that a route may give, beside those that it declares itself."""
    statuses = {422, 500} | {int(status) for status in operation["responses"] if int(status) in _REFUSALS}
    if role != "open":
        statuses |= {401, 403, 429, 503}
    if "requestBody" in operation:
        statuses |= {400, 408, 413, 415}
    if "{" in path or ("requestBody" in operation and role == "reader"):
        statuses.add(404)
    return statuses
