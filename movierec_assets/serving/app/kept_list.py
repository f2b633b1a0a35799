"""The list that somebody looked at last on the page For you: whose it was, and what it was asked for with.

Belongs here: keeping it while the browser is connected, and the ways back to it. Does not: the list
(`app_pages.for_you`).

Streamlit binds the widgets of the page to its address. After the browser's Back, they have the values of the address,
and their defaults where it names none: of addresses that the way to another page left behind, that is nobody's list.
So what was chosen is also kept under a name that no widget has.
"""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st
from streamlit.errors import StreamlitAPIException

Part = int | str | list[str] | list[int] | None
USER = "user"
"""Entry of the session state, and part of the URL, with the id of the person."""
_KEPT, _RETURNS = "kept_list", "returns_to_list"


def keep(parts: Mapping[str, Part]) -> None:
    """Keep parts of the address of the list; None is a part that the address does not have."""
    kept = {**st.session_state.get(_KEPT, {}), **parts}
    st.session_state[_KEPT] = {name: value for name, value in kept.items() if value is not None}


def person() -> int | None:
    """Whose list was looked at last; None where none was."""
    user_id: int | None = st.session_state.get(_KEPT, {}).get(USER)
    return user_id


def address() -> dict[str, str | list[str]]:
    """Parts of the address of the list; empty where none was looked at."""
    kept: dict[str, Part] = st.session_state.get(_KEPT, {})
    return {
        name: [str(each) for each in value] if isinstance(value, list) else str(value) for name, value in kept.items()
    }


def come_back() -> None:
    """Show the list again that was looked at last, at an address that names no person; before the widgets of the page.

    The page is run anew: in the run that follows the browser's Back, an address without a part gives its widget the
    default, whatever else says otherwise.
    """
    if st.session_state.pop(_RETURNS, False):
        for name, value in st.session_state[_KEPT].items():
            if name not in st.session_state:
                st.query_params[name] = address()[name]
            else:
                st.session_state[name] = tuple(value) if isinstance(st.session_state[name], tuple) else value
        return
    if USER in st.query_params or not address():
        return
    try:
        st.query_params.from_dict(address())
    except StreamlitAPIException:  # the widgets are there already, and each writes its own part
        st.session_state[_RETURNS] = True
    st.rerun()


def link_back() -> None:
    """A button that leads back to the list; nothing where none was looked at."""
    user = person()
    if user is not None and st.button(
        f"Back to the list of user {user}", icon=":material/arrow_back:", key="back_to_list"
    ):
        # With the address of this page: no other one is left behind for the browser's Back. `come_back` does the rest.
        st.switch_page("app_pages/for_you.py", query_params=st.query_params.to_dict())
