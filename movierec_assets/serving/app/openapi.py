"""The API's own schema, as forms need it.

Belongs here: endpoints with parameters and an example of a body, and a call as a line for the shell. Does not: the
forms (`app_pages.api`).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

import httpx

_PLAIN: dict[str, Any] = {"string": "text", "integer": 1, "number": 0.5, "boolean": False, "null": None}


@dataclass(frozen=True)
class Parameter:
    """A parameter of the path, the query, or the head.

    Attributes
    ----------
    name : str
    place : str
        "path", "query" or "header".
    required : bool
    about : str
    kind : {"integer", "number", "boolean", "choice", "list", "text"}
    choices : tuple
    low, high : int, float or None
        Bounds of a number.
    example : Any
        None without one.
    default : Any
        What the API takes without a value; None without one.
    """

    name: str
    place: str
    required: bool
    about: str
    kind: Literal["integer", "number", "boolean", "choice", "list", "text"]
    choices: tuple[Any, ...]
    low: float | None
    high: float | None
    example: Any
    default: Any


@dataclass(frozen=True)
class Endpoint:
    """A method and a path.

    Attributes
    ----------
    method, path : str
        As in "GET", "/movies/{movie_id}".
    tag, about : str
    role : {"open", "reader", "operator"}
    parameters : tuple of Parameter
    body : Any
        An example; None where the endpoint takes no body.
    """

    method: str
    path: str
    tag: str
    about: str
    role: str
    parameters: tuple[Parameter, ...]
    body: Any

    @property
    def name(self) -> str:
        """As in "GET /movies"."""
        return f"{self.method} {self.path}"

    @property
    def changes(self) -> bool:
        """Whether a call may change something: the lists that POST /recommend answers change nothing."""
        return self.method != "GET" and not self.path.startswith("/recommend")

    def filled(self, values: Mapping[str, Any]) -> str:
        """The path with values in place of its parameters; missing ones stay."""
        path = self.path
        for name, value in values.items():
            path = path.replace("{" + name + "}", quote(str(value), safe=""))
        return path


def endpoints(schema: Mapping[str, Any]) -> list[Endpoint]:
    """All endpoints of a schema, in its order."""
    return [
        _endpoint(schema, path, method.upper(), call)
        for path, calls in schema["paths"].items()
        for method, call in calls.items()
    ]


def curl(address: str, endpoint: Endpoint, path: str, query: Mapping[str, Any], body: Any, *, key: bool) -> str:
    """A call as a command of the shell, in which the key is $KEY.

    Parameters
    ----------
    address : str
        Of the API.
    endpoint : Endpoint
    path : str
        With its values.
    query : mapping
        None values are left out.
    body : Any
        None for no body.
    key : bool
        Whether a key is sent.
    """
    url = httpx.URL(f"{address}{path}", params={name: value for name, value in query.items() if value is not None})
    method = [] if endpoint.method == "GET" else ["-X", endpoint.method]
    lines = [" ".join(["curl", *method, shlex.quote(str(url).rstrip("?"))])]
    if key:
        lines.append('-H "Authorization: Bearer $KEY"')
    if endpoint.method == "POST":
        lines.append("-H 'Content-Type: application/json'")
    if body is not None:
        lines.append(f"-d {shlex.quote(json.dumps(body, ensure_ascii=False))}")
    return " \\\n  ".join(lines)


def _endpoint(schema: Mapping[str, Any], path: str, method: str, call: Mapping[str, Any]) -> Endpoint:
    content = call.get("requestBody", {}).get("content", {}).get("application/json")
    return Endpoint(
        method=method,
        path=path,
        tag=next(iter(call.get("tags", ())), ""),
        about=call.get("description", ""),
        role=call.get("x-role", "reader"),
        parameters=tuple(_parameter(schema, each) for each in call.get("parameters", ())),
        body=None if content is None else _example(schema, content["schema"]),
    )


def _parameter(schema: Mapping[str, Any], given: Mapping[str, Any]) -> Parameter:
    found = _resolved(schema, given["schema"])
    kind = found.get("type", "string")
    return Parameter(
        name=given["name"],
        place=given["in"],
        required=bool(given.get("required")),
        about=given.get("description") or found.get("description", ""),
        kind="choice" if "enum" in found else "list" if kind == "array" else kind if kind in _NUMBERS else "text",
        choices=tuple(found.get("enum", ())),
        low=found.get("minimum"),
        high=found.get("maximum"),
        example=given.get("example", next(iter(found.get("examples", ())), None)),
        default=found.get("default"),
    )


_NUMBERS = ("integer", "number", "boolean")


def _resolved(schema: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """A part of a schema without references, and without the alternative null; members beside a reference win."""
    found = dict(part)
    if "$ref" in found:
        target: Any = schema
        for name in found.pop("$ref").removeprefix("#/").split("/"):
            target = target[name]
        return {**_resolved(schema, target), **found}
    for alternatives in ("anyOf", "oneOf", "allOf"):
        if alternatives in found:
            choices = [each for each in found.pop(alternatives) if each.get("type") != "null"]
            return {**_resolved(schema, choices[0] if choices else {"type": "null"}), **found}
    return found


def _example(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Any:
    """A value that fits: the first example, else made from those of the fields that have one or must be there."""
    found = _resolved(schema, part)
    if found.get("examples"):
        return found["examples"][0]
    if "properties" in found:
        needed = found.get("required", ())
        fields = {name: _resolved(schema, field) for name, field in found["properties"].items()}
        return {
            name: _example(schema, field) for name, field in fields.items() if name in needed or "examples" in field
        }
    if found.get("type") == "array":
        return [_example(schema, found["items"])] if "items" in found else []
    return found.get("default", next(iter(found.get("enum", ())), _PLAIN.get(str(found.get("type")))))
