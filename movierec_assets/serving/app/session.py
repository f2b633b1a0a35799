"""What the pages share while the app runs, and while one browser is connected.

Belongs here: the API, kept answers, the version that is served, the operator's key. Does not: requests (`client`).
"""

from __future__ import annotations

from hashlib import sha256
from itertools import cycle
from typing import Any

import streamlit as st

from movierec_assets.serving.app.client import Api, Params
from movierec_assets.settings import get_settings

KEPT_SECONDS = 60
"""An answer is asked for again after this time, and with each change of the served model."""
VERSION_SECONDS = 2
OPERATOR_KEY = "operator_key"
"""Entry of the session state; no widget has this key, so that it is written nowhere else."""


@st.cache_resource(show_spinner=False)
def api() -> Api:
    """The API of the settings."""
    return Api.of(get_settings())


@st.cache_data(ttl=VERSION_SECONDS, show_spinner=False)
def health() -> Any:
    """The answer of GET /health, at most two seconds old."""
    return api().get("/health")


def served_version() -> int | None:
    """Version of the model that the API answers with; None without one."""
    version: int | None = health()["model"]["version"]
    return version


def cached(path: str, params: Params | None = None) -> Any:
    """The value of a GET, at most a minute old and of the version that is served now.

    Raises
    ------
    ApiAway, ApiProblem
    """
    return _kept(path, tuple(sorted((params or {}).items())), served_version())


@st.cache_data(ttl=KEPT_SECONDS, max_entries=500, show_spinner=False)
def _kept(path: str, params: tuple[tuple[str, Any], ...], version: int | None) -> Any:
    return api().get(path, dict(params))


def browser() -> str | None:
    """A name of the browser that stays while it is open, also over a reload; None where it has none."""
    return browser_of(st.context.cookies.get("_streamlit_xsrf", ""))


def browser_of(cookie: str) -> str | None:
    """A name from the token against forged requests that Streamlit gives each browser; each answer masks it anew."""
    try:
        version, mask, masked, _ = cookie.split("|")
        pairs = zip(bytes.fromhex(masked), cycle(bytes.fromhex(mask)), strict=False)
        token = bytes(one ^ other for one, other in pairs)
    except ValueError:
        return None
    return sha256(token).hexdigest() if version == "2" and token else None


def operator_key() -> str | None:
    """The operator's key of this browser session; None until somebody entered one."""
    key: str | None = st.session_state.get(OPERATOR_KEY)
    return key


def keep_operator_key(key: str | None) -> None:
    """Keep the operator's key until the browser's connection ends; None forgets it."""
    st.session_state[OPERATOR_KEY] = key
