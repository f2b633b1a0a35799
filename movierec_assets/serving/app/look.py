"""How pages look: headings, states, charts, numbers, and texts of users.

Belongs here: what every page shows in the same way. Does not: what is shown. Cards of films are in `films`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from html import escape
from typing import Any, Literal

import altair as alt
import pandas as pd
import streamlit as st

from movierec_assets.errors import ExplainedError
from movierec_assets.serving.app import films, going, session
from movierec_assets.serving.app.client import ApiAway, ApiProblem
from movierec_assets.settings import SettingsError

NO_CHAMPION = "Run `movierec run` on the machine of the platform: it loads ratings, trains, and makes a champion."
"""What to do while there is no champion yet."""
_TOP = (
    '<script class="mr-top" data-page="{}">'
    "document.querySelector('[data-testid=\"stMain\"]')?.scrollTo({{top: 0, behavior: 'instant'}})</script>"
)
"""A page begins at its top: Streamlit leaves it where the page before was. It runs when another page comes only."""
_AGAIN_SECONDS = 5
"""Time between two looks whether what was missing is there."""
style: ContextVar[str] = ContextVar("style", default="")
"""The style sheet of the app, which comes with the heading of each page."""
_said_away: ContextVar[bool | None] = ContextVar("said_away", default=None)
"""Whether the page that is being made has said that the API is away; None outside of a page, as in a fragment."""
_UNKNOWN_KEY, _NOT_FOUND = 401, 404
_A_RUN = "`movierec run"
"""In remedies that start a run."""
_PIPELINE = "[Pipeline](/pipeline)"
_SENTENCE = re.compile(r"(?<=[.;]) ")
_FOR_PROGRAMS = re.compile(r"\b(GET|POST|PUT|DELETE) /")
_FOR_FIELD = re.compile(r"^[a-z_]+(\.[a-z_0-9]+)+: ")
_ADDRESS = re.compile(r"(https?://[^\s,;)]*[^\s,;).])")
_APP_KEY = "Pages read with the key in the file of MOVIEREC_APP_API_KEY_FILE: `movierec keys create app --file FILE`."
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:^=&])")


Chart = (
    alt.Chart
    | alt.LayerChart
    | alt.ConcatChart
    | alt.HConcatChart
    | alt.VConcatChart
    | alt.FacetChart
    | alt.RepeatChart
)
film = films.film
_TILE = 108
"""Height of a tile with a number, in pixels: its place has it before the tile can be drawn."""
DATA_OF = "data of "
"""Keys of the tables of charts begin with it."""
INK = "currentColor"
"""Colour of text on charts: that of the page. Streamlit leaves it black on a dark page."""


class NothingYet(ExplainedError):  # noqa: N818 - a state, not a fault
    """A page has nothing to show yet; it shows the message and what to do.

    Parameters
    ----------
    message : str
        What is missing.
    remedy : str
        What makes it.
    """

    def __init__(self, message: str, remedy: str = NO_CHAMPION) -> None:
        super().__init__(f"{message} {remedy}")
        self.message, self.remedy = message, remedy


@contextmanager
def page(title: str, lead: str) -> Iterator[None]:
    """A page with its heading and one sentence under it, and a word while it is made; see `calm` for its states.

    Parameters
    ----------
    title, lead : str
        Of ours: plain text.
    """
    heading = st.empty()
    heading.markdown(_heading(title, lead, "mr-waiting"), unsafe_allow_html=True)
    with st.container(key="mr-top", height=1, border=False):
        st.html(_TOP.format(escape(title)), unsafe_allow_javascript=True)
    within = _said_away.set(False)
    try:
        with calm():
            yield
    finally:
        _said_away.reset(within)
    heading.markdown(_heading(title, lead, "mr-ready"), unsafe_allow_html=True)


def _heading(title: str, lead: str, state: str) -> str:
    # The word keeps its place when it is not seen, so that nothing moves when the page is ready.
    # The style sheet has no place of its own, which would be a bar until Streamlit can draw it. As Markdown it is drawn
    # at once: `st.html` comes later, and the page would jump.
    styled = f"<style>{style.get()}</style>\n\n" if style.get() else ""
    waiting = f'<span class="{state}">Loading…</span>'
    return f'{styled}<header class="mr-heading"><h1>{escape(title)}</h1><p>{escape(lead)} {waiting}</p></header>'


@contextmanager
def calm(*, polls: bool = False) -> Iterator[None]:
    """Show what to do, in place of the rest of the block, where the API is away, refuses, or has nothing yet.

    A fragment needs one of its own, because it also runs without the page around it; `polls` is for one that runs
    again by itself.
    """
    try:
        yield
    except (ApiAway, ApiProblem, NothingYet, SettingsError) as error:
        explain(error, polls=polls)


def explain(error: ApiAway | ApiProblem | NothingYet | SettingsError, *, polls: bool = False) -> None:
    """Show an error as a state, with what to do; where waiting helps, the page comes back by itself."""
    if isinstance(error, ApiAway):
        if _said_away.get():
            return  # one box for a page
        say(error)
        if not polls:
            in_page = _said_away.get() is not None
            within = _said_away.set(True)
            try:
                _come_back()
            finally:
                if not in_page:
                    _said_away.reset(within)
    elif isinstance(error, NothingYet) and _A_RUN in error.remedy:
        run = going.run_now()
        if run is None:
            say(error)
        else:
            said = f"**{plain(run.told)}**  \n{with_code(error.message)} {_PIPELINE} shows it."
            st.info(said, icon=":material/sync:")
        if not polls:
            _look_again(_now())
    else:
        say(error)


def say(error: ApiAway | ApiProblem | NothingYet | SettingsError) -> None:
    """Show an error as a state, with what to do."""
    if isinstance(error, ApiProblem) and error.status == _UNKNOWN_KEY:
        state("The API wants a key that it knows.", f"{error.detail} {_APP_KEY}", ":material/key_off:")
    elif isinstance(error, ApiProblem) and error.status == _NOT_FOUND:
        state(f"{error.title}.", for_people(error.detail), ":material/error:")
    elif isinstance(error, ApiProblem):
        number = f" Request {error.request_id}." if error.request_id else ""
        state(f"{error.title}.", f"{error.detail}{number}", ":material/error:")
    elif isinstance(error, SettingsError):
        state("A setting cannot be used.", str(error), ":material/settings:")
    else:
        state(error.message, error.remedy, ":material/cloud_off:" if isinstance(error, ApiAway) else ":material/info:")


@st.fragment(run_every=_AGAIN_SECONDS)
def _come_back() -> None:
    """A button that tries again; the page also comes back when the API answers."""
    if st.button("Try again", key="try_again", icon=":material/refresh:"):
        st.rerun()
    st.caption("The page comes back by itself when the API answers.")
    if _said_away.get():  # the API was asked just now
        return
    try:
        session.api().get("/health")
    except (ApiAway, ApiProblem, SettingsError):
        return
    st.rerun()


@st.fragment(run_every=_AGAIN_SECONDS)
def _look_again(then: tuple[going.Run | None, Any]) -> None:
    """Show the page anew when a run has gone on, or another model is served."""
    if _now() != then:
        st.rerun()


def _now() -> tuple[going.Run | None, Any]:
    """The run that is going on, and what the API has to answer from."""
    try:
        model = session.health()["model"]
    except (ApiAway, ApiProblem, SettingsError):
        return going.run_now(), None
    return going.run_now(), (model["version"], model["dataset"])


def for_people(detail: str) -> str:
    """A text of the API without names of fields in front, and without sentences for programs."""
    parts = [_FOR_FIELD.sub("", part) for part in _SENTENCE.split(detail)]
    said = " ".join(part for part in parts if not _FOR_PROGRAMS.search(part))
    return f"{said[:-1]}." if said.endswith(";") else said


def state(message: str, remedy: str, icon: str = ":material/info:") -> None:
    """A calm box: what is the case, and what to do. Code between backquotes in `remedy` is shown as code.

    Addresses are shown as code as well: those of servers lead people nowhere.
    """
    parts = _ADDRESS.split(message)
    said = "".join(f"`{part}`" if place % 2 else _MARKDOWN.sub(r"\\\1", part) for place, part in enumerate(parts))
    todo = "`".join(part if place % 2 else _ADDRESS.sub(r"`\1`", part) for place, part in enumerate(remedy.split("`")))
    st.info(f"**{' '.join(said.split())}**  \n{with_code(todo)}", icon=icon)


def plain(text: str) -> str:
    """A title, or any text of users, so that Streamlit's Markdown shows its characters as they are."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def label(words: str, title: str) -> str:
    """Label of a button that each film has: people see the words, and a screen reader says the title after them."""
    return f"{words} :gray[{plain(films.shortened(films.without_year(title), 80))}]"


def with_code(text: str) -> str:
    """A text of ours as Markdown: `code` between backquotes as code, and every other character as it is."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one backquote too many
        return plain(text)
    shown = "".join(f"`{part}`" if place % 2 else _MARKDOWN.sub(r"\\\1", part) for place, part in enumerate(parts))
    return " ".join(shown.split())


def text(value: str) -> None:
    """Show a title, or any text of users, as plain text in its own direction."""
    st.html(f'<div class="mr-text" dir="auto">{escape(value)}</div>')


def number(label: str, value: float | str | None, help: str | None = None) -> None:
    """A tile with a number; thousands are separated, and None is "none"."""
    shown = "none" if value is None else value if isinstance(value, str) else grouped(value)
    st.metric(label, shown, help=help, border=True, height=_TILE)


def numbers(*tiles: tuple[str, float | str | None, str | None]) -> None:
    """Tiles in a row, which wraps on a phone: label, value and help of each, as `number` takes them."""
    with st.container(horizontal=True):
        for tile in tiles:
            number(*tile)


def grouped(value: float) -> str:
    """A number with separated thousands, and three digits that count behind the point of a small one."""
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:,.3g}"


def inked(drawn: Chart) -> Chart:
    """A chart whose texts all have the colour of the page's text: Streamlit's own greys are too faint."""
    ink = {"labelColor": INK, "titleColor": INK}
    whole: Chart = drawn.configure_text(color=INK).configure_axis(**ink).configure_legend(**ink)
    return whole


@contextmanager
def below() -> Iterator[None]:
    """What is below the first screen of a page, once in a page: its charts are drawn when those above are there.

    A chart keeps the browser busy, so many at once would make the page late. `look.css` holds them back.
    """
    with st.container(key="mr-below"):
        yield


def chart(
    drawn: Chart,
    description: str,
    *,
    data: pd.DataFrame | Sequence[dict[str, Any]] | None = None,
    key: str | None = None,
    on_select: Literal["ignore", "rerun"] = "ignore",
) -> Any:
    """A chart as wide as its place, with a text for screen readers and its data as a table.

    Parameters
    ----------
    drawn : Altair chart
    description : str
        What the chart shows, in a sentence.
    data : DataFrame or sequence of dict, optional
        Of the table; that of the chart when None.
    key : str, optional
        Needed with `on_select`.
    on_select : {"ignore", "rerun"}

    Returns
    -------
    state or None
        What is selected, with "rerun".
    """
    # Its place has its height from the start, so that nothing moves when it is drawn.
    height: int | Literal["content"] = drawn.height if isinstance(drawn.height, int) else "content"
    drawn = inked(drawn)
    selected: Any = None
    if on_select == "rerun":
        selected = st.altair_chart(drawn, width="stretch", height=height, key=key, on_select="rerun", alt=description)
    else:
        st.altair_chart(drawn, width="stretch", height=height, key=key, alt=description)
    table = data if data is not None else getattr(drawn, "data", None)
    if table is not None and table is not alt.Undefined:
        _table(description, pd.DataFrame(table))
    return selected


@st.fragment
def _table(description: str, rows: pd.DataFrame) -> None:
    """The data of a chart. The table is made when somebody opens it: many tables would make a page late."""
    opened = st.expander("Data of this chart", key=f"{DATA_OF}{description}", on_change="rerun")
    if opened.open:
        with opened:
            st.dataframe(rows, hide_index=True, width="stretch")
