"""Recommendations for one person, who rates films and sees the list change.

Belongs here: the page. Does not: lists, which the API makes, and the person's state (`person`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from movierec_assets.serving.app import films, kept_list, look, person, rate_films, session
from movierec_assets.serving.app.client import ApiProblem

LENGTH, MORE, LONGEST = 12, 12, 96
FIRST_YEAR = 1900
GENRE, YEARS, ADVENTURE, MOMENT = "genre", "years", "adventure", "moment"
"""Entries of the session state, and parts of the URL, with what the list is asked for with."""
_LENGTH = "films"
"""Part of the URL with the number of films that are listed."""
_UNUSABLE = ":material/link_off:"
_TOASTED = "toasted"
"""Entry of the session state with the event that was said beside the page, too."""
NOW, NEXT = "Right now", "Next time"
_MOMENTS = {NOW: "latest", NEXT: "return"}
_EXPLAINED = {
    NOW: "For the sitting: films that people like soon after your latest likes stand higher.",
    NEXT: "For your return, a day after your latest like: your whole taste counts.",
}


def page() -> None:
    """The page."""
    with look.page("For you", "What the model recommends, and why. Rate a film, and the list changes at once."):
        kept_list.come_back()
        named = st.query_params.get(person.USER)
        user_id = _person()
        if named is not None and person.whole_number(named) is None:
            st.warning(f"No user is “{_quoted(named)}”. This is the list of user {user_id}.", icon=_UNUSABLE)
        _body(user_id)


def _person() -> int:
    """Who the list is for, and the ways to be somebody else."""
    if person.USER not in st.session_state and not person.whole_number(st.query_params.get(person.USER, "")):
        st.session_state[person.USER] = person.first()
        st.query_params[person.USER] = str(st.session_state[person.USER])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        user_id = st.number_input(
            "User",
            min_value=1,
            max_value=person.LARGEST_ID,
            value=None,  # no number is a default, so that the address names each person
            step=1,
            key=person.USER,
            bind="query-params",
            width=220,
            help="A user of MovieLens, or one of the app. The address of this page names the user: share it.",
            on_change=person.changed,
        )
        st.button("Somebody else", icon=":material/casino:", on_click=person.choose_another)
        st.button("Be a new user", icon=":material/person_add:", on_click=person.become_new)
    chosen = int(user_id or kept_list.person() or person.first())
    kept_list.keep({person.USER: chosen})
    return chosen


@st.fragment
def _body(user_id: int) -> None:
    """Everything that a star changes; the rest of the page stays as it is."""
    with look.calm():
        person.recall_hidden(user_id)
        genres = _genres()
        unusable = _unusable(genres)
        history = person.history(user_id, rate_films.rows_shown(user_id))
        _failed(user_id, history)
        if person.see(user_id, history):
            st.toast("The ratings were changed elsewhere: the list is made anew.", icon=":material/sync:")
        with st.container(horizontal=True, vertical_alignment="center"):
            _about(user_id, history)
            share = st.popover("Share", icon=":material/share:", width="content")
        wish = _wishes(user_id, genres)
        if unusable:
            st.warning(f"Of this address, {unusable} cannot be used.", icon=_UNUSABLE)
        # On a phone the first column is on top: somebody new rates before there is a list worth reading.
        if person.is_new(user_id):
            ratings, lists = st.columns([1, 2.3], gap="medium")
        else:
            lists, ratings = st.columns([2.3, 1], gap="medium")
        with ratings:
            rate_films.rate_films(user_id, history, _ask_why)
        with lists:
            tabs = st.tabs([NOW, NEXT], key=MOMENT, on_change="rerun", bind="query-params")
            _keep(wish)
            with share:
                _share(user_id)
            for name, tab in zip(_MOMENTS, tabs, strict=True):
                if tab.open:
                    with tab:
                        _list(user_id, name, wish | {"at": _MOMENTS[name], "scenario": f"app: {name.lower()}"})


def _keep(wish: Mapping[str, Any]) -> None:
    """Keep what the list is asked for with, for those who come back to it."""
    first, last = st.session_state[YEARS]
    kept_list.keep(
        {
            GENRE: wish["filters"].get("genres_any"),
            YEARS: [first, last] if {"year_from", "year_to"} & wish["filters"].keys() else None,
            ADVENTURE: st.session_state[ADVENTURE] or None,
            MOMENT: NEXT if st.session_state.get(MOMENT) == NEXT else None,
            _LENGTH: _length() if _length() > LENGTH else None,
        }
    )


def _share(user_id: int) -> None:
    """The address of the list, to copy."""
    hidden = {person.HIDDEN: "-".join(map(str, person.hidden()))} if person.hidden() else {}
    parts = kept_list.address() | hidden
    st.code(f"{(st.context.url or '').rstrip('/')}/?{urlencode(parts, doseq=True)}", language=None, wrap_lines=True)
    st.caption(f"Whoever has it sees the list of user {user_id}, and may rate and hide films as this user.")


def _unusable(known_genres: Sequence[str]) -> str:
    """Parts of the address that no widget can have, in words; empty where there is none."""
    asked = st.query_params
    years = [int(each) if each.isascii() and each.isdigit() else -1 for each in asked.get_all(YEARS)]
    in_range = len(years) == 2 and FIRST_YEAR <= years[0] <= years[1] <= datetime.now(UTC).year
    found = [f"the genre “{_quoted(each)}”" for each in asked.get_all(GENRE) if each and each not in known_genres]
    found += ["the years"] if years and not in_range else []
    found += ["the adventure"] if asked.get(ADVENTURE, "0") not in map(str, range(11)) else []
    found += [f"the moment “{_quoted(asked[MOMENT])}”"] if asked.get(MOMENT, NOW) not in _MOMENTS else []
    found += ["the number of films"] if _LENGTH in asked and not person.whole_number(asked[_LENGTH]) else []
    return " and ".join(found)


def _quoted(text: str) -> str:
    return look.plain(films.shortened(text, 40))


def _genres() -> list[str]:
    """Genres of all rated films; of the most rated ones, where the document of the dataset is not made yet.

    Raises
    ------
    NothingYet
        When there are no films.
    """
    with suppress(ApiProblem):
        rows = session.cached("/insights/dataset")["document"]["genres"]
        if found := {row["genre"] for row in rows} - {""}:
            return sorted(found)
    movies = session.cached("/movies", {"n": 100})["movies"]
    if not movies:
        raise look.NothingYet("No films are loaded yet.")
    return sorted({genre for movie in movies for genre in movie["genres"]})


def _failed(user_id: int, history: Mapping[str, Any]) -> None:
    """The error of the last click, with what is stored now of a rating that may have been lost."""
    failure = person.failure()
    if failure is None:
        return
    if failure.movie is None:
        look.explain(failure.error)
    else:
        movie = failure.movie
        stored = person.rated(user_id, history, [movie["movie_id"]]).get(movie["movie_id"])
        has = person.stars_in_words(stored["stars"]) if stored else "no stars"
        remedy = f"{person.named(movie)} has {has} now, as the API says. Is that not what you gave? Then try again."
        look.state(str(getattr(failure.error, "message", failure.error)), remedy, ":material/cloud_off:")
    person.told()


def _about(user_id: int, history: Mapping[str, Any]) -> None:
    """Who the person is, in a sentence."""
    total = history["total"]
    acts = "Whoever has its address may rate and hide films as this user."
    whose = f"  \n:small[This is the list of user {user_id}. {acts}]"
    if total == 0:
        st.markdown(f"**You are new here.** Rate a few films that you know: the list follows you.{whose}")
        return
    liked = session.api().get(f"/users/{user_id}/genres")["genres"]
    genres = ", ".join(look.plain(each["genre"]) for each in liked[:3] if each["score"] > 0)
    who = "User of the app" if person.is_new(user_id) else "User of MovieLens"
    they = "you" if person.acts(user_id) else "they"
    expected = f" More than others, {they} should like **{genres}**." if genres else ""
    st.markdown(f"{who} with **{look.grouped(total)} rating{'s' if total > 1 else ''}**.{expected}{whose}")


def _wishes(user_id: int, known_genres: Sequence[str]) -> dict[str, Any]:
    """What the list is asked for with."""
    this_year = datetime.now(UTC).year
    genre, era, adventure = st.columns([1.3, 1.3, 1], gap="medium")
    genres = genre.multiselect(
        "Genres",
        known_genres,
        key=GENRE,
        bind="query-params",
        placeholder="All genres",
        on_change=person.forget_lists,
    )
    first, last = era.slider(
        "Years",
        FIRST_YEAR,
        this_year,
        (FIRST_YEAR, this_year),
        key=YEARS,
        bind="query-params",
        on_change=person.forget_lists,
    )
    diversity = adventure.slider(
        "Familiar to adventurous",
        0,
        10,
        0,
        key=ADVENTURE,
        bind="query-params",
        help="0 lists the films that match best. 10 lists films that are as unlike each other as can be.",
        on_change=person.forget_lists,
    )
    filters = {
        "genres_any": genres,
        "year_from": first if first > FIRST_YEAR else None,
        "year_to": last if last < this_year else None,
        "exclude_ids": person.hidden(),
    }
    return {
        "user_id": user_id,
        "n": _length(),
        "explain": True,
        "diversity": diversity / 10,
        "shown": person.acts(user_id),
        "filters": {name: value for name, value in filters.items() if value},
    }


def _list(user_id: int, moment: str, wish: dict[str, Any]) -> None:
    """The films of one moment."""
    answer = person.listed(wish)
    movies = answer["movies"]
    films.unseen_heading(f"Films: {moment.lower()}")
    st.caption(_explained(user_id, moment, answer))
    if answer["source"] == "popular" and person.is_new(user_id):
        look.state("Rate a film that you like, and this list becomes yours.", "Until then it has the most liked films.")
    elif answer["source"] != "model":
        _without_model(answer)
    badges = _moved(answer)
    if not movies:
        look.state("No film is left.", _in_words_of_people(answer["why_fewer"] or "Take fewer filters."))
    matches = _matches(answer, wish)
    columns: Sequence[Any] = ()
    for place, movie in enumerate(movies):
        if place % 2 == 0:
            columns = st.columns(2, gap="small")
        with columns[place % 2], st.container(border=True, height="stretch", key=f"card-{movie['movie_id']}"):
            match = matches.get(movie["movie_id"])
            films.film(movie, match=match, notes=_reasons(movie), badge=badges.get(movie["movie_id"]))
            _actions(user_id, wish, movie)
    _foot(answer, wish)


def _explained(user_id: int, moment: str, answer: Mapping[str, Any]) -> str:
    """What the moment of a list is, and how far the one right after the latest like is from now."""
    if answer["source"] == "popular":
        return "There are no likes yet that the model knows, so both moments have the same list."
    like = person.latest_like(user_id) if moment == NOW else None
    age = datetime.now(UTC) - like if like else timedelta()
    if like is None or age <= timedelta(hours=1):
        return _EXPLAINED[moment]
    today = f"the list of “{NEXT}”" if age >= timedelta(days=1) else f"a list between this one and “{NEXT}”"
    return (
        f"As right after the latest like, on {like.day} {like:%B %Y}: films that people like soon after it stand "
        f"higher. Today the service gives {today}."
    )


def _matches(answer: Mapping[str, Any], wish: Mapping[str, Any]) -> dict[int, float]:
    """Share of each film's own score in the best one, from 0 to 1; empty where the answer does not tell them.

    Own is what a film scores by itself: without boosts, and without what diversity takes away.
    """
    movies = answer["movies"]
    reasons = all(movie.get("reasons") for movie in movies)
    if answer["source"] != "model" or (wish["diversity"] and not reasons):
        return {}
    own = {
        movie["movie_id"]: movie["score"]
        - sum(each["contribution"] for each in movie.get("reasons", ()) if each["kind"] in ("boost", "diversity"))
        for movie in movies
    }
    best = max(own.values(), default=0.0)
    return {movie_id: min(1.0, max(0.0, score / best)) for movie_id, score in own.items()} if best > 0 else {}


def _moved(answer: Mapping[str, Any]) -> dict[int, str]:
    """What the last rating changed, told in a line; the films that moved, with words."""
    event = person.last_event()
    before = event.before.get(answer["wish"]) if event else None
    if event is None or before is None:
        return {}
    after = [movie["movie_id"] for movie in answer["movies"]]
    badges = person.moves(before, after, event.movie_id)
    new = sum(badge == "new" for badge in badges.values())
    rest, fewer = len(badges) - new, len(before) - len(after)
    told = [f"{new} film{'s are' if new > 1 else ' is'} new"] if new else []
    told += [f"{rest} moved"] if rest else []
    told += [f"the list is {fewer} film{'s' if fewer > 1 else ''} shorter"] if fewer > 0 and after else []
    change = ", ".join(told) or ("the list stays as it is" if after else "no film is left")
    said = f"{look.plain(event.said)}: {change}."
    st.success(said, icon=":material/swap_vert:")
    if st.session_state.get(_TOASTED) is not event:  # the line above may be off the screen
        st.session_state[_TOASTED] = event
        st.toast(said, icon=":material/swap_vert:")
    return badges


def _reasons(movie: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The strongest reason of taste and of the sitting, with the likes that they come from; the stronger one first."""
    found: dict[str, tuple[str, str]] = {}
    words = {"because of": "Because you liked", "after": "Often liked after"}
    for reason in movie.get("reasons", ()):
        kind = reason["kind"]
        if kind in words and reason["contribution"] > 0 and reason.get("title"):
            found.setdefault(
                kind, (words[kind], films.without_year(reason["title"]))
            )  # the API has the strongest first
    taste, sitting = found.get("because of"), found.get("after")
    if taste and sitting and taste[1] == sitting[1]:
        return [taste, ("and often liked soon after it", "")]
    return list(found.values())


def _actions(user_id: int, wish: Mapping[str, Any], movie: Mapping[str, Any]) -> None:
    """Rate the film, have no more of it, or look at films like it."""
    movie_id = movie["movie_id"]
    key = f"star-{user_id}-{movie_id}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        films.unseen("Your stars for", movie["title"])
        st.feedback("stars", key=key, on_change=partial(person.rate, user_id, movie, key))
        with st.container(horizontal=True, gap="small", width="content"):
            _more(user_id, wish, movie)


def _more(user_id: int, wish: Mapping[str, Any], movie: Mapping[str, Any]) -> None:
    movie_id = movie["movie_id"]
    st.button(
        look.label("Not interested", movie["title"]),
        key=f"no-{user_id}-{movie_id}",
        type="tertiary",
        on_click=partial(person.dismiss, wish, movie),
    )
    if st.button(look.label("Similar", movie["title"]), key=f"like-{user_id}-{movie_id}", type="tertiary"):
        st.switch_page("app_pages/similar.py", query_params={"movie": str(movie_id)})
    if st.button(look.label("Why?", movie["title"]), key=f"why-{user_id}-{movie_id}", type="tertiary"):
        _ask_why(user_id, movie_id)


def _ask_why(user_id: int, movie_id: int) -> None:
    """Go to the explanation of a film for a person."""
    # Names of their own: those of this page are bound to its widgets.
    asked = {"person": str(user_id), "film": str(movie_id), "when": st.session_state.get(MOMENT) or NOW}
    st.switch_page("app_pages/model.py", query_params=asked)


def _foot(answer: Mapping[str, Any], wish: Mapping[str, Any]) -> None:
    """More films, what was hidden, and where the list comes from."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if len(answer["movies"]) == wish["n"] < LONGEST:
            st.button("More films", icon=":material/expand_more:", on_click=_longer)
        if count := len(person.hidden()):
            label = "List the hidden film again" if count == 1 else f"List the {count} hidden films again"
            st.button(label, on_click=person.show_hidden, args=[wish["user_id"]])
    version = f"model version {answer['model_version']}" if answer["model_version"] else "no model"
    fewer = (
        f" {look.plain(_in_words_of_people(answer['why_fewer']))}" if answer["why_fewer"] and answer["movies"] else ""
    )
    source = {"model": "Made by the model from the current ratings", "stored": "A stored list"}
    made = source.get(answer["source"], "The most liked films")
    best = " The best match counts as 100 %." if _matches(answer, wish) else ""
    st.caption(f"{made} · {version}.{fewer}{best}")
    if not wish["shown"]:
        st.caption("You look at this list only, so it counts in no figure until you rate or hide a film.")


def _without_model(answer: dict[str, Any]) -> None:
    """Say that the list is not the model's, and what goes on or helps."""
    shown = "the list of the latest run" if answer["source"] == "stored" else "the most liked films"
    why = answer["why_source"] or ""
    if answer["model_version"] is None and "`movierec " not in why:
        why = f"{why} {look.NO_CHAMPION}".strip()
    look.explain(look.NothingYet(f"The model has no list to give now; this is {shown}.", why))


def _in_words_of_people(why_fewer: str) -> str:
    """Why a list is short, where it is the person who excludes films."""
    return why_fewer.replace("excluded by the request", "hidden by you")


def _length() -> int:
    """Films that are listed: as many as the URL says."""
    return min(LONGEST, max(LENGTH, person.whole_number(st.query_params.get(_LENGTH, "")) or LENGTH))


def _longer() -> None:
    st.query_params[_LENGTH] = str(min(LONGEST, _length() + MORE))
    person.forget_lists()


if __name__ == "__main__":
    page()
