"""The state of the platform, and what the last action of an operator did, in the session.

Belongs here: what the parts of the page Operate share. Does not: the key (`asking`).
"""

from __future__ import annotations

import time
from typing import Any, NoReturn

import streamlit as st

from movierec_assets.serving.app import session

KEPT_SECONDS = 5
"""The state of the platform is asked for again after this time."""
_STATE, _SAID = "platform_state", "operate_said"


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


def done(said: str) -> NoReturn:
    """Note what an action did, and show the page anew."""
    st.session_state[_SAID] = said
    forget_state()
    st.rerun()
