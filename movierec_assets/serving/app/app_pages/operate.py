"""What operators do: run jobs, change the champion, and see what is wrong.

Belongs here: the page, alerts and backups. Does not: the key and confirmations (`asking`), runs (`jobs`), and versions
(`champions`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from movierec_assets.serving.app import asking, champions, jobs, look, operating, session, times
from movierec_assets.serving.app.client import ApiProblem

PART, _PART = "operate_part", "part"
"""The open part in the session, and in the address."""
LEAD = "Run jobs, compare versions, change the champion, and see what is wrong. It takes an operator's key."


def page() -> None:
    """The page."""
    with look.page("Operate", LEAD):
        key = asking.operator_key()
        if key is None:
            return
        try:
            state = operating.state_of(key)
        except ApiProblem as problem:
            if problem.status not in (401, 403):
                raise
            asking.refuse_key()  # revoked or expired since
        # Containers keep the place of everything below, so that a message or a run does not close what is open there.
        with st.container():
            operating.show_said()
        with st.container():
            if operating.loading() is not None:
                operating.show_loading()
        with st.container():
            _tiles(state)
        with st.container():
            jobs.show_runs(key, state)
        _parts(key, state)


def _parts(key: str, state: Mapping[str, Any]) -> None:
    """The chosen part; the others ask for nothing."""
    parts: dict[str, Callable[[], None]] = {
        "Jobs": lambda: jobs.show_jobs(key),
        "Versions": lambda: champions.show_versions(key, state),
        "Alerts": lambda: _alerts(key),
        "Data and backups": lambda: _keeping(state),
    }
    if PART not in st.session_state and st.query_params.get(_PART) in parts:
        st.session_state[PART] = st.query_params[_PART]  # as after a reload
    tabs = st.tabs(list(parts), key=PART, on_change="rerun")
    for tab, (name, show) in zip(tabs, parts.items(), strict=True):
        if tab.open:
            st.query_params[_PART] = name
            with tab, look.calm():
                show()


def _tiles(state: Mapping[str, Any]) -> None:
    now, champion, backup, disk = datetime.now(UTC), state["champion"], state["backup"], state["disk"]
    loading, since = operating.loading(), times.read(champion["since"]) if champion else None
    version = loading or (champion["version"] if champion else None)
    about = "The service is loading it." if loading else f"Since {times.at(since)}" if since else None
    made = times.read(backup["made"]) if backup else None
    look.numbers(
        ("Champion", f"version {version}" if version else None, about),
        ("Open alerts", state["open_alerts"], None),
        ("Latest backup", times.ago(made, now) if made else None, None),
        ("Free disk", _bytes(disk["free"]) if disk else None, f"Of {_bytes(disk['total'])}" if disk else None),
    )
    if champion and champion["problem"]:
        look.state("No version is served as champion.", champion["problem"])
    for name, reason in state["unreadable"].items():
        look.state(f"The part {name.replace('_', ' ')} cannot be read now.", reason)
    automation = state["automation"]
    if automation and not automation["daemon_up"]:
        look.state("Dagster's daemon is down: runs wait, and nothing starts by itself.", "`movierec up` starts it.")


def _alerts(key: str) -> None:
    everything = st.checkbox("Also those of the last 90 days that are over", key="operate_all_alerts")
    found = session.api().get("/alerts", {"all": everything, "n": 50}, key=key)["alerts"]
    now = datetime.now(UTC)
    if not found:
        st.markdown("No alert was told in the last 90 days." if everything else "✓ No alert is open.")
    for alert in found:
        since, over = datetime.fromisoformat(alert["since"]), times.read(alert["over_at"])
        with st.container(border=True):
            sign = "✓" if over else "✗"
            ended = f", over {times.ago(over, now)}" if over else ""
            st.markdown(f"{sign} **{look.plain(alert['title'])}**, since {times.ago(since, now)}{ended}")
            st.markdown(look.with_code(alert["reason"]))
            if not over:
                st.markdown(f"To do: {look.with_code(alert['remedy'])}")
            for channel, error in alert["not_delivered"].items():
                st.caption(f"Not told by {channel}: {look.plain(error) or 'not tried yet'}")


def _keeping(state: Mapping[str, Any]) -> None:
    now, data, backup, disk = datetime.now(UTC), state["data"], state["backup"], state["disk"]
    st.markdown("## Data")
    if data is None:
        st.markdown("Nothing is loaded. `movierec run` loads a dataset.")
    else:
        loaded = datetime.fromisoformat(data["loaded_at"])
        st.markdown(
            f"{look.plain(data['dataset'])}: {data['ratings']:,} ratings of {data['movies']:,} movies by "
            f"{data['users']:,} users, loaded {times.ago(loaded, now)}; {data['rejected']:,} rows rejected. "
            f"{data['app_ratings']:,} ratings were posted in the app."
        )
    st.markdown("## Backups")
    if backup is None:
        st.markdown(
            "There is no backup yet. The schedule `daily_backup` makes one each night; `movierec backup FILE` now."
        )
    else:
        made = datetime.fromisoformat(backup["made"])
        st.markdown(
            f"The newest is {times.length((now - made).total_seconds())} old ({times.at(made)}) and has "
            f"{_bytes(backup['size'])}; {backup['kept']} are kept."
        )
        st.code(backup["file"], language=None, wrap_lines=True)
    st.markdown("## Disk")
    if disk is not None:
        free, total, own, databases = (_bytes(disk[name]) for name in ("free", "total", "state", "databases"))
        st.markdown(f"{free} of {total} are free. The state directory has {own}, the databases have {databases}.")


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1e3:,.0f} kB"


if __name__ == "__main__":
    page()
