"""The steps from the rows of the file to the users who are scored, with a look at each.

Belongs here: the page. Does not: counts and rows, which the asset `split_matrices` leaves as the insight
`preprocessing`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from movierec_assets.serving.app import figures, films, insights, look

PREVIEW = "preview"
"""Entry of the session state with the step whose rows are shown."""
_SHAPES = {"train": "circle", "validation": "square", "test": "triangle-up"}
"""Parts of the matrix, and the shape of a like in each."""
_COLOURS = [figures.OTHER, figures.WARM, figures.OWN]


def page() -> None:
    """The page."""
    with look.page("Preprocessing", "From the rows of the file to the people whose lists are scored, step by step."):
        answer = insights.answer("preprocessing")
        if answer is None:
            return
        document = answer["document"]
        st.caption(
            f"{look.plain(document['dataset'] or 'The loaded dataset')}. Figures of the latest training, "
            f"{insights.moment(answer['made_at'])}."
        )
        _steps(document)
        with look.below():
            _corner(document["corner"])
            _previews(document["previews"], document["rules"])


def _steps(document: dict[str, Any]) -> None:
    st.header("Steps", anchor=False)
    rules = document["rules"]
    said = {
        "read": "Rows of the file of ratings.",
        "complete": "Rows in which every column has a value.",
        "loaded": "Valid rows, one for each user and movie: the latest.",
        "posted in the app": "Ratings and withdrawals of people in the app, when these steps were counted.",
        "of eligible users": f"Current ratings, file and app, of users with more than {rules['ratings_above']}, "
        "as eligible_users had them when it was refreshed last: ratings that were posted since are not in it.",
        "likes": f"Ratings of {rules['like_from_stars']:g} stars or more; the others are left out.",
        "train": "What each user liked before the two parts below. The model learns from it.",
        "validation": "What each user liked latest before the test part. It chooses the recipe.",
        "test": "What each user liked latest of all. It is for the report and for promotion only.",
        "evaluated test": f"The test likes of users with {rules['likes_before_test']} earlier likes or more: scored.",
    }
    steps = pd.DataFrame(document["steps"]).assign(
        explanation=[said.get(each["step"], "") for each in document["steps"]]
    )
    shown = steps[["step", "rows", "users", "movies", "explanation"]]
    rows = [each for each in document["steps"] if each["rows"] is not None]
    drawn = figures.bars(rows, "step", "rows", title="rows", axis=",d")
    first, last = document["steps"][0], document["steps"][-1]
    st.caption(
        "The steps up to `loaded` are of the last loading, eligible users are counted when they are refreshed, and the "
        "likes are those of the training. So a step may have as many rows as the one before, or more."
    )
    look.chart(
        drawn,
        f"Rows after each step, from {first['rows'] or 0:,} rows that were read to {last['rows']:,} that are scored, "
        f"of {last['users']:,} users.",
        data=shown,
    )
    st.markdown("\n".join(f"* **{step}**: {text}" for step, text in said.items()))


def _corner(corner: dict[str, Any]) -> None:
    if not corner["cells"]:
        return
    st.header("A corner of the matrix", anchor=False)
    st.markdown(
        "The first users, movies that many people like, and movies that these users liked latest. Each mark is a like, "
        "and its shape says in which part it is. An empty place is a movie that the user did not like, or did not see."
    )
    titles = _labels(corner["movies"])
    table = pd.DataFrame(
        [
            {
                "user": str(each["user_id"]),
                "movie": titles[each["movie_id"]],
                "part": each["part"],
                "stars": each["stars"],
            }
            for each in corner["cells"]
        ]
    )
    drawn = (
        alt.Chart(table)
        .mark_point(filled=True, size=70, opacity=1)
        .encode(
            x=alt.X("user:O", title="user", sort=None, scale=alt.Scale(domain=[str(user) for user in corner["users"]])),
            y=alt.Y(
                "movie:N",
                title=None,
                sort=list(titles.values()),
                axis=alt.Axis(labelLimit=150, labelOverlap=False),
            ),
            shape=alt.Shape("part:N", scale=alt.Scale(domain=list(_SHAPES), range=list(_SHAPES.values()))),
            color=alt.Color(
                "part:N", scale=alt.Scale(domain=list(_SHAPES), range=_COLOURS), legend=alt.Legend(orient="top")
            ),
            tooltip=["user", "movie", "part", "stars"],
        )
        .properties(height=23 * max(4, len(titles)))
    )
    look.chart(drawn, "Likes of a few users and movies, with the part that each is in: train, validation or test.")


def _labels(movies: Sequence[dict[str, Any]]) -> dict[int, str]:
    """Short titles by movie, each different."""
    short = {each["movie_id"]: films.shortened(films.without_year(each["title"]), 28) for each in movies}
    seen = Counter(short.values())
    return {movie: f"{title} ({movie})" if seen[title] > 1 else title for movie, title in short.items()}


@st.fragment
def _previews(previews: dict[str, list[dict[str, Any]]], rules: dict[str, Any]) -> None:
    st.header("The first rows of each step", anchor=False)
    said = {
        "original": "Ratings as they were loaded, with titles; the line is that of the file.",
        "rejected": "Rows that did not load, as they are in the file, with the reason.",
        "likes": f"Ratings of {rules['like_from_stars']:g} stars or more.",
        "train": "Likes that the model learns from.",
        "test": "The latest likes of each user.",
        "evaluated test": "The test part of the users who are scored.",
        "train matrix": "Entries of the sparse matrix of the train part: row, column and stars.",
        "test matrix": "Entries of the sparse matrix of the test part: row, column and stars.",
    }
    tabs = st.tabs([name.capitalize() for name in said], key=PREVIEW, on_change="rerun")
    for tab, (name, text) in zip(tabs, said.items(), strict=True):
        if not tab.open:  # eight tables at once would make the page late
            continue
        with tab:
            rows = previews.get(name, [])
            st.caption(f"{text} People of the app are not shown." if name != "rejected" else text)
            if rows:
                st.dataframe(_table(rows), hide_index=True, width="stretch", height="content")
            else:
                st.markdown("There is no such row.")


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows with the members in a fixed order: the API keeps none."""
    order = [
        "file",
        "line",
        "row",
        "column",
        "value",
        "user_id",
        "movie_id",
        "title",
        "stars",
        "rated_at",
        "text",
        "reason",
    ]
    table = pd.DataFrame(rows)
    table = table[[name for name in order if name in table]]
    if "rated_at" in table:
        table["rated_at"] = [insights.moment(at) for at in table["rated_at"]]
    return table.rename(columns=lambda name: name.replace("_", " "))


if __name__ == "__main__":
    page()
