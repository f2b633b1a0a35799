"""How good the model is, and how that came about: scores, months of the past, decisions, and what people did.

Belongs here: the page. Does not: how the model works (`model`), and changing the champion (`operate`).
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from movierec_assets.serving.app import figures, insights, look, versions

_OWN = "this version"
_MOMENTS = ("in the sitting", "on return")
_FITS = ("champion then", "challenger then")
"""Rankers that are no baselines."""
_BY_HAND = tuple(versions.OUTCOMES[name] for name in ("manual", "rollback"))
_METRICS = {
    "ndcg_at_10": "NDCG",
    "map_at_10": "MAP",
    "precision_at_10": "Precision",
    "recall_at_10": "Recall",
    "truncated_recall_at_10": "Recall, truncated",
    "hit_rate_at_10": "Hit rate",
    "coverage_at_10": "Coverage",
    "popularity_share_at_10": "Share of the top 1 % of films",
    "gini_at_10": "Gini",
    "novelty_at_10": "Novelty, bits",
}
_EXPLAINED = (
    "**NDCG@10** looks at the first ten films of a list: it is 1 when the hidden likes are on top, less when they are "
    "further down, and 0 when none is there. It is low for every method, because only a few films are hidden among "
    "thousands, and because a film that somebody would like but never rated counts as a miss. So compare methods, and "
    "do not read it as a mark. The line through each point is its 95 % interval: with other people the mean would lie "
    "there 95 times of 100."
)


def page() -> None:
    """The page."""
    with look.page("Quality", "How good the recommendations are, on likes that were hidden from the model."):
        known = insights.versions()
        _latest(known)
        version = insights.chosen_version(known)
        scored = insights.document("evaluation", version["version"])
        if scored is not None:
            _both_moments(scored)
        with look.below():
            if scored is not None:
                _metrics(scored)
                _slices(scored)
            _months()
            _history(known)
            _people()


def _latest(known: list[dict[str, Any]]) -> None:
    """The decision that was made last, in words."""
    decisions = _decisions(known)
    if not decisions:
        return
    st.header("The latest decision", anchor="latest")
    last = decisions[0]
    _decision(last)
    if last["outcome"] in _BY_HAND:
        trained = next((each for each in decisions if each["outcome"] not in _BY_HAND), None)
        if trained is not None:
            st.markdown("The latest training before that:")
            _decision(trained)
    st.caption("A night without new ratings trains nothing and decides nothing; the page Pipeline shows its runs.")


def _decision(made: dict[str, str]) -> None:
    st.markdown(
        f"**Version {made['version']}: {made['outcome']}** ({_time(made['decided'])}, by {look.plain(made['by'])})."
    )
    look.text(made["reason"])


def _both_moments(scored: dict[str, Any]) -> None:
    st.header("Beside simpler methods, at both moments", anchor="moments")
    means = {(row["moment"], row["ranker"]): row["mean"] for row in scored["moments"]}
    popular = means.get((_MOMENTS[0], "popularity"))
    own = next(found for found in scored["metrics"] if found["ranker"] == _OWN)
    sitting, back = (_shown(means.get((moment, _OWN))) for moment in _MOMENTS)
    look.numbers(
        ("NDCG@10 in the sitting", sitting, "Likes that follow another one at once."),
        ("NDCG@10 on return", back, "Likes of people who come back days or years later."),
        ("Beside popularity", _ratio(means.get((_MOMENTS[0], _OWN)), popular), "NDCG@10, in the sitting."),
        (
            "Coverage",
            f"{own['coverage_at_10']:.1%}",
            "Of the films that somebody likes, those on anybody's list.",
        ),
    )
    st.markdown(_EXPLAINED)
    for place, moment in zip(st.columns(2), _MOMENTS, strict=True):
        rows = [row for row in scored["moments"] if row["moment"] == moment]
        with place:
            st.markdown(f"**{moment.capitalize()}**")
            if rows:
                look.chart(
                    figures.intervals(rows, "ranker", title="NDCG@10", own=_OWN),
                    f"NDCG at 10 {moment}, mean and 95 % interval of each method.",
                )
            else:
                look.state("Nothing is scored on return.", "Too few people came back in this data.")
    about = f"Scored for {scored['users']:,} people with {scored['held_out']:,} hidden likes in the sitting"
    if scored["users_on_return"]:
        about += f", and for {scored['users_on_return']:,} people in {scored['windows']:,} windows of time on return"
    left_out = f" Left out of data of this size: {', '.join(scored['left_out'])}." if scored["left_out"] else ""
    st.caption(f"{about}.{left_out}")
    if missing := _not_on_return(scored):
        st.caption(
            f"On return this report leaves out {missing}: they would have to be fitted anew for each window. "
            "`movierec evaluate --protocol time-split` scores them. The README's figures are of that command, with "
            "other windows and other people, so they differ from these."
        )
    _lead(scored)


def _not_on_return(scored: dict[str, Any]) -> str:
    """Baselines that are scored in the sitting only, in words; empty where there is none, or nobody returned."""
    sitting, back = ([row["ranker"] for row in scored["moments"] if row["moment"] == moment] for moment in _MOMENTS)
    names = [name for name in dict.fromkeys([*sitting, *scored["left_out"]]) if name not in (*back, *_FITS)]
    return ", ".join(names) if back else ""


def _lead(scored: dict[str, Any]) -> None:
    """The lead over the champion of that day, which the decision rests on."""
    lead, names = (
        scored["lead"],
        (f"Version {scored['challenger']}", f"the champion then, version {scored['champion_then']}"),
    )
    if lead is None:
        return
    st.markdown(
        f"{names[0]} beside {names[1]}, for the {lead['users']:,} people that both can be scored for: NDCG@10 differs "
        f"by **{lead['mean']:+.4f}** in the sitting (95 % {lead['low']:+.4f} to {lead['high']:+.4f})."
    )
    if back := scored["lead_on_return"]:
        st.markdown(f"On return: **{back['mean']:+.4f}** (95 % {back['low']:+.4f} to {back['high']:+.4f}).")


def _metrics(scored: dict[str, Any]) -> None:
    st.header("All figures of ten films, in the sitting", anchor="figures")
    rows = [
        {"method": found["ranker"]} | {label: found[name] for name, label in _METRICS.items()}
        for found in scored["metrics"]
    ]
    formats: dict[str, Any] = {label: st.column_config.NumberColumn(format="%.3f") for label in _METRICS.values()}
    formats["method"] = st.column_config.TextColumn(width=270, pinned=True)
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch", column_config=formats)
    st.caption(
        "Coverage: share of the liked films that is on anybody's list. Share of the top 1 %: how much of all lists the "
        "most liked films take. Gini: 0 when all films are listed equally often, 1 when one film takes all. Novelty: "
        "how rarely a listed film is liked."
    )


def _slices(scored: dict[str, Any]) -> None:
    found = list(dict.fromkeys(row["by"] for row in scored["slices"]))
    if not found:
        return
    st.header("For whom, and for which films", anchor="slices")
    by = st.segmented_control("NDCG@10 by", found, default=found[-1]) or found[-1]
    rows = [row for row in scored["slices"] if row["by"] == by]
    rankers = list(dict.fromkeys(row["ranker"] for row in rows))
    first = [name for name in (_OWN, "champion then", "challenger then", "popularity") if name in rankers]
    chosen = st.multiselect("Methods", rankers, default=first, max_selections=4) or first
    look.chart(
        figures.slices([row for row in rows if row["ranker"] in chosen], chosen),
        f"NDCG at 10 by {by}: mean and 95 % interval of each method in each part.",
    )


def _months() -> None:
    st.header("In every month of the past", anchor="backtest")
    st.markdown(
        "The recipe is trained anew on what was known before each month, of anybody, and scored on the month. Nothing "
        "from later is known, so figures are lower than above, and as they would have been."
    )
    found = insights.document("backtest")
    if found is None:
        return
    moment = st.segmented_control("Moment", _MOMENTS, default=_MOMENTS[0], key="moment_of_months") or _MOMENTS[0]
    months, years = ([row for row in found[name] if row["moment"] == moment] for name in ("months", "years_to_date"))
    if not years:
        look.state(
            "No month has people to score at this moment.", "Backtest more months: `movierec run --job backtest`."
        )
        return
    look.chart(
        figures.months(months, years),
        f"NDCG at 10 {moment} over the months: twelve months to date of the recipe, of the recipe without its signal "
        "and of "
        "popularity, with the single months of the recipe.",
        data=years,
    )
    st.caption(
        f"Recipe of {found['recipe_source']}, on {found['dataset']}. Lines are means over the people of the twelve "
        "months to date, the band is the recipe's 95 % interval, dots are months."
    )


def _history(known: list[dict[str, Any]]) -> None:
    st.header("Versions and decisions", anchor="versions")
    st.markdown(
        "Every training ends in a decision. A version is promoted when it is better than the champion beyond chance, "
        "or as good and trained on newer data. A night without new ratings trains nothing, and decides nothing."
    )
    st.caption(
        "Each version is scored on the likes that were the latest on its day, so figures move with the data too: a "
        "decision compares two versions on the same likes, and its reason has other figures than the chart. Figures of "
        "different datasets do not compare at all."
    )
    prefix = {"In the sitting": "", "On return": "return_"}
    moment = st.segmented_control("Moment", list(prefix), default="In the sitting", key="moment_of_history")
    rows = [row for each in reversed(known) if (row := _of_version(each, prefix[moment or "In the sitting"]))]
    if rows:
        look.chart(
            figures.history(rows),
            "NDCG at 10 of each version with its 95 % interval; promoted versions are diamonds. A line joins versions "
            "of one dataset.",
            data=rows,
        )
    decisions = [row | {"decided": _time(row["decided"])} for row in _decisions(known)]
    st.dataframe(
        pd.DataFrame(decisions),
        hide_index=True,
        width="stretch",
        row_height=70,  # reasons have two or three lines
        column_config={"reason": st.column_config.TextColumn("reason", width="large")},
    )


def _of_version(version: dict[str, Any], prefix: str) -> dict[str, Any] | None:
    metrics, outcome, number = version["metrics"], version["outcome"], version["version"]
    promoted = any(each["promoted"] and each["model_version"] == number for each in version["decisions"])
    name = f"{prefix}ndcg_at_10"
    if name not in metrics:
        return None
    return {
        "version": number,
        "dataset": versions.dataset_of(version),
        "mean": metrics[name],
        "low": metrics.get(f"{name}_low"),
        "high": metrics.get(f"{name}_high"),
        "promoted": "promoted" if promoted else "not promoted",
        "outcome": versions.OUTCOMES.get(outcome or "", outcome or "no decision"),
    }


def _decisions(known: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Decisions about all versions, newest first."""
    # A decision is told of its version and of the champion that it was about.
    found = {each["decision_id"]: each for version in known for each in version["decisions"]}
    named = {each["version"]: versions.dataset_of(each) for each in known}
    return [
        {
            "decided": each["decided_at"],
            "version": str(each["model_version"]),
            "dataset": named.get(each["model_version"], "not known any more"),
            "outcome": versions.OUTCOMES.get(each["outcome"], each["outcome"]),
            "reason": each["reason"],
            "by": each["decided_by"],
        }
        for _, each in sorted(found.items(), reverse=True)
    ]


def _people() -> None:
    st.header("What people did with their lists", anchor="people")
    st.markdown(
        "Lists of the last four weeks: how often a film that was shown was clicked or dismissed, or rated as a like "
        "within a week. The place in the list decides most clicks, so compare at the same place."
    )
    found = insights.document("feedback")
    if found is None:
        return
    if not found["by_version"]:
        look.state("No list was shown in these weeks.", "Ask for one on the page For you; a run each night counts.")
        return
    st.dataframe(pd.DataFrame([_shares(row) for row in found["by_version"]]), hide_index=True, width="stretch")
    sources = list(dict.fromkeys(row["source"] for row in found["by_position"]))
    source = st.segmented_control("Source of the list", sources, default=sources[0]) or sources[0]
    rows = [
        {"place": row["position"], **row["click"]}
        for row in found["by_position"]
        if row["source"] == source and row["click"] is not None
    ]
    if rows:
        look.chart(
            figures.by_place(rows),
            f"Share of films of the source {source} that were clicked, by place in the list, with 95 % intervals.",
        )
    else:
        look.state("Too few people for intervals.", "They need lists of ten people at a place.")
    st.caption(f"{found['first']} to {found['last']}, UTC.")


def _shares(row: dict[str, Any]) -> dict[str, str]:
    counts = {"people": row["users"], "films shown": row["shown"]}
    shares = {
        name: f"{row[count] / row['shown']:.2%}"
        + (f" ({row[share]['low']:.2%} to {row[share]['high']:.2%})" if row[share] else " (too few people)")
        for name, count, share in (
            ("clicked", "clicked", "click"),
            ("dismissed", "dismissed", "dismiss"),
            ("liked within a week", "liked", "like"),
        )
    }
    version = "none" if row["version"] is None else str(row["version"])
    return {"source": row["source"], "version": version} | {name: f"{n:,}" for name, n in counts.items()} | shares


def _shown(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _ratio(value: float | None, other: float | None) -> str | None:
    return f"{value / other:.1f} times" if value is not None and other else None


def _time(text: str) -> str:
    """A time of the API for people, in UTC."""
    return f"{text[:10]} {text[11:16]} UTC"


if __name__ == "__main__":
    page()
