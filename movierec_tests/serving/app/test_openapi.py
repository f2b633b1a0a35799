"""Forms and shell calls from the API's own schema."""

from __future__ import annotations

import json
import shlex
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.serving.app.openapi import Endpoint, curl, endpoints
from movierec_tests.serving.api.test_schema import SNAPSHOT

SCHEMA: dict[str, Any] = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
KNOWN = {each.name: each for each in endpoints(SCHEMA)}
ADDRESS = "http://127.0.0.1:8000"
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)


def test_every_endpoint_of_the_schema_has_a_form() -> None:
    names = {f"{verb.upper()} {path}" for path, calls in SCHEMA["paths"].items() for verb in calls}
    assert KNOWN.keys() == names
    assert all(each.about and each.tag and each.role for each in KNOWN.values())


def test_only_calls_that_change_something_need_a_confirmation() -> None:
    harmless = {"POST /recommend", "POST /recommend/batch"}
    for name, endpoint in KNOWN.items():
        assert endpoint.changes == (endpoint.method != "GET" and name not in harmless), name


def test_parameters_have_their_kind_and_bounds() -> None:
    similar = {each.name: each for each in KNOWN["GET /movies/{movie_id}/similar"].parameters}
    assert (similar["movie_id"].kind, similar["movie_id"].required, similar["movie_id"].low) == ("integer", True, 1)
    assert (similar["n"].kind, similar["n"].low, similar["n"].high) == ("integer", 1, 100)
    assert {each.kind for each in KNOWN["GET /alerts"].parameters} == {"boolean", "integer"}


@pytest.mark.parametrize("name", [name for name, each in KNOWN.items() if each.body is not None])
def test_a_form_starts_with_a_body_that_has_what_is_needed(name: str) -> None:
    path, method = KNOWN[name].path, KNOWN[name].method.lower()
    part = SCHEMA["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]
    found = SCHEMA["components"]["schemas"][part["$ref"].rsplit("/", 1)[1]] if "$ref" in part else part
    assert set(found.get("required", ())) <= KNOWN[name].body.keys() <= found.get("properties", {}).keys()


@given(words, st.integers(1, 99), words, words)
def test_a_shell_reads_the_call_as_it_was_meant(query: str, count: int, segment: str, text: str) -> None:
    endpoint = Endpoint("POST", "/things/{name}", "t", "", "operator", (), {})
    path = endpoint.filled({"name": segment})
    line = curl(ADDRESS, endpoint, path, {"query": query, "n": count, "no": None}, {"text": text}, key=True)
    words = [word for word in shlex.split(line) if word != "\n"]
    assert words[:3] == ["curl", "-X", "POST"]
    url = httpx.URL(words[3])
    assert dict(url.params) == {"query": query, "n": str(count)}
    assert url.path == f"/things/{segment}"
    assert words[words.index("-H") + 1] == "Authorization: Bearer $KEY"
    assert words[words.index("-H", words.index("-H") + 1) + 1] == "Content-Type: application/json"
    assert json.loads(words[words.index("-d") + 1]) == {"text": text}


def test_a_plain_call_is_one_line() -> None:
    endpoint = KNOWN["GET /movies/{movie_id}"]
    line = curl(ADDRESS, endpoint, endpoint.filled({"movie_id": 1}), {}, None, key=False)
    assert line == f"curl {ADDRESS}/movies/1"
