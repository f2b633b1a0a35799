"""The page at /docs: the OpenAPI schema as a page to read, without a script and without a request to another host.

Belongs here: from schema to HTML. Does not: the schema (`schema`), and examples (`examples`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from movierec_assets.serving.api.examples import example_of, resolved

_STYLE = """
:root{color-scheme:light dark;--ink:#1d2430;--soft:#5b6472;--line:#dfe3ea;--paper:#fff;--band:#f6f7f9;--accent:#0b6e69}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#9aa4b2;--line:#303743;--paper:#14181f;--band:#1b212b;
--accent:#4cc3bb}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;scroll-padding-top:1rem}
body{margin:0;font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;color:var(--ink);
background:var(--paper);display:grid;grid-template-columns:17rem minmax(0,56rem);gap:0 3rem}
nav{position:sticky;top:0;height:100vh;overflow-y:auto;padding:1.5rem 1rem 3rem 1.5rem;
border-right:1px solid var(--line);background:var(--band);font-size:.86rem}
nav b{display:block;margin:1.1rem 0 .25rem;color:var(--soft);font-size:.74rem;text-transform:uppercase;
letter-spacing:.06em}
nav a{display:block;padding:.13rem 0;color:inherit;text-decoration:none;overflow-wrap:anywhere}
nav a:hover{color:var(--accent)}
main{padding:1.5rem 1.5rem 6rem 0}
h1{font-size:1.9rem;margin:.3rem 0 .2rem}
h2{font-size:1.3rem;margin:2.6rem 0 .1rem;padding-bottom:.3rem;border-bottom:1px solid var(--line);
text-transform:capitalize}
h2+p{margin:.3rem 0 1rem;color:var(--soft)}
h3{font-size:.78rem;margin:1.2rem 0 .3rem;color:var(--soft);text-transform:uppercase;letter-spacing:.06em}
section{border:1px solid var(--line);border-radius:10px;padding:.9rem 1.2rem 1.1rem;margin:1rem 0}
.call{font:600 1.02rem ui-monospace,SFMono-Regular,Menlo,monospace;overflow-wrap:anywhere}
.verb{display:inline-block;min-width:4.2rem;text-align:center;border-radius:6px;padding:.1rem .5rem;margin-right:.6rem;
color:#fff;font-size:.82rem}
.get{background:#2463a8}.post{background:#2b7a3d}.delete{background:#b03a2e}
.role{float:right;font-size:.78rem;color:var(--soft);border:1px solid var(--line);border-radius:99px;
padding:.05rem .6rem}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,monospace;font-size:.85em}
code{background:var(--band);border-radius:4px;padding:.08em .3em}
pre{background:var(--band);border:1px solid var(--line);border-radius:8px;padding:.7rem .9rem;overflow-x:auto;
margin:.4rem 0;max-height:26rem;line-height:1.45}
pre code{padding:0;background:none;font-size:.95em}
table{border-collapse:collapse;width:100%;font-size:.92rem}
td{border-top:1px solid var(--line);padding:.35rem .8rem .35rem 0;vertical-align:top}
td:first-child{width:12rem}
.kind{color:var(--soft);font-size:.85em}
details{margin-top:.8rem}
summary{cursor:pointer;color:var(--accent);font-size:.92rem}
@media(max-width:60rem){body{display:block}nav{position:static;height:auto;border:0}main{padding:1rem}}
"""
POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the page: its own style, and nothing else."""
_ROLES = {"open": "no key", "reader": "reader's key", "operator": "operator's key"}


def page_of(schema: Mapping[str, Any]) -> str:
    """The page of a schema."""
    info, tags = schema["info"], schema["tags"]
    links, parts = [], []
    for tag in tags:
        found = list(_operations(schema, tag["name"]))
        if not found:
            continue
        links.append(f"<b>{escape(tag['name'])}</b>")
        links += [
            f'<a href="#{escape(call["operationId"])}"><span class="kind">{verb.upper()}</span> {escape(path)}</a>'
            for path, verb, call in found
        ]
        parts.append(f'<h2 id="{escape(tag["name"])}">{escape(tag["name"])}</h2><p>{_text(tag["description"])}</p>')
        parts += [_section(schema, path, verb, call) for path, verb, call in found]
    paragraphs = "".join(f"<p>{_text(part)}</p>" for part in info["description"].strip().split("\n\n"))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<nav><strong>{escape(info['title'])}</strong>{''.join(links)}</nav><main>"
        f'<h1>{escape(info["title"])}</h1><p class="kind">Version {escape(info["version"])} · '
        f'<a href="/openapi.json">openapi.json</a></p>{paragraphs}'
        "<p>The calls below work with these two lines before them; without a key, leave its header out:</p>"
        "<pre><code>API=http://127.0.0.1:8000\nKEY=movierec_...</code></pre>"
        f"{''.join(parts)}</main></body></html>"
    )


def _operations(schema: Mapping[str, Any], tag: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, calls in schema["paths"].items():
        for verb, call in calls.items():
            if tag in call.get("tags", ()):
                yield path, verb, call


def _section(schema: Mapping[str, Any], path: str, verb: str, call: Mapping[str, Any]) -> str:
    body = call.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    rows = [_parameter(schema, each) for each in call.get("parameters", ())]
    parts = [
        f'<section id="{escape(call["operationId"])}"><span class="role">{_ROLES[call["x-role"]]}</span>'
        f'<div class="call"><span class="verb {verb}">{verb.upper()}</span>{escape(path)}</div>',
        *(f"<p>{_text(part)}</p>" for part in call.get("description", "").split("\n\n")),
        f"<h3>Parameters</h3><table>{''.join(rows)}</table>" if rows else "",
        f"<h3>Body</h3><table>{''.join(_fields(schema, body))}</table>" if body else "",
        f"<h3>Call</h3><pre><code>{escape(_curl(schema, path, verb, call, body))}</code></pre>",
    ]
    return "".join(parts) + _answers(schema, call) + "</section>"


def _parameter(schema: Mapping[str, Any], parameter: Mapping[str, Any]) -> str:
    found = resolved(schema, parameter["schema"])
    text = parameter.get("description") or found.get("description", "")
    return _row(
        parameter["name"], f"{parameter['in']}, {_kind(schema, found)}", text, required=parameter.get("required")
    )


def _fields(schema: Mapping[str, Any], body: Mapping[str, Any], within: str = "") -> Iterator[str]:
    """Rows of the fields of an object, and of objects in it."""
    found = resolved(schema, body)
    required = found.get("required", ())
    for name, field in found.get("properties", {}).items():
        inner = resolved(schema, field)
        yield _row(within + name, _kind(schema, inner), field.get("description", inner.get("description", "")),
                   required=name in required)  # fmt: skip
        many = inner.get("type") == "array"
        deeper = resolved(schema, inner["items"]) if many and "items" in inner else inner
        if deeper.get("properties"):
            yield from _fields(schema, deeper, f"{within}{name}{'[]' if many else ''}.")


def _row(name: str, kind: str, text: str, *, required: Any) -> str:
    needed = "" if not required else ", required"
    return (
        f"<tr><td><code>{escape(name)}</code></td>"
        f'<td>{_text(text)} <span class="kind">{escape(kind + needed)}</span></td></tr>'
    )


def _kind(schema: Mapping[str, Any], field: Mapping[str, Any]) -> str:
    """Type and bounds of a value, in words."""
    found = resolved(schema, field)
    if "enum" in found:
        return " or ".join(map(json.dumps, found["enum"]))
    kind = str(found.get("type", "value"))
    if kind == "array":
        kind = f"list of {_kind(schema, found.get('items', {}))}"
        return kind + (f", at most {found['maxItems']}" if "maxItems" in found else "")
    low, high = found.get("minimum"), found.get("maximum")
    if low is not None and high is not None:
        kind += f" from {_number(low)} to {_number(high)}"
    if "maxLength" in found:
        kind += f", at most {found['maxLength']} characters"
    if "default" in found and found["default"] not in (None, [], {}):
        kind += f", {json.dumps(found['default'])} without it"
    return kind


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else str(value)


def _curl(
    schema: Mapping[str, Any], path: str, verb: str, call: Mapping[str, Any], body: Mapping[str, Any] | None
) -> str:
    address, query = path, []
    for parameter in call.get("parameters", ()):
        value = parameter.get("example", example_of(schema, parameter["schema"]))
        if parameter["in"] == "path":
            address = address.replace("{" + parameter["name"] + "}", str(value))
        elif parameter.get("required") and parameter["in"] == "query":
            query.append(f"{parameter['name']}={value}")
    parts = ["curl -s", *([] if verb == "get" else [f"-X {verb.upper()}"])]
    parts.append(f'"$API{address}{"?" + "&".join(query) if query else ""}"')
    if call["x-role"] != "open":
        parts.append('-H "Authorization: Bearer $KEY"')
    if body is not None:
        example = json.dumps(example_of(schema, body), ensure_ascii=False)
        parts += ["-H 'Content-Type: application/json'", f"-d '{example}'"]
    return " \\\n  ".join([" ".join(parts[:-1] if len(parts) > 3 else parts), *(parts[-1:] if len(parts) > 3 else [])])


def _answers(schema: Mapping[str, Any], call: Mapping[str, Any]) -> str:
    shown, rows = "", []
    for status, given in call["responses"].items():
        response = resolved(schema, given)
        rows.append(f"<tr><td><code>{status}</code></td><td>{_text(response['description'])}</td></tr>")
        content = response.get("content", {}).get("application/json", {}).get("schema")
        if status.startswith("2") and content:
            example = json.dumps(example_of(schema, content), ensure_ascii=False, indent=2)
            shown = f"<h3>Answer</h3><pre><code>{escape(example)}</code></pre>"
    return f"{shown}<details><summary>All answers</summary><table>{''.join(rows)}</table></details>"


def _text(text: str) -> str:
    """Text with `code` and **bold**."""
    shown = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(" ".join(text.split()), quote=False))
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", shown)
