"""Each endpoint of the API with a form that calls it.

Belongs here: the page. Does not: the schema (`openapi`), and what the API answers.
"""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from movierec_assets.serving.app import look, session
from movierec_assets.serving.app.client import Answer
from movierec_assets.serving.app.openapi import Endpoint, Parameter, curl, endpoints
from movierec_assets.settings import get_settings

LEAD = "Each endpoint with a form that calls it, and the same call for your shell."
_ROLES = {
    "open": "No key needed",
    "reader": "A reader's key, or none where the API lets this machine read without one",
    "operator": "An operator's key",
}
_START = "POST /recommend"
_CALLED = "api_called"
_SHOWN_TO_SOMEBODY = "shown"
"""Field or parameter of lists: a list that is tried here is shown to nobody."""
_LABEL = 36
"""Height of the label of a field with the room below it, in pixels."""
_SHOWN = 20_000
"""Characters of an answer that are shown."""


def page() -> None:
    """The page."""
    with look.page("API", LEAD):
        known = endpoints(session.cached("/openapi.json"))
        subjects = list(dict.fromkeys(each.tag for each in known))
        left, right = st.columns([2, 3])
        first = next((each for each in known if each.name == _START), known[0])
        subject = left.selectbox("Subject", subjects, index=subjects.index(first.tag), key="api_subject")
        named = {each.name: each for each in known if each.tag == subject}
        chosen = named[right.selectbox("Endpoint", list(named), key=f"api_endpoint_{subject}")]
        st.markdown(look.with_code(chosen.about))
        st.caption(_ROLES.get(chosen.role, chosen.role))
        _form(chosen)
        st.caption("The API's own page, /docs, has every field and every refusal, and /openapi.json is for programs.")


def _form(endpoint: Endpoint) -> None:
    values = {each.name: _value(endpoint, each) for each in endpoint.parameters if each.place != "header"}
    places = {each.name: each.place for each in endpoint.parameters}
    path = endpoint.filled({name: value for name, value in values.items() if places[name] == "path" and value})
    query = {name: value for name, value in values.items() if places[name] == "query"}
    body, problem = _body(endpoint)
    key = session.operator_key() if endpoint.role == "operator" else None
    st.markdown("**The call for your shell**")
    keyed = endpoint.role == "operator" or (endpoint.role == "reader" and get_settings().app_api_key_file is not None)
    line = curl(get_settings().api_public_address.rstrip("/"), endpoint, path, query, body, key=keyed)
    # Without a language: the colours of words have too little contrast.
    st.code(line, language=None, wrap_lines=True)
    if endpoint.role == "operator":
        st.caption(
            "The call sends the key of the page Operate." if key else "Without a key: enter one on the page Operate."
        )
    agreed = not endpoint.changes or st.checkbox("This call changes something. Call it.", key=_agreement(endpoint))
    if problem:
        st.error(problem, icon=":material/error:")
    st.button(
        "Call", disabled=bool(problem) or not agreed, key=f"call {endpoint.name}", on_click=_called, args=[endpoint]
    )
    if st.session_state.pop(_CALLED, None) == endpoint.name:
        answer = session.api().call(endpoint.method, path, params=query, body=body, key=key)
        _show(answer)


def _called(endpoint: Endpoint) -> None:
    """Note that a person wants a call; who wants it once more agrees once more."""
    st.session_state[_CALLED] = endpoint.name
    if endpoint.changes:
        st.session_state[_agreement(endpoint)] = False


def _agreement(endpoint: Endpoint) -> str:
    return f"agreed {endpoint.name}"


def _value(endpoint: Endpoint, parameter: Parameter) -> Any:
    """The value that a person gives; None for none."""
    label = parameter.name if parameter.required else f"{parameter.name} (optional)"
    key, about = f"{endpoint.name} {parameter.name}", parameter.about or None
    start = parameter.example if parameter.required else None
    if parameter.kind in ("integer", "number"):
        low, high = parameter.low, parameter.high
        kind: Any = int if parameter.kind == "integer" else float
        limits = {name: kind(limit) for name, limit in (("min_value", low), ("max_value", high)) if limit is not None}
        return st.number_input(
            label, value=None if start is None else kind(start), help=about, key=key, step=kind(1), **limits
        )
    if parameter.kind == "boolean":
        first = 1 if parameter.name == _SHOWN_TO_SOMEBODY else None
        return _word(st.selectbox(label, ["true", "false"], index=first, help=about, key=key))
    if parameter.kind == "choice":
        return st.selectbox(label, parameter.choices, index=None, help=about, key=key)
    typed = st.text_input(label, value="" if start is None else str(start), help=about, key=key).strip()
    return typed or None


def _word(chosen: str | None) -> bool | None:
    return None if chosen is None else chosen == "true"


def _body(endpoint: Endpoint) -> tuple[Any, str]:
    """The body that a person gives, and why it cannot be read."""
    if endpoint.body is None:
        return None, ""
    example = json.dumps(_tried(endpoint), indent=2, ensure_ascii=False)
    height = 34 + 25 * min(16, example.count("\n") + 2)
    with st.container(height=height + _LABEL, border=False):  # its place has its height before it can be drawn
        typed = st.text_area("Body, as JSON", example, height=height, key=f"body {endpoint.name}")
    try:
        return json.loads(typed), ""
    except ValueError as error:
        return None, f"The body is no JSON: {error}."


def _tried(endpoint: Endpoint) -> Any:
    """The example of a body, whose lists are shown to nobody, so that they count in no figure."""
    unseen, body = {_SHOWN_TO_SOMEBODY: False}, endpoint.body
    if endpoint.path == "/recommend":
        return body | unseen
    if endpoint.path == "/recommend/batch":
        return body | {"requests": [each | unseen for each in body["requests"]]}
    return body


def _show(answer: Answer) -> None:
    good = answer.status < 400
    number = f", request {answer.request_id}" if answer.request_id else ""
    said = f"Status {answer.status} in {answer.seconds * 1000:,.0f} ms{number}"
    (st.success if good else st.warning)(said, icon=":material/check:" if good else ":material/error:")
    shown = answer.text if answer.json is None else json.dumps(answer.json, indent=2, ensure_ascii=False)
    if not shown:
        st.caption("The answer has no body.")
        return
    st.code(shown[:_SHOWN], language=None, height=420 if len(shown) > 900 else None)
    if len(shown) > _SHOWN:
        st.caption(f"The first {_SHOWN:,} of {len(shown):,} characters.")


if __name__ == "__main__":
    page()
