"""From a film to its neighbours, as a list and as a map.

Belongs here: the page. Does not: neighbours and places on the map, which the API gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from movierec_assets.serving.app import films, kept_list, look, session
from movierec_assets.serving.app.client import ApiProblem

MOVIE = "movie"
"""Entry of the session state, and part of the URL, with the id of the film."""
ON_MAP, LISTED, NAMED = 60, 10, 8
_GENRES, _OTHERS = 5, "Other"
_HERE = "This film"
_COLOURS = ("#d1495b", "#4f63d2", "#2a9d8f", "#b7791f", "#8e5bb5", "#3d8fc4", "#84889a")
"""Of this film, of the most frequent genres, of the others: each has a contrast of 3 on the light and the dark page."""


def page() -> None:
    """The page."""
    with look.page("Similar films", "Films that the same people like: a list, and a map."):
        kept_list.link_back()
        movie_id = _movie()
        _search()
        _neighbours(movie_id)


def _movie() -> int:
    """The film in the URL, else that of this session, else the most liked one."""
    named = st.query_params.get(MOVIE, "")
    if named.isascii() and named.isdigit() and len(named) < 11:
        st.session_state[MOVIE] = int(named)
    if MOVIE not in st.session_state:
        popular = session.cached("/movies/popular", {"n": 1})["movies"]
        if not popular:
            raise look.NothingYet("No films are loaded yet.")
        st.session_state[MOVIE] = popular[0]["movie_id"]
    movie_id = int(st.session_state[MOVIE])
    st.query_params[MOVIE] = str(movie_id)
    return movie_id


def _go_to(movie_id: int) -> None:
    """Go on from another film; a callback."""
    st.session_state[MOVIE] = movie_id
    st.query_params[MOVIE] = str(movie_id)
    st.session_state["find"] = ""


def _search() -> None:
    typed = st.text_input("Search a film", placeholder="amelie", key="find", max_chars=200, type="search").strip()
    if not typed:
        return
    found = session.cached("/movies", {"query": typed, "n": 6})["movies"]
    if not found:
        st.caption("No title is like this one.")
    with st.container(horizontal=True):
        for movie in found:
            name = f"{films.shortened(films.without_year(movie['title']), 50)} ({movie['year'] or 'no year'})"
            st.button(look.plain(name), key=f"find-{movie['movie_id']}", on_click=_go_to, args=[movie["movie_id"]])


def _neighbours(movie_id: int) -> None:
    """The film, its map and the list of the nearest."""
    try:
        about = session.cached(f"/movies/{movie_id}")
    except ApiProblem as problem:
        if problem.status != HTTPStatus.NOT_FOUND:
            raise
        look.state(f"There is no film {movie_id}.", "Search one by its title.")
        return
    films.film(about, notes=[(_about(about), "")], level=2)
    drawn = session.cached(f"/movies/{movie_id}/map", {"n": ON_MAP})
    movies = drawn["movies"]
    if not movies:
        why = drawn["why_fewer"] or ""
        if drawn["model_version"] is None:
            remedy = why if "`movierec " in why else f"{why} {look.NO_CHAMPION}".strip()
            raise look.NothingYet("No film has neighbours while no model is served.", remedy)
        look.state("This film has no neighbours.", f"{why} Search another film.".strip())
        return
    chart, near = st.columns([1.7, 1], gap="medium")
    with chart:
        st.header("Map", anchor=False)
        _map(movie_id, movies, drawn["shares"])
    with near:
        st.header("Nearest", anchor=False)
        for movie in movies[1 : LISTED + 1]:
            with st.container(border=True, gap="small"):
                films.film(movie, match=movie["similarity"])
                name = f"near-{movie_id}-{movie['movie_id']}"
                label = look.label("Go on from here", movie["title"])
                st.button(label, key=name, type="tertiary", on_click=_go_to, args=[movie["movie_id"]])
    _others(movie_id, movies[LISTED + 1 :])
    version = f"model version {drawn['model_version']}" if drawn["model_version"] else "no model"
    st.caption(f"The match is the cosine of the factors of two films · {version}.")


def _others(movie_id: int, movies: Sequence[Mapping[str, Any]]) -> None:
    """The other films of the map as buttons, which a keyboard reaches; made when somebody opens them."""
    if not movies:
        return
    opened = st.expander(f"The other {len(movies)} films of the map", key=f"others-{movie_id}", on_change="rerun")
    if not opened.open:
        return
    with opened, st.container(horizontal=True):
        for movie in movies:
            title = look.plain(films.shortened(films.without_year(movie["title"]), 60))
            st.button(
                f"{title} ({movie['year'] or 'no year'}), {movie['similarity']:.0%} match",
                key=f"other-{movie_id}-{movie['movie_id']}",
                on_click=_go_to,
                args=[movie["movie_id"]],
            )


def _about(movie: Mapping[str, Any]) -> str:
    mean = "" if movie["mean_stars"] is None else f", {movie['mean_stars']:.1f} stars on average"
    ratings = "1 rating" if movie["ratings"] == 1 else f"{look.grouped(movie['ratings'])} ratings"
    return f"{ratings}{mean}"


def _map(movie_id: int, movies: Sequence[Mapping[str, Any]], shares: Sequence[float]) -> None:
    """The map; a click on a film goes on from there."""
    table = _table(movies)
    state = look.chart(
        _drawing(table),
        f"Map of {films.without_year(str(movies[0]['title']))} and the {len(movies) - 1} films nearest to it.",
        data=table[["title", "year", "genres", "match"]],
        key=f"map-{movie_id}",
        on_select="rerun",
    )
    st.caption(
        "Each point is a film; a click goes on from there. The axes have no unit: they are the two directions in which "
        f"these films differ most, and show {sum(shares):.0%} of how they differ. So a near film may lie far off here: "
        "the list and the size of a point say how near it is."
    )
    chosen = _chosen(state)
    if chosen is not None and chosen != movie_id:
        _go_on(chosen)


def _go_on(movie_id: int) -> None:
    st.session_state[MOVIE] = movie_id
    st.query_params[MOVIE] = str(movie_id)
    st.rerun()


def _chosen(state: Any) -> int | None:
    """The film that was clicked."""
    points = ((state or {}).get("selection") or {}).get("film") or []
    return int(points[0]["movie_id"]) if points and "movie_id" in points[0] else None


def _table(movies: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of the map: one a film, the film itself first."""
    first = [(movie["genres"] or [_OTHERS])[0] for movie in movies]
    frequent = {genre for genre, _ in Counter(first[1:]).most_common(_GENRES)}
    named = _apart([(movie["x"], movie["y"]) for movie in movies])
    rows = [
        {
            "movie_id": movie["movie_id"],
            "title": films.without_year(movie["title"]),
            "name": films.shortened(films.without_year(movie["title"]), 28) if place in named else "",
            "year": movie["year"],
            "genres": ", ".join(movie["genres"]),
            "kind": _HERE if place == 0 else genre if genre in frequent else _OTHERS,
            "match": round(float(movie["similarity"]), 3),
            "x": movie["x"],
            "y": movie["y"],
        }
        for place, (movie, genre) in enumerate(zip(movies, first, strict=True))
    ]
    return pd.DataFrame(rows).astype({"year": "Int64"})


def _apart(places: Sequence[tuple[float, float]]) -> set[int]:
    """Numbers of the nearest films whose names do not cover each other."""
    wide, high = (max(values) - min(values) or 1.0 for values in zip(*places, strict=True))
    kept: list[int] = []
    for number, (x, y) in enumerate(places):
        free = all(abs(x - places[k][0]) > 0.4 * wide or abs(y - places[k][1]) > 0.06 * high for k in kept)
        if free and len(kept) < NAMED:
            kept.append(number)
    return set(kept)


def _drawing(table: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    kinds = [_HERE, *sorted({*table["kind"]} - {_HERE, _OTHERS}), _OTHERS]
    colours = [_COLOURS[0], *_COLOURS[1 : len(kinds) - 1], _COLOURS[-1]]
    film = alt.selection_point(name="film", fields=["movie_id"], on="click")
    place = alt.Chart(table).encode(
        x=alt.X("x:Q", axis=None, scale=alt.Scale(zero=False, padding=60)),
        y=alt.Y("y:Q", axis=None, scale=alt.Scale(zero=False, padding=24)),
    )
    points = (
        place.mark_circle(opacity=0.85, cursor="pointer")
        .encode(
            color=alt.Color(
                "kind:N",
                scale=alt.Scale(domain=kinds, range=colours),
                legend=alt.Legend(title="First genre", orient="bottom", columns=4),
            ),
            size=alt.Size("match:Q", scale=alt.Scale(range=[50, 420]), legend=None),
            tooltip=[
                alt.Tooltip("title:N", title="Film"),
                alt.Tooltip("year:Q", title="Year", format="d"),
                alt.Tooltip("genres:N", title="Genres"),
                alt.Tooltip("match:Q", title="Match", format=".0%"),
            ],
        )
        .add_params(film)
    )
    names = place.mark_text(dy=-15, fontSize=12, limit=170).encode(text="name:N")
    return alt.layer(points, names).properties(height=520)


if __name__ == "__main__":
    page()
