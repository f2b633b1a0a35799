"""The asset graph with the state of each asset, and the schedules.

Belongs here: the page. Does not: reading Dagster (`dagster`), and the drawing (`graph`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import streamlit as st

from movierec_assets.serving.app import going, graph, look, times
from movierec_assets.serving.app.dagster import Asset, Check, Dagster, DagsterAway, Pipeline
from movierec_assets.settings import get_settings

KEPT_SECONDS, SOON_SECONDS = 10, 1
"""An answer of Dagster is shown at once; it is asked again when it is older than this."""
LEAD = "What is made from what, how old it is, and when it is made again."
_CHECK_SIGNS = {"passed": "✓", "warned": "!", "failed": "✗", "not run": "○"}
_ASSET = "pipeline_asset"
_ABOUT_DECISION = ("als_model", "return_evaluation", "model_evaluation", "champion_model")
_GRAPH, _DRAWN = "pipeline_graph", "pipeline_drawn"


def _dagster() -> Dagster:
    """The webserver that the settings name."""
    settings = get_settings()
    return going.webserver(settings.dagster_address, settings.dagster_pages)


@dataclass
class _Kept:
    """The latest answer of Dagster, for all who look."""

    pipeline: Pipeline | None = None


@st.cache_resource(show_spinner=False)
def _kept(address: str) -> _Kept:
    return _Kept()


def page() -> None:
    """The page: what is known at once, and states as soon as Dagster has read them, which takes it seconds."""
    with look.page("Pipeline", LEAD):
        note = st.empty()
        try:
            dagster = _dagster()
            kept = _kept(dagster.address)
            found = kept.pipeline or dagster.outline()
            _show(found, datetime.now(UTC))
            if found.at is None:
                kept.pipeline = dagster.pipeline()
                st.rerun()
            _renew(dagster, kept, found)
        except DagsterAway as away:
            with note:
                _say(away)


def _say(away: DagsterAway) -> None:
    look.state(away.message, f"{away.remedy} Recommendations do not need it.")


def _renew(dagster: Dagster, kept: _Kept, shown: Pipeline) -> None:
    """Ask Dagster again while the page is open, and show it anew when something has changed."""
    st.session_state[_DRAWN] = True  # the page itself waits for nothing

    @st.fragment(run_every=SOON_SECONDS if _is_old(shown) else KEPT_SECONDS)
    def renew() -> None:
        if st.session_state.pop(_DRAWN, False) or (kept.pipeline and not _is_old(kept.pipeline)):
            return
        try:
            kept.pipeline = dagster.pipeline()
        except DagsterAway as away:
            _say(away)
            return
        if replace(kept.pipeline, at=shown.at) != shown:
            st.rerun()

    renew()


def _is_old(found: Pipeline) -> bool:
    return found.at is None or (datetime.now(UTC) - found.at).total_seconds() >= KEPT_SECONDS


def _show(found: Pipeline, now: datetime) -> None:
    _figures(found, now)
    left, right = st.columns([5, 6], gap="large")
    with left:
        _picture(found, now)
    if found.at is None:
        return
    with right:
        _details(found, now)
        _schedules(found, now)
    _list(found, now)


def _figures(found: Pipeline, now: datetime) -> None:
    known = found.at is not None
    current = sum(asset.state == "up to date" for asset in found.assets)
    checks = [check for asset in found.assets for check in asset.checks]
    failed = sum(check.result == "failed" for check in checks)
    following = next((each for each in found.schedules if each.on and each.next_tick), None)
    tick = times.ahead(following.next_tick, now) if following and following.next_tick else None
    next_job = f"The job {following.job}" if following else None
    look.numbers(
        ("Assets up to date", f"{current} of {len(found.assets)}" if known else "…", None),
        ("Checks that failed", f"{failed} of {len(checks)}" if known else "…", None),
        ("Next scheduled job", tick if known else "…", next_job),
        ("Dagster's daemon", ("up" if found.daemon_up else "down") if known else "…", "Starts scheduled runs."),
    )


def _picture(found: Pipeline, now: datetime) -> None:
    def picked() -> None:
        rows = st.session_state[_GRAPH].get("selection", {}).get(graph.PICKED, [])
        if rows and rows[0].get("asset"):
            st.session_state[_ASSET] = rows[0]["asset"]

    current = sum(asset.state == "up to date" for asset in found.assets)
    known = "" if found.at is None else f", {current} of them up to date"
    drawn = graph.drawing(found.assets, now, look.INK)
    st.altair_chart(
        drawn,
        width="content",
        height=drawn.height,
        key=_GRAPH,
        on_select=picked,
        selection_mode=graph.PICKED,
        alt=f"Graph of {len(found.assets)} assets{known}. The list below the schedules has all.",
    )
    st.caption("A curve leads from an asset down to what is made from it. A click on a row shows the asset.")
    st.caption(graph.legend())
    st.link_button("Open the graph in Dagster", _dagster().page_of_graph(), icon=":material/open_in_new:")


def _details(found: Pipeline, now: datetime) -> None:
    names = [asset.name for asset in found.assets]
    wrong = (asset.name for asset in found.assets if asset.state in ("failed", "check failed"))
    if st.session_state.get(_ASSET) not in names:
        st.session_state[_ASSET] = next(wrong, "champion_model" if "champion_model" in names else names[0])
    picked = st.selectbox("Asset", names, key=_ASSET)
    _asset(next(asset for asset in found.assets if asset.name == picked), found, now)


def _asset(asset: Asset, found: Pipeline, now: datetime) -> None:
    st.markdown(f"**{_sign(asset)} {asset.state}**, made {_age(asset, now)}")
    st.markdown(look.with_code(asset.about.partition("\n\n")[0]))
    children = [each.name for each in found.assets if asset.name in each.parents]
    st.markdown(f"Made from: {', '.join(asset.parents) or 'files'}.  \nUsed by: {', '.join(children) or 'no asset'}.")
    if asset.last_run:
        run, page = asset.last_run, _dagster().page_of_run(asset.last_run.run_id)
        ended = f", {times.ago(run.ended, now)}" if run.ended else ""
        st.markdown(f"Last run: [{run.job} {run.run_id[:8]}]({page}), {run.state}{ended}.")
    if asset.name in _ABOUT_DECISION and st.button("The latest decision, and why", icon=":material/monitoring:"):
        st.switch_page("app_pages/quality.py")
    for check in asset.checks:
        st.markdown(_check(check))
    st.link_button("Open in Dagster", _dagster().page_of_asset(asset.name), icon=":material/open_in_new:")


def _check(check: Check) -> str:
    kind = "blocking check" if check.blocking else "check"
    said = f"  \n{look.plain(check.said)}" if check.said else ""
    return f"{_CHECK_SIGNS[check.result]} **{check.name}**, {kind}: {check.result}{said}"


def _schedules(found: Pipeline, now: datetime) -> None:
    st.header("Schedules")
    if not found.daemon_up:
        look.state("Dagster's daemon is down, so nothing starts by itself.", "`movierec up` starts it.")
    for schedule in found.schedules:
        tick = schedule.next_tick
        following = "off" if not schedule.on else "no tick" if tick is None else times.ahead(tick, now)
        at = f" ({times.at(tick)})" if tick else ""
        st.markdown(f"**{schedule.job}**: {following}{at}  \n{look.with_code(schedule.about)}")
    st.link_button("Open schedules in Dagster", _dagster().page_of_schedules(), icon=":material/open_in_new:")


def _list(found: Pipeline, now: datetime) -> None:
    with st.expander("All assets as a list"):
        group = None
        for asset in found.assets:
            if asset.group != group:
                group = asset.group
                st.markdown(f"### {group}")
            passed = sum(check.result == "passed" for check in asset.checks)
            checks = f"; {passed} of {len(asset.checks)} checks passed" if asset.checks else ""
            st.markdown(
                f"- [{asset.name}]({_dagster().page_of_asset(asset.name)}): {_sign(asset)} {asset.state}, made "
                f"{_age(asset, now)}{checks}; made from {', '.join(asset.parents) or 'files'}"
            )


def _sign(asset: Asset) -> str:
    return graph.SIGNS[asset.state][2]


def _age(asset: Asset, now: datetime) -> str:
    return "never" if asset.made_at is None else times.ago(asset.made_at, now)


if __name__ == "__main__":
    page()
