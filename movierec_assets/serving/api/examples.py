"""Examples of values that fit a JSON schema.

Belongs here: from a schema to one value. Does not: the examples that the schema itself gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_GIVEN = ("example", "const", "default")
_PLAIN: dict[str, Any] = {"string": "text", "integer": 1, "number": 0.5, "boolean": False, "null": None}


def resolved(schema: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """A part of a schema without references, and without the alternative null; keys beside a reference win."""
    found = dict(part)
    if "$ref" in found:
        target: Any = schema
        for name in found.pop("$ref").removeprefix("#/").split("/"):
            target = target[name]
        return {**resolved(schema, target), **found}
    for alternatives in ("anyOf", "oneOf", "allOf"):
        if alternatives in found:
            choices = [each for each in found.pop(alternatives) if each.get("type") != "null"]
            return {**resolved(schema, choices[0] if choices else {"type": "null"}), **found}
    return found


def example_of(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Any:
    """A value that fits a part of a schema: its first example, else made from those of its fields."""
    found = resolved(schema, part)
    given = [*found.get("examples", ()), *(found[key] for key in _GIVEN if found.get(key) is not None)]
    if given or found.get("enum"):
        return [*given, *found.get("enum", ())][0]
    kind = found.get("type", "object" if "properties" in found else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: example_of(schema, field) for name, field in found.get("properties", {}).items()}
    if kind == "array":
        return [example_of(schema, found["items"])] if "items" in found else []
    return max(_PLAIN[kind], found.get("minimum", _PLAIN[kind])) if kind in ("integer", "number") else _PLAIN[kind]
