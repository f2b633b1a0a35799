"""Whose list it is, and what they did: the state that pages share about one person.

Belongs here: the person in the URL, and changes of their ratings. Does not: widgets and cards (`app_pages`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import streamlit as st

from movierec_assets.serving.app import films, kept_list, look, session
from movierec_assets.serving.app.client import ApiAway, ApiProblem

USER = kept_list.USER
DEFAULT_USER = 1
FIRST_APP_USER = 1_000_000_000
"""Ids of users that `POST /users` makes begin here."""
LARGEST_ID = 2**31 - 1
"""Of users and of films."""
HIDDEN = "not"
"""Part of the URL with the films that the person does not want to see."""
STAR_SECONDS = 4.0
"""Longest wait for the answer to a star: after it, the page reads what is stored."""
_LISTS, _EVENT, _FAILURE, _ACTED, _SEEN = "lists", "event", "failure", "acted_as", "seen_ratings"
PAGE = 1000
"""Ratings that the API gives at once, at most."""
_RATED = "rated_films"
_HIDDEN_OF = "hidden_films"
"""Entry of the session state with the films that each person hid."""
_NAME = "recommendation_id"
_KEPT_LISTS, _MOST_HIDDEN, _MOST_MAKERS = 20, 100, 10_000


@dataclass(frozen=True)
class Event:
    """What the person did last, and the list as it was before.

    Attributes
    ----------
    said : str
        In words, as in "You gave Heat 4 stars".
    movie_id : int
    before : dict
        Lists that were kept, by their wishes.
    widget : str or None
        Key of the stars.
    """

    said: str
    movie_id: int
    before: dict[str, list[int]]
    widget: str | None = None


@dataclass(frozen=True)
class Failure:
    """The error of a callback.

    Attributes
    ----------
    error : ApiAway or ApiProblem
    movie : mapping or None
        The film whose rating may be stored although no answer came.
    """

    error: ApiAway | ApiProblem
    movie: Mapping[str, Any] | None = None


class _Made:
    """Browsers that made new persons, in the memory of the app."""

    def __init__(self) -> None:
        self._makers = dict[int, str]()

    def note(self, user_id: int) -> None:
        if (maker := session.browser()) is not None:
            while len(self._makers) >= _MOST_MAKERS:
                self._makers.pop(next(iter(self._makers)))
            self._makers[user_id] = maker

    def knows(self, user_id: int) -> bool:
        maker = self._makers.get(user_id)
        return maker is not None and maker == session.browser()


@st.cache_resource(show_spinner=False)
def _made_here() -> _Made:
    return _Made()


def is_new(user_id: int) -> bool:
    """Whether a person is of the app, and not of the dataset."""
    return user_id >= FIRST_APP_USER


def first() -> int:
    """The person whom a page shows until somebody chooses one; data whose ids do not begin with 1 have another."""
    with suppress(ApiAway, ApiProblem):
        if (
            session.api().call("GET", f"/users/{DEFAULT_USER}/ratings", params={"limit": 1}).status
            == HTTPStatus.NOT_FOUND
        ):
            return int(session.cached("/insights/training")["document"].get("example_user") or DEFAULT_USER)
    return DEFAULT_USER


def choose(user_id: int) -> None:
    """Become a person, as a callback of a widget."""
    st.session_state[USER] = user_id
    changed()


def changed() -> None:
    """Put away what was of the person before: their lists, and the films that they hid; a callback."""
    if (user_id := st.session_state[USER]) is not None:
        kept_list.keep({USER: user_id})
    st.query_params.pop(HIDDEN, None)
    forget_lists()


def choose_another() -> None:
    """Become any person of the dataset."""
    _tried(lambda: choose(random.randint(1, max(1, _known_users()))))


def become_new() -> None:
    """Become a new person, who has no ratings."""

    def become() -> None:
        user_id = int(session.api().post("/users", {})["user_id"])
        choose(user_id)
        _act(user_id)
        _made_here().note(user_id)

    _tried(become)


def acts(user_id: int) -> bool:
    """Whether whoever looks has acted as a person in this session, or has made this new person in this browser."""
    return user_id in st.session_state.get(_ACTED, ()) or _made_here().knows(user_id)


def _act(user_id: int) -> None:
    st.session_state[_ACTED] = {*st.session_state.get(_ACTED, ()), user_id}


def _known_users() -> int:
    """Number of persons of the dataset; their ids begin with 1 and have few gaps."""
    return int(session.health()["model"]["users"] or 100)


def rate(user_id: int, movie: Mapping[str, Any], key: str, drawn: int | None = None) -> None:
    """Post the stars of a widget; a callback. A click on the star that is set posts the stars that are drawn.

    Parameters
    ----------
    user_id : int
    movie : mapping
    key : str
        Of the widget.
    drawn : int, optional
        Stars that the widget had, half ones counted as whole.
    """
    clicked: int | None = st.session_state.get(key)
    # The widget has the stars of the stored rating until the page is made anew.
    st.session_state[key] = None if drawn is None else drawn - 1
    event = last_event()
    if clicked is None and (drawn is None or (event is not None and event.widget == key)):
        return  # the second click of two
    stars = drawn if clicked is None else clicked + 1

    def send() -> None:
        body = {"user_id": user_id, "movie_id": movie["movie_id"], "stars": float(stars or 0)}
        session.api().post("/ratings", body, seconds=STAR_SECONDS)
        _act(user_id)
        _note(user_id, f"You gave {named(movie)} {stars_in_words(float(stars or 0))}", movie["movie_id"], key)

    _tried(send, movie)


def take_back(user_id: int, movie: Mapping[str, Any]) -> None:
    """Withdraw a rating; a callback."""

    def send() -> None:
        session.api().delete(f"/ratings/{user_id}/{movie['movie_id']}", seconds=STAR_SECONDS)
        _act(user_id)
        _note(user_id, f"You took back your rating of {named(movie)}", movie["movie_id"])

    _tried(send, movie)


def stars_in_words(stars: float) -> str:
    """As in "3.5 stars"."""
    return f"{stars:g} star{'' if stars == 1 else 's'}"


def history(user_id: int, length: int) -> Any:
    """The latest ratings of a person, `length` at most, and their number.

    Raises
    ------
    NothingYet
        When there is no such person.
    ApiAway, ApiProblem
    """
    answer = session.api().call("GET", f"/users/{user_id}/ratings", params={"limit": length})
    if answer.status == HTTPStatus.NOT_FOUND:
        raise look.NothingYet(f"There is no user {user_id}.", "Choose another number, or be a new user on For you.")
    return answer.value


def latest_like(user_id: int) -> datetime | None:
    """Time of the latest like of a person that the model knows; None without one."""
    answer = listed({"user_id": user_id, "n": 1, "shown": False})
    if answer["moment"] is None:
        return None
    return datetime.fromtimestamp(answer["asked"] - answer["moment"]["elapsed_seconds"], UTC)


def see(user_id: int, ratings: Mapping[str, Any]) -> bool:
    """Look at a person's ratings as they are now: where others are known, lists are asked for again.

    Parameters
    ----------
    user_id : int
    ratings : mapping
        As `history` gives them.

    Returns
    -------
    bool
        Whether somebody else changed them, as in another tab.
    """
    latest = [(each["movie_id"], each["stars"], each["rated_at"]) for each in ratings["ratings"][:1]]
    now = (ratings["total"], *latest)
    seen = st.session_state.setdefault(_SEEN, {})
    changed_elsewhere: bool = seen.get(user_id, now) != now
    seen[user_id] = now
    if changed_elsewhere:
        forget_lists()
    return changed_elsewhere


def rated(user_id: int, history: Mapping[str, Any], movie_ids: Sequence[int]) -> dict[int, Any]:
    """Those films that a person has rated, each with its rating; older ones are asked for once until one changes.

    Parameters
    ----------
    user_id : int
    history : mapping
        The first page of the person's ratings.
    movie_ids : sequence of int

    Raises
    ------
    ApiAway, ApiProblem
    """
    known = {each["movie_id"]: each for each in history["ratings"]}
    if not set(movie_ids) <= known.keys() and history["total"] > len(known):
        name = (user_id, history["total"], history["ratings"][0]["rated_at"])
        kept = st.session_state.get(_RATED)
        if kept is None or kept[0] != name:
            kept = (name, {each["movie_id"]: each for each in _all_ratings(user_id)})
            st.session_state[_RATED] = kept
        known = {**kept[1], **known}
    return {movie_id: known[movie_id] for movie_id in movie_ids if movie_id in known}


def _all_ratings(user_id: int) -> Iterator[Any]:
    offset, total = 0, 1
    while offset < total:
        answer = session.api().get(f"/users/{user_id}/ratings", {"limit": PAGE, "offset": offset})
        yield from answer["ratings"]
        offset, total = offset + PAGE, answer["total"]


def dismiss(wish: Mapping[str, Any], movie: Mapping[str, Any]) -> None:
    """Say that a film of the list for a wish is not wanted, and list it no more; a callback."""
    movie_id = int(movie["movie_id"])

    def send() -> None:
        # A list that was only looked at is shown to the person from now on.
        shown_as = (
            listed(wish)[_NAME]
            or session.api().post("/recommend", {**wish, "shown": True}, seconds=STAR_SECONDS)[_NAME]
        )
        event = {"recommendation_id": shown_as, "movie_id": movie_id, "kind": "dismiss"}
        session.api().post("/events", {"events": [event]}, seconds=STAR_SECONDS)
        _act(int(wish["user_id"]))
        _note(int(wish["user_id"]), f"You are not interested in {named(movie)}", movie_id)
        _hide(int(wish["user_id"]), [*hidden(), movie_id])

    _tried(send)


def hidden() -> list[int]:
    """Films that the person does not want to see, from the URL: the last ones, if it names too many."""
    found = [whole_number(part) for part in st.query_params.get(HIDDEN, "").split("-")]
    return list(dict.fromkeys(filter(None, found)))[-_MOST_HIDDEN:]


def recall_hidden(user_id: int) -> None:
    """Hide what a person hid in this session, whatever address they come back by, and keep what the address hides."""
    kept: list[int] = st.session_state.get(_HIDDEN_OF, {}).get(user_id, [])
    named = hidden()
    if not set(kept) <= set(named) or len(kept) < len(named):
        _hide(user_id, [*kept, *named])


def _hide(user_id: int, movie_ids: Sequence[int]) -> None:
    """Hide films of a person, in the session and in the URL: the last ones, if they are too many."""
    kept = list(dict.fromkeys(movie_ids))[-_MOST_HIDDEN:]
    st.session_state[_HIDDEN_OF] = {**st.session_state.get(_HIDDEN_OF, {}), user_id: kept}
    if kept != hidden():
        st.query_params[HIDDEN] = "-".join(map(str, kept))


def whole_number(text: str) -> int | None:
    """An id as a URL names it; None for any other text."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_ID)) else 0
    return number if 0 < number <= LARGEST_ID else None


def show_hidden(user_id: int) -> None:
    """List films again that a person did not want; a callback."""
    st.session_state.get(_HIDDEN_OF, {}).pop(user_id, None)
    st.query_params.pop(HIDDEN, None)
    forget_lists()


def listed(wish: Mapping[str, Any]) -> Any:
    """The list for a wish, asked for once until something changes; raises as `Api.post` does."""
    kept: dict[str, Any] = st.session_state.setdefault(_LISTS, {})
    name = repr((sorted(wish.items(), key=str), session.served_version()))
    if name not in kept:
        answer = session.api().post("/recommend", dict(wish))
        while len(kept) >= _KEPT_LISTS:
            kept.pop(next(iter(kept)))
        kept[name] = answer | {"wish": name_of(wish), "asked": time.time()}
    return kept[name]


def name_of(wish: Mapping[str, Any]) -> str:
    """A wish without what an action changes in it, so that lists before and after are compared."""
    filters = {name: value for name, value in dict(wish.get("filters") or {}).items() if name != "exclude_ids"}
    return repr(sorted({**wish, "filters": filters, "shown": None}.items(), key=str))


def last_event() -> Event | None:
    """What the person did last; None before anything, and after the list was asked for in another way."""
    event: Event | None = st.session_state.get(_EVENT)
    return event


def forget_lists() -> None:
    """Ask for lists again, and compare them with none."""
    st.session_state[_LISTS] = {}
    st.session_state[_EVENT] = None


def failure() -> Failure | None:
    """The error of the last callback; None before any, and after `told`."""
    found: Failure | None = st.session_state.get(_FAILURE)
    return found


def told() -> None:
    """Forget the error of the last callback: the page has said it."""
    st.session_state.pop(_FAILURE, None)


def moves(before: Sequence[int], after: Sequence[int], gone: int) -> dict[int, str]:
    """How each film of a list moved, in words; films that stayed are left out.

    Parameters
    ----------
    before, after : sequence of int
        Movie ids, best first.
    gone : int
        The film that was rated: that those below it close up is no change.

    Examples
    --------
    >>> moves([1, 2, 3, 4], [3, 2, 5], gone=1)
    {3: 'up 1 place', 2: 'down 1 place', 5: 'new'}
    """
    places = {movie: place for place, movie in enumerate(each for each in before if each != gone)}
    found = {}
    for place, movie in enumerate(after):
        if movie not in places:
            found[movie] = "new"
        elif places[movie] != place:
            far = abs(places[movie] - place)
            way = "up" if place < places[movie] else "down"
            found[movie] = f"{way} {far} place{'s' if far > 1 else ''}"
    return found


def named(movie: Mapping[str, Any]) -> str:
    """A film in a sentence, as cards name it."""
    return films.without_year(movie["title"]) if movie["title"] else f"film {movie['movie_id']}"


def _note(user_id: int, said: str, movie_id: int, widget: str | None = None) -> None:
    """Remember what was done, and ask for lists again."""
    before = {
        answer["wish"]: [movie["movie_id"] for movie in answer["movies"]]
        for answer in st.session_state.get(_LISTS, {}).values()
    }
    earlier = last_event()
    if not before and earlier is not None:  # a click came before the list of the click before it
        before = earlier.before
    st.session_state[_EVENT] = Event(said, movie_id, before, widget)
    st.session_state[_LISTS] = {}
    st.session_state.get(_SEEN, {}).pop(user_id, None)


def _tried(work: Callable[[], None], movie: Mapping[str, Any] | None = None) -> None:
    """Do the work of a callback; the page shows its error, and reads anew what may have changed all the same."""
    told()
    try:
        work()
    except (ApiAway, ApiProblem) as error:
        st.session_state[_FAILURE] = Failure(error, movie if isinstance(error, ApiAway) else None)
        if isinstance(error, ApiAway):
            forget_lists()
            st.session_state.pop(_SEEN, None)
            st.session_state.pop(_RATED, None)
