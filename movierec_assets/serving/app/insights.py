"""Insight documents and versions, as pages ask for them.

Belongs here: what several pages read of a version. Does not: how it is shown (`look`, `figures`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import streamlit as st

from movierec_assets.serving.app import look, session
from movierec_assets.serving.app.client import ApiProblem
from movierec_assets.serving.app.versions import dataset_of

NEWEST = 50
"""Versions that may be chosen, at most."""
_NOT_FOUND = 404
_LOOKED_AT = 5
"""Versions whose documents are looked for."""


def document(name: str, version: int | None = None) -> Any | None:
    """A document, as `answer` finds it; None where none was made yet."""
    found = answer(name, version)
    return None if found is None else found["document"]


def answer(name: str, version: int | None = None) -> Any | None:
    """A document with the time when it was made; None where none was made yet, and then a box says what makes it.

    Parameters
    ----------
    name : str
    version : int, optional
        Of the model; by default, the one that is served.

    Raises
    ------
    ApiAway, ApiProblem
    """
    try:
        return session.cached(f"/insights/{name}", {"version": version})
    except ApiProblem as problem:
        if problem.status != _NOT_FOUND:
            raise
        # The detail says first which document is missing, and then what makes it.
        remedy = problem.detail.partition(". ")[2] or problem.detail
        message = "There are no such figures yet."
        if version is None:
            look.explain(look.NothingYet(message, remedy))
        else:
            look.state(message, _of_old_version(version))
        return None


def moment(time: str) -> str:
    """A time of an answer for people, as in "2026-11-27 15:59 UTC"."""
    return f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M} UTC"


def latest(name: str, known: Sequence[dict[str, Any]]) -> Any | None:
    """The document of the champion or, where it has none, of the newest version that has one.

    Parameters
    ----------
    name : str
    known : sequence of dict
        As `versions` gives them.

    Raises
    ------
    ApiAway, ApiProblem
    """
    for version in sorted(known, key=lambda each: not is_champion(each))[:_LOOKED_AT]:
        try:
            return session.cached(f"/insights/{name}", {"version": version["version"]})["document"]
        except ApiProblem as problem:
            if problem.status != _NOT_FOUND:
                raise
    return document(name)


def _of_old_version(version: int) -> str:
    return (
        f"Version {version} was trained before this release, or its run did not get so far. Choose a newer version. If "
        "there is none: `movierec run --retrain` trains one with all figures."
    )


def versions() -> list[dict[str, Any]]:
    """Versions with metrics and decisions, newest first.

    Raises
    ------
    NothingYet
        When there is none.
    ApiAway, ApiProblem
    """
    found: list[dict[str, Any]] = session.cached("/models", {"n": NEWEST})["versions"]
    if not found:
        raise look.NothingYet("No version of the model was trained yet.")
    return found


def is_champion(version: dict[str, Any]) -> bool:
    """Whether this is the version that serves."""
    return "champion" in version["aliases"]


def chosen_version(known: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The version that somebody chooses; the champion at first, or the newest without one."""
    first = next((place for place, each in enumerate(known) if is_champion(each)), 0)
    chosen: int = st.selectbox(
        "Version of the model",
        range(len(known)),
        index=first,
        format_func=lambda place: _name(known[place]),
        help="The champion serves. Others were trained before or after it.",
    )
    return known[chosen]


def _name(version: dict[str, Any]) -> str:
    day = (version["created"] or "")[:10]
    parts = [f"Version {version['version']} on {dataset_of(version)}", *([f"of {day}"] if day else [])]
    return " ".join(parts) + (", the champion" if is_champion(version) else "")
