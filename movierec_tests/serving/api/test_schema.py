"""The schema: as it was, complete, and true of a running worker."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema_rs import Draft202012Validator

from movierec_assets.models.decision_history import Record
from movierec_assets.serving import registry_change
from movierec_assets.serving.api.app import create_app
from movierec_assets.serving.api.docs_page import page_of
from movierec_assets.serving.api.examples import example_of, resolved
from movierec_assets.serving.api.field_examples import EXAMPLES, needs_example
from movierec_assets.serving.api.problems import MEDIA_TYPE, UNION_LABEL
from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.registry_change import Change, ChangeRefusedError, Refusal
from movierec_assets.settings import PROJECT_ROOT, Settings
from movierec_assets.tables.api_keys import create_key
from movierec_assets.tables.database import Database
from movierec_tests.serving.api.conftest import running, served

HERE = Path(__file__).parent
SNAPSHOT = HERE / "openapi.json"
NO_DATABASE = Settings(database_url="postgresql://nobody@127.0.0.1:9/nothing")


def schema_of_all() -> dict[str, Any]:
    from movierec_assets.serving.api.parts import running_worker

    return create_app(NO_DATABASE, running_worker).openapi()


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return schema_of_all()


def operations(schema: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, calls in schema["paths"].items():
        for verb, call in calls.items():
            yield f"{verb.upper()} {path}", call


def test_the_schema_is_the_one_that_clients_know(schema: dict[str, Any]) -> None:
    known = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    schema = json.loads(json.dumps(schema))
    assert schema == known, (
        "The API changed. If clients can live with it: python -m movierec_tests.serving.api.test_schema"
    )


def test_the_page_of_the_api_names_every_endpoint_and_no_other(schema: dict[str, Any]) -> None:
    page = (PROJECT_ROOT / "movierec_assets" / "docs" / "api.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if re.match(r"\| `(GET|POST|DELETE) /", line)]
    named = re.findall(r"`(?:(GET|POST|DELETE) )?(/[^`?]*)", " ".join(rows))
    verbs = [verb for verb, _ in named]
    for at, verb in enumerate(verbs):
        verbs[at] = verb or verbs[at - 1]
    assert {f"{verb} {path}" for verb, (_, path) in zip(verbs, named, strict=True)} == {
        name for name, _ in operations(schema)
    }


def test_every_endpoint_says_what_it_does_and_how_it_refuses(schema: dict[str, Any]) -> None:
    for name, call in operations(schema):
        assert call["description"], name
        assert call["tags"], name
        assert {"422", "500"} <= call["responses"].keys(), name
        if call["x-role"] != "open":
            assert {"401", "403", "429", "503"} <= call["responses"].keys(), name
        for status, answer in call["responses"].items():
            if status >= "400" and not (call["x-role"] == "open" and status == "503"):
                assert list(resolved(schema, answer)["content"]) == [MEDIA_TYPE], (name, status)
        names = [each["name"] for each in (*schema["tags"],)]
        assert set(call["tags"]) <= set(names), name


def test_every_number_list_and_text_of_a_body_has_bounds(schema: dict[str, Any]) -> None:
    def unbounded(part: Mapping[str, Any], where: str) -> Iterator[str]:
        if "$ref" in part:
            part = schema["components"]["schemas"][part["$ref"].rsplit("/", 1)[1]]
        for each in part.get("anyOf", ()):
            yield from unbounded(each, where)
        kind = part.get("type")
        low, high = {"minimum", "exclusiveMinimum"} & part.keys(), {"maximum", "exclusiveMaximum"} & part.keys()
        if kind in ("integer", "number") and not (low and high):
            yield where
        if kind == "string" and not {"maxLength", "pattern", "enum", "const", "format"} & part.keys():
            yield where
        if kind == "array":
            if "maxItems" not in part:
                yield where
            yield from unbounded(part["items"], f"{where}[]")
        if kind == "object":
            if part.get("additionalProperties", True) is not False:
                yield where
            for name, field in part.get("properties", {}).items():
                yield from unbounded(field, f"{where}.{name}")

    found: list[str] = []
    for name, call in operations(schema):
        for parameter in call.get("parameters", ()):
            if parameter["in"] in ("path", "query"):
                found += unbounded(parameter["schema"], f"{name} {parameter['name']}")
        if "requestBody" in call:
            found += unbounded(call["requestBody"]["content"]["application/json"]["schema"], name)
    assert not found


def test_no_field_is_named_as_a_member_of_a_union_is_in_errors(schema: dict[str, Any]) -> None:
    fields = {field for body in schema["components"]["schemas"].values() for field in body.get("properties", {})}
    assert {"user_id", "at"} <= fields
    assert not [field for field in fields if UNION_LABEL.fullmatch(field)]


def test_every_field_of_every_body_has_an_example_that_fits(schema: dict[str, Any]) -> None:
    bodies = {name: body for name, body in schema["components"]["schemas"].items() if name != "Problem"}
    fields = [
        (name, field, part) for name, body in bodies.items() for field, part in body.get("properties", {}).items()
    ]
    assert not [f"{name}.{field}" for name, field, part in fields if needs_example(part)]
    definitions = json.loads(json.dumps(schema))
    for name, field, part in fields:
        for example in part.get("examples", ()):
            found = Draft202012Validator({**part, "components": definitions["components"]})
            assert found.is_valid(example), (name, field, example)
    names = {field for _, field, _ in fields} | {f"{name}.{field}" for name, field, _ in fields}
    assert names >= EXAMPLES.keys(), "an example of no field"


def test_the_page_shows_every_call_and_asks_no_other_host_for_anything(
    client: httpx.Client, schema: dict[str, Any]
) -> None:
    page = client.get("/docs").text
    address = str(client.base_url).rstrip("/")
    assert page == page_of(schema, address)
    assert f"API={address}" in page
    for name, call in operations(schema):
        assert f'id="{call["operationId"]}"' in page, name
    assert not re.search(r"<(script|img|iframe|link|object)|url\(|@import", page)
    assert client.get("/docs").headers["content-security-policy"].startswith("default-src 'none'")
    assert client.get("/openapi.json").json() == json.loads(json.dumps(schema))


@pytest.mark.parametrize("path", ["/recommend", "/recommend/batch"])
def test_the_examples_of_bodies_are_accepted(client: httpx.Client, schema: dict[str, Any], path: str) -> None:
    body = schema["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    example = json.loads(json.dumps(example_of(schema, body)).replace("42", "5"))
    assert client.post(path, json=example).status_code == 200


async def change_by_version(change: Change) -> dict[str, Any]:
    """In place of a change of the registry: each end that one can have, by the version."""
    refusals: list[Refusal | None] = ["no such version", None, "refused", "busy", "unavailable"]
    kind = refusals[change.version % 5] if change.version else None
    if kind is not None:
        raise ChangeRefusedError(kind, f"The change of {change.version} ends as {kind}.")
    record = Record(
        1, datetime.now(UTC), change.version or 1, None, "manual", True, change.reason, {}, None, "a key", "done"
    )
    return {"decision": record.as_dict(), "other_data": None}


@pytest.mark.slow
def test_schemathesis_finds_nothing(
    worker: Worker, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A change runs in a process of its own, for seconds; tests of these routes call it.
    monkeypatch.setattr(registry_change, "carry_out", change_by_version)
    worker.settings = worker.settings.model_copy(update={"api_rate_limit": 0})
    key = create_key(database, "operator", "schemathesis")
    tool = Path(sys.executable).with_name("schemathesis")
    with served(create_app(worker.settings, running(worker))) as client:
        config, address = str(HERE / "schemathesis.toml"), str(client.base_url.join("/openapi.json"))
        command = [str(tool), "--config-file", config, "run", address]
        options = ["--checks", "all", "-H", f"Authorization: Bearer {key}"]
        ended = subprocess.run(
            [*command, *options], cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False
        )
    assert ended.returncode == 0, ended.stdout[-20_000:] + ended.stderr[-2_000:]


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(schema_of_all(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
