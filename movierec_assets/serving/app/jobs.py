"""Jobs that operators start, and the progress of their runs.

Belongs here: the buttons, and runs while they last. Does not: the page (`app_pages.operate`), launching, which the API
does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from movierec_assets.serving.app import asking, look, operating, session, times

LOOK_SECONDS = 2
"""Time between two looks at runs that are not finished."""
MOST = 5
"""Runs that are shown."""
_FOLLOWED, _OVER, _LAST_END = "followed_runs", "ended_runs", "last_end_of_runs"
_ENDED = ("SUCCESS", "FAILURE", "CANCELED")
_SIGNS = {"SUCCESS": "✓", "FAILURE": "✗", "CANCELED": "!"}
_UNFINISHED = ("queued", "not_started", "managed", "starting", "started", "canceling")


def show_runs(key: str, state: Mapping[str, Any]) -> None:
    """Runs that this session started, and others that are not finished."""
    automation = state["automation"] or {"runs": []}
    going = [each["run_id"] for each in automation["runs"] if each["status"] in _UNFINISHED]
    followed = list(dict.fromkeys([*st.session_state.get(_FOLLOWED, []), *going]))
    st.session_state[_FOLLOWED] = followed[-MOST:]
    if not followed:
        return
    st.header("Runs")
    ended = st.session_state.get(_OVER, set())
    waiting = not set(followed) <= ended

    @st.fragment(run_every=LOOK_SECONDS if waiting else None)
    def progress() -> None:
        with look.calm(polls=True):
            found = [session.api().get(f"/runs/{run_id}", key=key) for run_id in st.session_state[_FOLLOWED]]
            for run in found:
                _run(run)
            st.session_state[_LAST_END] = max((run["ended"] or 0.0 for run in found), default=0.0)
            over = {run["run_id"] for run in found if run["state"] in _ENDED}
            if over != st.session_state.get(_OVER, set()):
                st.session_state[_OVER] = over
                operating.forget_state()
                st.rerun()

    progress()


def last_end() -> float:
    """When the last run that is shown ended, in Unix seconds; 0 before one did."""
    end: float = st.session_state.get(_LAST_END, 0.0)
    return end


def _run(run: Mapping[str, Any]) -> None:
    now = datetime.now(UTC).timestamp()
    planned, done = run["planned"], run["done"]
    began, ended = run["started"], run["ended"]
    took = f", {times.length((ended or now) - began)}" if began else ""
    steps = f"{done} of {planned} steps" if planned else f"{done} steps"
    over = run["state"] in _ENDED
    share = 1.0 if run["state"] == "SUCCESS" else min(1.0, done / planned) if planned else 0.0
    doing = f": {', '.join(run['running'])}" if run["running"] else ""
    state = f"{_SIGNS[run['state']]} {run['state'].lower()}" if over else run["state"].lower()
    st.progress(share, text=f"**{run['job']}** {state}, {steps} done{took}{doing}")
    for failure in run["failures"]:
        st.error(look.plain(failure), icon=":material/error:")
    st.markdown(f"[Run {run['run_id'][:8]} in Dagster]({run['address']})")


def show_jobs(key: str) -> None:
    """Buttons of the jobs refresh, train and search."""
    refresh, train, search = st.columns(3)
    with refresh.container(border=True):
        st.markdown("**Refresh** the ratings")
        st.caption("Loads movies and ratings if their files changed.")
        changes = (
            "The tables of movies, ratings and users are replaced where their files changed. The champion stays, and "
            "lists follow the new ratings at once."
        )
        _ask_for(key, "refresh", changes, "/refresh-mv", {})
    with train.container(border=True):
        st.markdown("**Train** a challenger")
        st.caption("Fits, evaluates, decides on promotion, and writes the lists.")
        again = st.checkbox("Train although nothing changed", key="operate_retrain")
        changes = (
            "A new version is registered. It becomes the champion if the rule of promotion says so; then the lists of "
            "everybody are written anew. It takes seconds for 100,000 ratings and minutes for 20 million."
        )
        _ask_for(key, "train", changes, "/train", {"retrain": again})
    with search.container(border=True):
        st.markdown("**Search** for a better recipe")
        st.caption("Tries recipes on likes that are held out from training.")
        trials = st.number_input("Recipes to try, at most", 2, 10_000, 600, key="operate_trials")
        minutes = st.number_input("Minutes, at most", 1, 720, 5, key="operate_minutes")
        changes = (
            f"Up to {trials:,} recipes are tried for up to {minutes:,} minutes, which keep the machine's processors "
            "busy. No model changes: the next training takes the winner if it is better beyond chance."
        )
        _ask_for(key, "search", changes, "/search-recipe", {"trials": trials, "seconds": 60 * minutes})


def _ask_for(key: str, job: str, changes: str, path: str, body: Any) -> None:
    """A button that starts a job, after it has said what will change."""
    asking.confirmed(
        job, job.capitalize(), changes, lambda: _launch(key, path, body), working=f"The job {job} is started"
    )


def _launch(key: str, path: str, body: Any) -> None:
    run = session.api().post(path, body, key=key)
    st.session_state[_FOLLOWED] = [*st.session_state.get(_FOLLOWED, []), run["run_id"]]
    started = f"The job {run['job']} was started." if run["launched"] else f"The job {run['job']} was running already."
    operating.done(f"{started} Its run {run['run_id'][:8]} is shown below.")
