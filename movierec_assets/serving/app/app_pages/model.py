"""How the model works, with pictures of the version that serves.

Belongs here: the page. Does not: how good a version is (`quality`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pandas as pd
import streamlit as st

from movierec_assets.serving.app import explained, figures, films, insights, kept_list, look, person, session
from movierec_assets.serving.app.client import ApiProblem

_COMPARED = 10
_MOMENTS = {"Right now": "latest", "Next time": "return"}
"""As on the page For you."""
_NUMBERS_OF_RECIPE = {
    "factors": "Numbers for each person and each film.",
    "iterations": "Turns of a fit that starts fresh.",
    "regularization": "How strongly large numbers are held down.",
    "alpha": "How much a like counts beside a cell without one.",
    "confidence": "What decides how much a like counts.",
}


def page() -> None:
    """The page."""
    with look.page("The model", "Matrix factorization, learned by alternating least squares, on the data of now."):
        kept_list.link_back()
        version = insights.chosen_version(insights.versions())
        number, recipe = version["version"], version["recipe"]
        trained = insights.document("training", number)
        parts: list[Callable[[], None]] = [lambda: _factorization(recipe, trained)]
        if trained is not None:
            parts.append(lambda: _learning(trained))
        example = None if trained is None else trained.get("example_user")
        # Who comes from a list asks about a film, and reads on from there.
        parts.insert(0 if "film" in st.query_params else len(parts), lambda: _person(version, example))
        parts[0]()
        with look.below():
            for part in parts[1:]:
                part()
            _curves(recipe)


def _factorization(recipe: dict[str, Any], trained: dict[str, Any] | None) -> None:
    st.header("Two small tables in place of a large one", anchor="factorization")
    st.markdown(
        "The table of likes has a row for each person and a column for each film, and nearly all cells are empty. "
        "The model looks for two small tables whose product is as near to it as can be. One has a few numbers for "
        "each person, the other as many for each film. Nobody names these numbers: they are *latent factors*. A pair "
        "of them may turn out to be about old and new films, or about quiet and loud ones. The score of a film for a "
        "person is the sum of the products of their numbers."
    )
    st.latex(r"\hat{R} = U\,V^{\top}")
    if not trained:
        return
    counts, factors = trained["counts"], int(recipe["factors"])
    users, movies = counts["users"], counts["movies"]
    look.chart(
        figures.factorization(users, movies, factors),
        f"The table of likes, {users:,} people by {movies:,} films, is about the product of a table of {users:,} by "
        f"{factors} and one of {factors} by {movies:,}.",
        data=[
            {"table": "likes", "rows": users, "columns": movies},
            {"table": "people", "rows": users, "columns": factors},
            {"table": "films", "rows": factors, "columns": movies},
        ],
    )
    st.markdown(
        f"Here {users * movies:,} cells become {factors * (users + movies):,} numbers. With more factors the model "
        "catches finer tastes, and sooner learns chance by heart."
    )
    with st.expander("The recipe of this version"):
        rows = [
            {"number": name, "value": str(value), "meaning": _NUMBERS_OF_RECIPE.get(name, "")}
            for name, value in recipe.items()
        ]
        st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")
        st.caption(f"Source: {trained['recipe_source']}.")


def _learning(trained: dict[str, Any]) -> None:
    st.header("Learned by turns", anchor="learning")
    st.markdown(
        "Both tables are unknown at first, and filled with chance. *Alternating least squares* holds the films still "
        "and solves for the people: that is easy, one small equation for each person. Then it holds the people still "
        "and solves for the films. Each pair of solutions is one iteration, and each one brings the product nearer "
        "to the likes. A cell without a like counts as *probably not*, with little weight: silence is not dislike."
    )
    seconds = trained["seconds"]
    look.numbers(
        ("Iterations", trained["iterations"], None),
        ("Likes", trained["counts"]["positives"], None),
        ("Seconds of the scored fit", seconds["scored"], "Fitted without each person's latest likes, to be scored."),
        ("Seconds of the served fit", seconds["served"], "Fitted to all likes; it serves."),
    )
    start = "It continued the fits of the champion of that day" if trained["continued"] else "It started fresh"
    st.markdown(f"{start}: {look.plain(trained['reason'])}.")
    left, right = st.columns(2)
    with left:
        st.markdown("**Loss**: how far the product is from the likes")
        if trained["loss"]:
            look.chart(
                figures.curve(trained["loss"], "iteration", "loss", titles=("iteration", "training loss")),
                "Training loss after iterations: it falls fast at first, then hardly.",
            )
    with right:
        st.markdown("**Validation**: how well it finds likes that it has not seen")
        _validation(trained)


def _validation(trained: dict[str, Any]) -> None:
    fits = (("this version", trained["validation"]), ("last fresh fit", trained["validation_of_last_fresh_fit"]))
    rows = [each | {"fit": name} for name, found in fits for each in found]
    if not rows:
        look.state(
            "This fit has no such curve.",
            "A fresh fit to more than 100,000 likes makes none. The next training that continues it has one.",
        )
        return
    titles = ("iteration", "NDCG@10")
    drawn = (
        figures.curves(rows, "iteration", "ndcg", "fit", titles=titles)
        if trained["validation_of_last_fresh_fit"]
        else figures.curve(rows, "iteration", "ndcg", titles=titles)
    )
    look.chart(drawn, "NDCG at 10 on validation likes after each iteration.", data=rows)
    st.caption("Of factors alone, without the next-movie signal, fitted without the validation likes.")


def _person(version: dict[str, Any], example: int | None) -> None:
    """Lists of one person, at both moments."""
    st.header("One score taken apart", anchor="score")
    if not insights.is_champion(version):
        st.caption("Lists come from the champion only. Choose it above to see a score taken apart.")
        return
    user: int = st.number_input(
        "User",
        min_value=1,
        max_value=person.LARGEST_ID,
        value=_asked("person") or example or 1,
        step=1,
        help="An id of MovieLens, or of a new user.",
    )
    st.query_params["person"] = str(user)
    with look.calm():
        person.see(user, person.history(user, 1))
        _score(user)
        _moments(user)


def _asked(name: str) -> int | None:
    """An id in the URL; None where there is none."""
    return person.whole_number(st.query_params.get(name, ""))


def _score(user: int) -> None:
    st.markdown(
        "A person's vector follows from the likes, so a score is a sum over likes. Choose a film of the list to see "
        "why it is there. The parts add up to the score."
    )
    with look.calm():
        asked = st.query_params.get("when", "")
        first = asked if asked in _MOMENTS else "Right now"
        chosen = st.segmented_control("Moment", list(_MOMENTS), default=first, key="moment_of_score") or first
        answer = explained.list_of(user, _MOMENTS[chosen], explained.LISTED, explain=True)
        best = answer["movies"]
        if not best:
            raise look.NothingYet("There is no film to list for this user.", "Choose another user.")
        film = _asked("film")
        movies = [*best, *_further_down(user, _MOMENTS[chosen], film, best)]
        place = st.selectbox(
            f"Film, of the {len(best):,} best for user {user:,}",
            range(len(movies)),
            index=next((place for place, movie in enumerate(movies) if film in (None, movie["movie_id"])), None),
            format_func=lambda number: (
                f"{number + 1}. {films.with_year(movies[number])}"
                if number < len(best)
                else films.with_year(movies[number])
            ),
            placeholder="Choose a film",
            help="Type a part of a title. A film that is not here is rated already, or not among these.",
        )
        if place is None:
            return
        if place >= len(best):
            st.caption(f"This film is not among the {len(best):,} best of all films; filters list others.")
        _taken_apart(movies[place], answer)


def _further_down(user: int, at: str, film: int | None, best: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The film that somebody asks about, where it is not among the best; a box says so where no list has it."""
    if film is None or any(movie["movie_id"] == film for movie in best):
        return []
    try:
        found = explained.further_down(user, at, film)
        named = look.plain(films.without_year(session.cached(f"/movies/{film}")["title"]))
    except ApiProblem as problem:
        if problem.status != HTTPStatus.NOT_FOUND:
            raise
        found, named = None, f"film {film}"
    if found is None:
        look.state(
            f"No list of user {user} has {named} at this moment.",
            "The user has rated it, or the model does not know it. So there is no score to take apart.",
        )
        return []
    return [found]


def _taken_apart(movie: dict[str, Any], answer: dict[str, Any]) -> None:
    if answer["source"] != "model":
        st.caption(f"This list is not of the model: {look.plain(answer['why_source'] or '')}")
    card, parts = st.columns([1, 2])
    with card:
        look.film(movie)
        look.number("Score", round(movie["score"], 3), "Comparable within this list only.")
    with parts:
        rows = [
            {"reason": _reason(each), "kind": each["kind"], "contribution": each["contribution"]}
            for each in movie["reasons"]
        ]
        if not rows:
            st.markdown("This film comes without reasons.")
            return
        look.chart(
            figures.reasons(rows),
            f"Parts of the score of {films.with_year(movie)}: a bar for each like that adds to it.",
            data=rows,
        )
    st.caption(
        "Because of: the like shapes the person's vector. After: others liked this film soon after that one; it "
        "counts in a sitting. Other likes: all that add less, or take away."
    )


def _reason(reason: dict[str, Any]) -> str:
    named = films.without_year(reason["title"]) if reason.get("title") else reason.get("boost")
    return f"{reason['kind']} {named}" if named else str(reason["kind"])


def _moments(user: int) -> None:
    st.header("The same person, right now and next time", anchor="moments")
    st.markdown(
        "Right after a like, the model adds the *next-movie signal*: what others liked soon after the films that "
        "this person liked last. The signal fades with time. Next time, a day later, the list follows from the taste "
        "over all."
    )
    with look.calm():
        sitting = explained.list_of(user, "latest", explained.LISTED)["movies"]
        later = explained.list_of(user, "return", explained.LISTED)["movies"]
        place = {movie["movie_id"]: number for number, movie in enumerate(later, start=1)}
        was = {movie["movie_id"]: number for number, movie in enumerate(sitting, start=1)}
        left, right = st.columns(2)
        with left:
            _ranking("Right now", sitting, place, "next time")
        with right:
            _ranking("Next time", later, was, "right now")
        stayed = len({m["movie_id"] for m in sitting[:_COMPARED]} & {m["movie_id"] for m in later[:_COMPARED]})
        st.caption(f"{stayed} of the {_COMPARED} films are on both lists.")


def _ranking(title: str, movies: list[dict[str, Any]], other: dict[int, int], when: str) -> None:
    st.markdown(f"**{title}**")
    rows = [
        {
            "": number,
            "film": films.with_year(movie),
            when: str(other.get(movie["movie_id"], f"below {explained.LISTED}")),
        }
        for number, movie in enumerate(movies[:_COMPARED], start=1)
    ]
    narrow = {name: st.column_config.Column(width=width) for name, width in (("", 30), (when, 75))}
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch", column_config=narrow)


def _curves(recipe: dict[str, Any]) -> None:
    st.header("What time does to a like", anchor="time")
    left, right = st.columns(2)
    with left:
        st.markdown("**Recency**: later likes count more in a person's vector")
        rows = [
            {
                "newer likes": rank,
                "weight": recipe["fold_in_floor"] + recipe["fold_in_boost"] * math.exp(-rank / recipe["fold_in_tau"]),
            }
            for rank in range(0, 51, 2)
        ]
        look.chart(
            figures.curve(
                rows, "newer likes", "weight", titles=("likes that are newer", "weight of the like"), zero=True
            ),
            "Weight of a like by the number of newer likes: it falls from the latest like on, to a floor.",
        )
    with right:
        st.markdown("**The sitting**: the next-movie signal fades")
        weight = float(recipe.get("next_movie_weight", 0.0))
        if weight == 0:
            look.state("This version has no next-movie signal.", "Its lists are the same at both moments.")
            return
        fade = float(recipe["next_movie_fade_hours"])
        span = 5 * fade
        rows = [
            {"hours": round(span * step / 40, 3), "share": math.exp(-span * step / 40 / fade)} for step in range(41)
        ]
        look.chart(
            figures.curve(
                rows, "hours", "share", titles=("hours since the latest like", "share that is left"), zero=True
            ),
            "Share of the next-movie signal by the hours since the latest like; it falls towards nothing.",
        )
        st.caption(f"Weight at the like: {weight:.2g} times the ALS score. After {fade:.2g} h, 37 % is left.")


if __name__ == "__main__":
    page()
