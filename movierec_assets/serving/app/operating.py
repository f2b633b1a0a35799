"""The state of the platform, and what the last action of an operator did, in the session.

Belongs here: what the parts of the page Operate share. Does not: the key (`asking`).
"""

from __future__ import annotations

import time
from typing import Any, NoReturn

import streamlit as st

from movierec_assets.serving.app import look, session

KEPT_SECONDS = 5
"""The state of the platform is asked for again after this time."""
LOOK_SECONDS = 2
"""Time between two looks at the model that is served."""
LONG_SECONDS = 60
"""A service that has not loaded a champion within this time needs help."""
_STATE, _SAID, _LOADING = "platform_state", "operate_said", "loading_champion"


def state_of(key: str) -> dict[str, Any]:
    """The answer of GET /status, at most some seconds old, kept in the session."""
    kept = st.session_state.get(_STATE)
    if kept is None or time.monotonic() - kept[0] > KEPT_SECONDS:
        kept = (time.monotonic(), session.api().get("/status", key=key))
        st.session_state[_STATE] = kept
    found: dict[str, Any] = kept[1]
    return found


def forget_state() -> None:
    """Ask for the state again when it is needed next."""
    st.session_state.pop(_STATE, None)


def show_said() -> None:
    """What the last action did, shown once."""
    if said := st.session_state.pop(_SAID, None):
        st.success(said, icon=":material/check:")


def await_champion(version: int) -> None:
    """Say that a version is being loaded, until the service answers with it."""
    st.session_state[_LOADING] = (version, time.monotonic())


def loading() -> int | None:
    """The champion that the service is still loading; None when it answers with the champion."""
    waiting = st.session_state.get(_LOADING)
    return None if waiting is None else int(waiting[0])


@st.fragment(run_every=LOOK_SECONDS)
def show_loading() -> None:
    """Say which champion is being loaded; when it is there, the page is shown anew."""
    version, since = st.session_state.get(_LOADING) or (None, 0.0)
    if version is None:
        return
    with look.calm():
        found = session.api().get("/model")
        named, served = found["champion"], found["served"]["version"]
        if named and named["version"] == version == served:
            st.session_state[_LOADING] = None
            forget_state()
            st.rerun()
        until = "there is no model" if served is None else f"the API answers with version {served}"
        if served == version:
            until = "the list of versions is as it was before"
        remedy = (
            f"Until then {until}."
            if time.monotonic() - since < LONG_SECONDS
            else f"It takes longer than it should, and {until}. `movierec status` shows what is wrong."
        )
        look.state(f"Version {version} is the champion; the service is loading it.", remedy, ":material/hourglass:")


def done(said: str) -> NoReturn:
    """Note what an action did, and show the page anew."""
    st.session_state[_SAID] = said
    forget_state()
    st.rerun()
