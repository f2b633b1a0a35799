"""The problem, a recommendation, and the two moments at which people ask for one.

Belongs here: the page. Does not: how the model works (`model`), how good it is (`quality`).
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from movierec_assets.serving.app import figures, insights, look, session

_SHOWN = 4
_ELAPSED = "time since the like before"


def page() -> None:
    """The page."""
    with look.page("Introduction", "Out of thousands of films, which ones will this person like next?"):
        known = insights.versions()
        trained, scored = (insights.latest(name, known) for name in ("training", "evaluation"))
        if trained is not None:
            _problem(trained)
        with look.below():
            if scored is not None:
                _simple_answers(scored)
            _recommendation(None if trained is None else trained.get("example_user"))
            if scored is not None:
                _two_moments(scored)


def _problem(trained: dict[str, Any]) -> None:
    counts, sample = trained["counts"], trained["sample"]
    pairs = counts["users"] * counts["movies"]
    st.header("The problem: almost everything is unknown", anchor="problem")
    st.markdown(
        "Imagine a table with a row for each person and a column for each film. People have seen few of the films, and "
        "have rated fewer. So nearly all cells are empty, and the empty ones are what we want to know. This is called "
        "*sparsity*. It is what makes the problem hard."
    )
    look.numbers(
        ("People", counts["users"], "Who like a film. Dataset also counts users without a like."),
        ("Films that somebody likes", counts["movies"], None),
        ("Likes", counts["positives"], None),
        ("Cells that are empty", f"{1 - counts['positives'] / pairs:.2%}", None),
    )
    st.markdown(
        f"The picture shows {sample['users']:,} people and {sample['movies']:,} films of this data, drawn at random. "
        f"Each of the {len(sample['likes']):,} dots is a like. Everything else is a question."
    )
    look.chart(
        figures.likes(sample),
        f"A table of {sample['users']} people and {sample['movies']} films with {len(sample['likes'])} dots for likes; "
        "most of the table is empty, and most dots are in the corner of active people and popular films.",
    )
    stars = trained["positive_threshold"]
    st.markdown(
        f"A **like** is a rating of {stars:g} stars or more. The model learns from likes only. What somebody chose to "
        "watch, and liked, says more about the next film than the difference between three stars and three and a half."
        if stars is not None
        else "The model learns from **likes**, the high ratings."
    )


def _simple_answers(scored: dict[str, Any]) -> None:
    st.header("Why simple answers do not do", anchor="simple-answers")
    st.markdown(
        "The films with the most likes are a safe answer, and the same one for everybody. Averages of stars favour "
        "films that few people rated. The model looks for people and films that belong together instead "
        "(*collaborative filtering*). For a test, each person's latest likes were hidden, and every method listed "
        "ten films for everybody."
    )
    rows = [
        {"method": found["ranker"], "hits": found["hit_rate_at_10"], "coverage": found["coverage_at_10"]}
        for found in scored["metrics"]
        if found["ranker"] not in ("champion then", "challenger then")
    ]
    left, right = st.columns(2)
    with left:
        st.markdown("**People who find a hidden like among the ten**")
        look.chart(
            figures.bars(rows, "method", "hits", title="share of people", own="this version", axis=".1%"),
            "Share of people with a hit among ten films, for each method.",
        )
    with right:
        st.markdown("**Films that appear on anybody's list**")
        look.chart(
            figures.bars(rows, "method", "coverage", title="share of liked films", own="this version", axis=".1%"),
            "Share of the films that somebody likes that is on anybody's list, for each method.",
        )


def _recommendation(user: int | None) -> None:
    st.header("What a recommendation is", anchor="recommendation")
    st.markdown(
        "A recommendation is a short list: the films with the highest score among those that the person has not rated. "
        "The score says how well a film fits the person's likes. Each film comes with its reasons."
    )
    # The user of the figures may be away since: the rest of the page does not need them.
    with look.calm():
        body = {"n": _SHOWN, "explain": True, "shown": False} | ({} if user is None else {"user_id": user})
        answer = session.api().post("/recommend", body)
        st.caption(
            "For nobody in particular: the most liked films." if user is None else f"For user {user:,}, at this moment:"
        )
        for place, movie in zip(st.columns(_SHOWN), answer["movies"], strict=False):
            liked = [(_because(each["kind"]), each["title"]) for each in movie["reasons"] if each.get("title")][:2]
            with place:
                look.film(movie, notes=liked)


def _because(kind: str) -> str:
    return "After" if kind == "after" else "Because of"


def _two_moments(scored: dict[str, Any]) -> None:
    st.header("Two moments", anchor="moments")
    st.markdown(
        "People ask at two moments, and these are different questions.\n* **In the sitting**: somebody has just "
        "liked a film, and asks what comes next. What others liked right after that film is the best hint.\n* **On "
        "return**: somebody comes back after a day or a year. The last film matters less than the taste over "
        "all.\n\nBoth count here: every version is scored at both moments, and a version that is clearly worse on "
        "return is never promoted. In this data most likes follow another one within minutes:"
    )
    rows = [
        {"time since the like before": each["part"], "people": each["users"]}
        for each in scored["slices"]
        if each["by"] == _ELAPSED and each["ranker"] == "this version"
    ]
    if not rows:
        st.markdown("The likes of this data carry no order in time.")
        return
    look.chart(
        figures.bars(rows, "time since the like before", "people", title="people", axis=",.0f"),
        "Number of people by the time between their hidden like and the like before it.",
    )


if __name__ == "__main__":
    page()
