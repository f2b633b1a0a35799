"""The loaded dataset in figures.

Belongs here: the page. Does not: figures, which the asset `raw_ratings` leaves as the insight `dataset`.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from movierec_assets.serving.app import insights, look
from movierec_assets.serving.app.figures import OTHER, OWN

_HEIGHT = 260
_NO_GENRE, _NO_YEAR = "no genre", "no year"


def page() -> None:
    """The page."""
    with look.page("Dataset", "What the loaded ratings are, how they are spread, and which rows did not load."):
        answer = insights.answer("dataset")
        if answer is None:
            return
        document = answer["document"]
        name = look.plain(document["dataset"] or "The loaded dataset")
        st.caption(
            f"{name}, file {look.plain(document['file'])}. Figures of the file alone, made "
            f"{insights.moment(answer['made_at'])}. Ratings that people posted in the app are counted apart."
        )
        _numbers(document, answer["in_the_app"])
        _stars_and_months(document)
        with look.below():
            _tails(document)
            _genres(document)
            _rejected(document)


def _numbers(document: dict[str, Any], in_the_app: dict[str, int]) -> None:
    counts, density = document["counts"], document["density"]
    look.numbers(
        ("Ratings", counts["ratings"], None),
        ("Users", counts["users"], None),
        ("Rated movies", counts["rated_movies"], f"Of {counts['movies']:,} in the catalogue."),
        ("Mean stars", None if document["mean_stars"] is None else f"{document['mean_stars']:.2f}", None),
        (
            "Rejected rows",
            counts["rejected"],
            f"Of {counts['rows_read']:,} rows of the file. They are at the end of this page.",
        ),
        (
            "Posted in the app",
            in_the_app["ratings"],
            f"Every time that a person rated or withdrew: {in_the_app['today']:,} today, by {in_the_app['users']:,} "
            "people in all. A film that was rated twice counts twice.",
        ),
    )
    if document["rejected"]:
        st.markdown("[Rejected rows, with reasons](#rejected)")
    if density:
        st.markdown(
            f"The ratings fill **{100 * density:.2g}%** of the matrix of users and rated movies: of "
            f"{round(1 / density):,} pairs of a user and a movie, one is rated. The model predicts the others."
        )


def _stars_and_months(document: dict[str, Any]) -> None:
    left, right = st.columns(2, gap="medium")
    total = max(1, document["counts"]["ratings"])
    stars = pd.DataFrame(document["stars"])
    stars["share"] = stars["ratings"] / total
    most = stars.loc[stars["ratings"].idxmax(), "stars"]
    with left:
        st.header("Stars", anchor=False)
        drawn = (
            alt.Chart(stars)
            .mark_bar(color=OWN)
            .encode(
                x=alt.X("stars:O", title="stars", axis=alt.Axis(labelAngle=0, format=".1f")),
                y=alt.Y("ratings:Q", title="ratings"),
                tooltip=["stars", alt.Tooltip("ratings", format=","), alt.Tooltip("share", format=".1%")],
            )
            .properties(height=_HEIGHT)
        )
        look.chart(drawn, f"Number of ratings by stars. Most ratings have {most:g} stars.")
    months = pd.DataFrame(document["months"], columns=["month", "ratings"])
    with right:
        st.header("Ratings over time", anchor=False)
        timed = months.assign(first_day=months["month"] + "-01")
        drawn = (
            alt.Chart(timed)
            .mark_area(color=OWN, line={"color": OWN}, opacity=0.5)
            .encode(
                x=alt.X("first_day:T", title="month", scale=alt.Scale(type="utc")),
                y=alt.Y("ratings:Q", title="ratings a month"),
                tooltip=["month", alt.Tooltip("ratings", format=",")],
            )
            .properties(height=_HEIGHT)
        )
        span = f" from {months['month'].iloc[0]} to {months['month'].iloc[-1]}" if len(months) else ""
        look.chart(drawn, f"Number of ratings in each month{span}.", data=months)


def _tails(document: dict[str, Any]) -> None:
    users, movies = document["users"], document["movies"]
    left, right = st.columns(2, gap="medium")
    with left:
        st.header("How active users are", anchor=False)
        st.markdown(_about(users, "user", document["counts"]["users"]))
        bins = pd.DataFrame(
            [
                {"ratings of a user": _range(each), "users": each["count"]}
                for each in users["bins"]
                if each["to"] >= users["fewest"]
            ],
            columns=["ratings of a user", "users"],
        )
        drawn = (
            alt.Chart(bins)
            .mark_bar(color=OWN)
            .encode(
                x=alt.X("ratings of a user:O", sort=None, axis=alt.Axis(labelAngle=-45, labelOverlap=False)),
                y=alt.Y("users:Q"),
                tooltip=["ratings of a user", alt.Tooltip("users", format=",")],
            )
            .properties(height=_HEIGHT)
        )
        look.chart(drawn, "Number of users by how many ratings they have, in ranges that double.")
    with right:
        st.header("How popular movies are", anchor=False)
        st.markdown(_about(movies, "movie", document["counts"]["rated_movies"]))
        ranks = pd.DataFrame(movies["ranks"], columns=["rank", "ratings"])
        drawn = (
            alt.Chart(ranks)
            .mark_line(color=OWN, point={"color": OWN})
            .encode(
                x=alt.X("rank:Q", title="place of the movie, most ratings first", scale=alt.Scale(type="log")),
                y=alt.Y("ratings:Q", title="ratings of the movie", scale=alt.Scale(type="log")),
                tooltip=[alt.Tooltip("rank", format=","), alt.Tooltip("ratings", format=",")],
            )
            .properties(height=_HEIGHT)
        )
        look.chart(
            drawn, "Ratings of movies in the order of their popularity, on logarithmic scales: few have very many."
        )


def _about(found: dict[str, Any], one: str, count: int) -> str:
    if not count:
        return f"No {one} has a rating."
    share = found["half"] / count
    return (
        f"A {one} has {found['median']:g} ratings in the median, {found['mean']:,.1f} in the mean, and at most "
        f"{found['most']:,}. Half of all ratings belong to **{found['half']:,} {one}s**, {share:.1%} of them."
    )


def _range(each: dict[str, int]) -> str:
    return f"{each['from']:,}" if each["from"] == each["to"] else f"{each['from']:,} to {each['to']:,}"


def _genres(document: dict[str, Any]) -> None:
    st.header("Genres by era", anchor=False)
    st.markdown(
        "Each circle is a genre in a decade of release: its size shows how many ratings it has, its colour their mean."
    )
    table = pd.DataFrame(
        [
            {
                "genre": each["genre"] or _NO_GENRE,
                "decade": _NO_YEAR if each["decade"] is None else f"{each['decade']}s",
                "movies": each["movies"],
                "ratings": each["ratings"],
                "mean stars": round(each["mean_stars"], 2),
            }
            for each in document["genres"]
        ],
        columns=["genre", "decade", "movies", "ratings", "mean stars"],
    )
    drawn = (
        alt.Chart(table)
        .mark_circle(opacity=1, stroke=OTHER, strokeWidth=0.7)
        .encode(
            x=alt.X("decade:O", title="decade of release", axis=alt.Axis(labelAngle=-45)),
            y=alt.Y("genre:N", title=None, axis=alt.Axis(labelLimit=110, labelOverlap=False)),
            size=alt.Size("ratings:Q", legend=None, scale=alt.Scale(type="sqrt", range=[25, 420])),
            color=alt.Color(
                "mean stars:Q",
                scale=alt.Scale(scheme="viridis", domain=[2.5, 4.5], clamp=True),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=[
                "genre",
                "decade",
                alt.Tooltip("movies", format=","),
                alt.Tooltip("ratings", format=","),
                alt.Tooltip("mean stars", format=".2f"),
            ],
        )
        .properties(height=24 * max(4, table["genre"].nunique()))
    )
    look.chart(drawn, "Ratings of each genre by decade of release: size for their number, colour for the mean stars.")


def _rejected(document: dict[str, Any]) -> None:
    st.header("Rejected rows", anchor="rejected")
    reasons = document["rejected"]
    if not reasons:
        st.markdown("Every row of the files loaded.")
        return
    st.markdown(
        f"{sum(each['rows'] for each in reasons):,} rows of the files did not load. The table "
        "`movierec.rejected_ratings` keeps each with its file, line, text and reason."
    )
    st.dataframe(
        pd.DataFrame([{name: each[name] for name in ("file", "reason", "rows")} for each in reasons]),
        hide_index=True,
        width="stretch",
        height="content",
        column_config={"rows": st.column_config.NumberColumn(format="localized")},
    )
    st.markdown("The first rows of each reason, as they are in the file:")
    st.dataframe(
        pd.DataFrame(
            [
                {"file": each["file"], "line": example["line"], "text": example["text"], "reason": each["reason"]}
                for each in reasons
                for example in each["examples"]
            ]
        ),
        hide_index=True,
        width="stretch",
        height="content",
    )


if __name__ == "__main__":
    page()
