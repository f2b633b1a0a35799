"""What operators do: their key, and a confirmation before anything changes.

Belongs here: asking for the key and checking it, and asking again before a change. Does not: the changes
(`app_pages.operate`).

The key is typed into a form that forgets it when it is sent. From then on only the session state holds it, under a name
that no widget has: it is in no URL, no cookie, no log, and no argument of a cached function.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import NoReturn

import streamlit as st

from movierec_assets.serving.app import look, operating, session
from movierec_assets.serving.app.client import ApiAway, ApiProblem, can_be_sent

_MAKE = "`movierec keys create NAME --role operator` makes a key of an operator."
_UNKNOWN = "The API does not accept this key: it is unknown, expired or revoked."
_SENTENCE = re.compile(r"(?<=[.;]) ")
_OTHERWISE = "Choose another version, or try again."
_TYPED, _REFUSED = "typed_key", "refused_key"


def operator_key() -> str | None:
    """The operator's key, asked for while there is none; None until a key was accepted."""
    known = session.operator_key()
    if known is not None:
        left, right = st.columns([3, 1], vertical_alignment="center")
        left.caption("The operator's key is kept until this page is closed or loaded again.")
        if right.button("Forget the key", width="stretch"):
            session.keep_operator_key(None)
            operating.forget_state()
            st.rerun()
        return known
    if st.session_state.pop(_REFUSED, False):
        look.state("The API accepts the key no longer.", "Type another one.", icon=":material/key_off:")
    with st.form("operator", clear_on_submit=True):
        typed = st.text_input(
            "Operator key", type="password", autocomplete="off", key=_TYPED, placeholder="movierec_...",
            help="Kept in this session only: not in the address, a cookie or a log.",
        )  # fmt: skip
        sent = st.form_submit_button("Use this key")
    if not sent:
        st.caption(_how())
        return None
    problem = refusal(typed.strip())
    if problem is None:
        session.keep_operator_key(typed.strip())
        st.rerun()
    else:
        look.state(*problem, icon=":material/key_off:")
    return None


def refuse_key() -> NoReturn:
    """Forget a key that is accepted no longer, and ask for another one."""
    session.keep_operator_key(None)
    operating.forget_state()
    st.session_state[_REFUSED] = True
    st.rerun()


def _how() -> str:
    """How a key is made, as Markdown."""
    return f"Whoever has the platform's machine can make one: {_MAKE}"


def refusal(key: str) -> tuple[str, str] | None:
    """Why a key is not an operator's, and what to do; None when it is one.

    Raises
    ------
    ApiAway
    """
    if not key:
        return "No key was typed.", _MAKE
    if not can_be_sent(key):
        return _UNKNOWN, _MAKE
    answer = session.api().call("GET", "/alerts", params={"n": 1}, key=key)
    if answer.status == 401:
        return _UNKNOWN, _MAKE
    if answer.status == 403:
        return "This key is a reader's: it may read, and change no model and no run.", _MAKE
    if answer.status >= 400:
        said = answer.json if isinstance(answer.json, dict) else {}
        return "The key could not be checked.", str(said.get("detail", f"The API answered with {answer.status}."))
    return None


def confirmed(
    name: str, label: str, changes: str, do: Callable[[], None], *, working: str, disabled: bool = False
) -> None:
    """A button that first says what it will change, and changes it when a person agrees.

    While it works, it says so in place of the question, and its button is off. A refusal is shown at the button.

    Parameters
    ----------
    name : str
        Of the action, unique in the page.
    label : str
    changes : str
        What will change, as Markdown.
    do : callable
        The change. It ends in `operating.done`.
    working : str
        What is said while it works.
    disabled : bool
    """
    asked, agreed = f"asked {name}", f"agreed {name}"

    def ask() -> None:
        st.session_state[asked] = True

    def answer(yes: bool) -> None:
        st.session_state[asked], st.session_state[agreed] = False, yes

    button, below = st.empty(), st.empty()
    problem: ApiAway | ApiProblem | None = None
    if st.session_state.pop(agreed, False):
        button.button(label, key=f"works {name}", disabled=True)
        with below.container(), st.spinner(working, show_time=True):
            try:
                do()
            except (ApiAway, ApiProblem) as error:
                problem = error
    button.button(label, key=f"start {name}", on_click=ask, disabled=disabled)
    with below.container():
        if problem is not None:
            _refused(problem)
        elif st.session_state.get(asked) and not disabled:
            st.warning(changes, icon=":material/warning:")
            with st.container(horizontal=True):
                yes = f"Yes: {label[0].lower()}{label[1:]}"
                st.button(yes, key=f"yes {name}", on_click=answer, args=(True,))
                st.button("No, change nothing", key=f"no {name}", on_click=answer, args=(False,))


def _refused(problem: ApiAway | ApiProblem) -> None:
    """Why nothing was changed. What helps is on this page: sentences with commands for the shell are left out."""
    if not isinstance(problem, ApiProblem) or problem.status != HTTPStatus.CONFLICT:
        look.say(problem)
        return
    said = [part for part in _SENTENCE.split(problem.detail) if "`movierec" not in part and "--force" not in part]
    look.state("Nothing was changed.", f"{' '.join(said)} {_OTHERWISE}".strip(), ":material/error:")
