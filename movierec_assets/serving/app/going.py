"""The run that is going on, for pages that have nothing to show yet.

Belongs here: which run is going on, in words. Does not: the questions to Dagster (`dagster`), the state that a page
shows (`look`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import streamlit as st

from movierec_assets.serving.app import times
from movierec_assets.serving.app.dagster import Dagster, DagsterAway, Going
from movierec_assets.settings import get_settings

_KEPT_SECONDS = 2
_MOST = 2
"""Steps that are named."""


@dataclass(frozen=True)
class Run:
    """A run that is going on.

    Attributes
    ----------
    told : str
        As in "A run is going on: als_model, since 2026-11-28 10:00 UTC."
    """

    told: str


@st.cache_resource(show_spinner=False)
def webserver(address: str, pages: str) -> Dagster:
    """Dagster's webserver at an address, for all who look."""
    return Dagster(address, pages)


def run_now() -> Run | None:
    """The oldest run that is going on or waits; None where there is none, or Dagster does not answer."""
    settings = get_settings()
    found = _kept(settings.dagster_address, settings.dagster_pages)
    return None if found is None else Run(told(found))


def told(going: Going) -> str:
    """A run in a sentence."""
    doing = ", ".join(going.steps[:_MOST]) or f"the job {going.job}"
    since: datetime | None = going.since
    if since is None:
        return f"A run waits for its turn: {doing}."
    return f"A run is going on: {doing}, since {times.at(since)}."


@st.cache_data(ttl=_KEPT_SECONDS, show_spinner=False)
def _kept(address: str, pages: str) -> Going | None:
    try:
        return webserver(address, pages).going()
    except DagsterAway:
        return None
