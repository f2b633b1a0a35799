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
"""A service that has not loaded a champion within this time needs help, and the champion may be changed again."""
SETTLED_SECONDS = 10
"""A service that serves nothing may still be reading a champion for this time."""
_STATE, _SAID, _LOADING, _LATE = "platform_state", "operate_said", "loading_champion", "loading_is_late"
_SERVES_NOTHING = "operate_serves_nothing"


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
    if said := st.session_state.pop(_SERVES_NOTHING, None):
        st.warning(said, icon=":material/warning:")


def await_champion(version: int, *, of_other_data: bool = False) -> None:
    """Say that a version is being loaded, until the service answers with it, or says why it serves nothing."""
    st.session_state[_LOADING] = (version, time.monotonic(), of_other_data)
    st.session_state[_LATE] = False


def loading() -> int | None:
    """The champion that the service is still loading; None when it answers with the champion."""
    waiting = st.session_state.get(_LOADING)
    return None if waiting is None else int(waiting[0])


def is_late() -> bool:
    """Whether the service has been loading for longer than `LONG_SECONDS`: nobody waits for it any more."""
    waiting = st.session_state.get(_LOADING)
    return waiting is not None and time.monotonic() - waiting[1] >= LONG_SECONDS


@st.fragment(run_every=LOOK_SECONDS)
def show_loading() -> None:
    """Say which champion is being loaded; when it is there, or cannot be, the page is shown anew."""
    version = loading()
    if version is None:
        return
    _, since, other = st.session_state[_LOADING]
    with look.calm(polls=True):
        found = session.api().get("/model")
        named, served = found["champion"], found["served"]["version"]
        follows = named is not None and named["version"] == version
        if follows and served == version:
            st.session_state[_LOADING] = None
            done(f"Version {version} is served now.")
        if follows and served is None and (other or time.monotonic() - since >= SETTLED_SECONDS):
            st.session_state[_LOADING] = None
            warn(f"Version {version} is the champion, and nothing is served. {found['served']['why_none'] or ''}")
        if is_late() and not st.session_state.get(_LATE):
            st.session_state[_LATE] = True
            st.rerun()
        until = "there is no model" if served is None else f"the API answers with version {served}"
        if served == version:
            until = "the list of versions is as it was before"
        remedy = (
            f"It takes longer than it should, and {until}. `movierec status` shows what is wrong."
            if is_late()
            else f"Until then {until}."
        )
        look.state(f"Version {version} is the champion; the service is loading it.", remedy, ":material/hourglass:")


def done(said: str) -> NoReturn:
    """Note what an action did, as Markdown, and show the page anew."""
    st.session_state[_SAID] = said
    forget_state()
    st.rerun()


def warn(said: str) -> NoReturn:
    """Note that nothing is served now and why, and show the page anew."""
    st.session_state[_SERVES_NOTHING] = look.with_code(said)
    forget_state()
    st.rerun()
