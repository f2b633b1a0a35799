"""The films that a person rates beside the list: found by a search, or rated lately.

Belongs here: lines with stars. Does not: what a star does (`person`), and cards of the list (`app_pages.for_you`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import streamlit as st

from movierec_assets.serving.app import films, look, person, session

_ROWS, _MORE_ROWS = 6, 30
"""Ratings that are shown at first, and with each press of the button below them."""
_ROWS_OF = "ratings_shown"


def rate_films(user_id: int, history: Mapping[str, Any], ask_why: Callable[[int, int], None]) -> None:
    """Search and rate, and the latest ratings.

    Parameters
    ----------
    user_id : int
    history : mapping
        The first page of the person's ratings: `rows_shown` of them.
    ask_why : callable
        Goes to the explanation of a film for the person.
    """
    st.header("Rate films", anchor=False)
    typed = st.text_input("Search a film", placeholder="star wars", key="search", max_chars=200, type="search")
    if typed.strip():
        found = session.cached("/movies", {"query": typed.strip(), "n": 6})["movies"]
        if not found:
            st.caption("No title is like this one.")
    else:
        found = session.cached("/movies/popular", {"n": 6})["movies"] if history["total"] < 3 else []
        if found:
            st.caption("Films that many people like:")
    rated = person.rated(user_id, history, [movie["movie_id"] for movie in found])
    for movie in found:
        movie_id = movie["movie_id"]
        key, given = f"found-{user_id}-{movie_id}", rated.get(movie_id)
        if given is None:
            _line(user_id, movie, key, None)
            if typed.strip() and st.button(look.label("Why?", movie["title"]), key=f"ask-{movie_id}", type="tertiary"):
                ask_why(user_id, movie_id)
        elif typed.strip():
            _line(user_id, movie, f"{key}-{given['rated_at']}", given["stars"])
    if history["total"]:
        st.caption("Latest ratings. Choose other stars, or take a rating back.")
    for each in history["ratings"]:
        _line(user_id, each, f"rated-{user_id}-{each['movie_id']}-{each['rated_at']}", each["stars"])
    shown = len(history["ratings"])
    if shown < min(history["total"], person.PAGE):
        st.button(
            "All ratings" if history["total"] <= shown + _MORE_ROWS else "More ratings",
            icon=":material/expand_more:",
            help=f"{look.grouped(history['total'])} in all. A search finds each of them as well.",
            on_click=_show_more_rows,
            args=[user_id],
        )


def rows_shown(user_id: int) -> int:
    """Ratings of the person that are shown."""
    shown: int = st.session_state.get(_ROWS_OF, {}).get(user_id, _ROWS)
    return shown


def _show_more_rows(user_id: int) -> None:
    st.session_state[_ROWS_OF] = {user_id: min(person.PAGE, rows_shown(user_id) + _MORE_ROWS)}


def _line(user_id: int, movie: Mapping[str, Any], key: str, stars: float | None) -> None:
    """One film with its stars; the widget has whole stars only, so half ones are written beside it."""
    title = films.without_year(movie["title"] or f"Film {movie['movie_id']}")
    year = f" ({movie['year']})" if movie.get("year") else ""
    drawn = None if stars is None else math.ceil(stars)
    with st.container(gap=None):
        look.text(f"{films.shortened(title, 80)}{year}")
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.feedback(
                "stars",
                key=key,
                default=None if drawn is None else drawn - 1,
                on_change=partial(person.rate, user_id, movie, key, drawn),
            )
            if stars is not None:
                if stars % 1:
                    st.caption(person.stars_in_words(stars), width="content")
                st.button(
                    look.label("Take back", title),
                    key=f"back-{key}",
                    type="tertiary",
                    on_click=person.take_back,
                    args=[user_id, movie],
                )
