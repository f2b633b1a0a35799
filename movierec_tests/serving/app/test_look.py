"""Texts of users are shown as they are, whatever they hold; errors become states that say what to do."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from movierec_assets.host.app import _OPTIONS
from movierec_assets.serving import titles
from movierec_assets.serving.app import figures, films, graph, look, person, session
from movierec_assets.serving.app.dagster import Asset
from movierec_tests.serving.app.conftest import NOWHERE

ODD = [
    """It's "odd", isn't it? (1999)""",
    "Amélie (Fabuleux destin d'Amélie Poulain, Le) (2001)",
    "<script>alert(1)</script><img src=x onerror=alert(1)> (2000)",
    "ציור של חתול (2010)",
    "**bold** [link](http://example.org) $x^2$ :red[red] `code` ~~no~~ # heading",
    "A" * 300,
    "",
]


def card(title: str) -> None:
    from movierec_assets.serving.app import films

    films.film(
        {"title": title, "year": None, "genres": ["Drama", title]},
        match=0.5,
        notes=[("Because you liked", title)],
        badge="new",
    )


class Parts(HTMLParser):
    """What a browser finds in HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.text = set[str](), set[str](), ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("title", ODD)
def test_a_title_on_a_card_is_text_and_nothing_else(title: str) -> None:
    page = AppTest.from_function(card, args=(title,)).run()
    assert not page.exception
    (shown,) = page.get("html")
    parts = Parts(shown.proto.body)
    assert parts.tags <= {"article", "img", "div", "h3", "p", "bdi", "i", "b", "span", "strong"}
    assert parts.attributes <= {"class", "src", "alt", "dir", "title", "style"}
    assert films.without_year(title) in parts.text


@given(st.text())
def test_any_text_survives_markdown_as_its_characters(text: str) -> None:
    plain = look.plain(text)
    assert re.sub(r"\\(.)", r"\1", plain) == " ".join(text.split())
    assert not re.search(r"(?<!\\)(?:\\\\)*[*_\[\]`$<>#~:]", re.sub(r"\\.", "", plain))


@given(st.text(), st.lists(st.text(), max_size=3))
def test_any_film_has_a_picture(title: str, genres: list[str]) -> None:
    assert films.tile(title, genres) == films.tile(title, genres)
    assert films.tile(title, genres).startswith("data:image/svg+xml;base64,")


def test_titles_are_shown_as_people_say_them() -> None:
    assert films.without_year("Matrix, The (1999)") == "The Matrix"
    assert films.without_year("Tin Drum, The (Blechtrommel, Die) (1979)") == "The Tin Drum (Die Blechtrommel)"
    assert films.without_year("Boot, Das (Boat, The) (1981)") == "Das Boot (The Boat)"
    assert films.without_year("Avventura, L' (Adventure, The) (1960)") == "L'Avventura (The Adventure)"
    assert films.without_year("Shape of Things, Nothing (2003)") == "Shape of Things, Nothing"
    assert films.with_year({"title": "Matrix, The (1999)", "year": 1999}) == "The Matrix (1999)"
    assert films.with_year({"title": "Heat", "year": None}) == "Heat"
    assert tuple(each.lower() for each in films.ARTICLES) == titles.ARTICLES
    assert films.without_year("Heat (1995)") == "Heat"
    assert films.without_year("(500) Days of Summer (2009)") == "(500) Days of Summer"
    assert films.without_year("Monsters, Inc. (2001)") == "Monsters, Inc."
    assert films.without_year("(2001)") == "(2001)"
    assert films.shortened("a" * 70) == "a" * 59 + "…"


def test_what_moved_leaves_out_that_others_closed_up() -> None:
    assert person.moves([1, 2, 3, 4], [2, 3, 4], gone=1) == {}
    assert person.moves([1, 2, 3], [3, 1, 2], gone=9)[3] == "up 2 places"
    assert person.moves([1, 2, 3, 4], [3, 2, 5], gone=1) == {3: "up 1 place", 2: "down 1 place", 5: "new"}


def test_numbers_are_grouped() -> None:
    assert [look.grouped(value) for value in (1234567, 0.12345, 1234.56, 0)] == ["1,234,567", "0.123", "1,234.6", "0"]


def loading(over: bool) -> None:
    import streamlit as st

    from movierec_assets.serving.app import look

    with look.page("Title", "Lead"):
        if not over:
            st.stop()


def test_a_page_says_that_it_loads_in_the_room_that_it_has_when_it_is_ready() -> None:
    waiting, ready = (AppTest.from_function(loading, args=(over,)).run().markdown for over in (False, True))
    (before,), (after,) = ([each.value for each in found] for found in (waiting, ready))
    assert "mr-waiting" in before
    assert before.replace("mr-waiting", "mr-ready") == after


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def text_colours(spec: Any) -> list[str]:
    """Colours of text marks: their own, and of their encodings."""
    if isinstance(spec, list):
        return [colour for each in spec for colour in text_colours(each)]
    if not isinstance(spec, dict):
        return []
    mark = spec.get("mark")
    found: list[str] = []
    if isinstance(mark, dict) and mark["type"] == "text":
        found += [mark[name] for name in ("color", "fill") if name in mark]
        found += [str(spec["encoding"][name]["value"]) for name in ("color", "fill") if name in spec["encoding"]]
    return found + [colour for each in spec.values() for colour in text_colours(each)]


ASSET = Asset("als_model", "models", "", (), (), (), "up to date", None, None, ())
DRAWN = {
    "factorization": look.inked(figures.factorization(610, 9724, 64)),
    "bars": look.inked(figures.bars([{"name": "a", "share": 0.5}], "name", "share", title="share")),
    "reasons": look.inked(figures.reasons([{"reason": "after a", "kind": "after", "contribution": 0.5}])),
    "graph": graph.drawing([ASSET], datetime.now(UTC), look.INK),
}


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_of_a_chart_is_readable_on_the_page(name: str, scheme: str) -> None:
    spec = DRAWN[name].to_dict()
    colours = text_colours(spec)
    if name != "graph":  # which has neither axes nor a legend
        config = spec["config"]
        colours += [config[part][text] for part in ("axis", "legend") for text in ("labelColor", "titleColor")]
        colours.append(config["text"]["color"])
    assert colours
    ink, paper = (_OPTIONS[f"theme.{scheme}.{part}"] for part in ("textColor", "backgroundColor"))
    for colour in colours:
        assert contrast(ink if colour == look.INK else colour, paper) >= 4.5, colour


@pytest.mark.parametrize("title", ODD)
def test_a_label_holds_a_title_as_text(title: str) -> None:
    label = look.label("Similar", title)
    assert label.startswith("Similar :gray[")
    inner = label.removeprefix("Similar :gray[").removesuffix("]")
    assert not re.search(r"[*_\[\]`$<>#~:]", re.sub(r"\\.", "", inner))


def test_a_browser_has_one_name_under_every_mask() -> None:
    token, names = bytes(range(16)), set[str | None]()
    for mask in (b"\x01\x02\x03\x04", b"\xff\x00\xaa\x10"):
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(token))
        names.add(session.browser_of(f"2|{mask.hex()}|{masked.hex()}|1700000000"))
    assert len(names) == 1
    assert names != {None}
    for nothing in ("", "2|zz|00|1", "3|00|00|1", "2|00||1", "2|00|11", "a|b"):
        assert session.browser_of(nothing) is None


def states() -> None:
    from movierec_assets.serving.app import look
    from movierec_assets.serving.app.client import ApiAway, ApiProblem

    for error in (
        ApiAway("Away <b> at http://127.0.0.1:9.", "Run `movierec up`."),
        ApiProblem(503, "Busy", "Wait *a* moment.", "abc"),
        ApiProblem(404, "Not found", "body.user_id: There is no user 9; POST /users makes one."),
        look.NothingYet("No champion yet."),
    ):
        with look.calm():
            raise error


def test_errors_are_calm_states_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOVIEREC_DAGSTER_WEBSERVER", NOWHERE)
    page = AppTest.from_function(states).run()
    assert not page.exception
    away, busy, missing, nothing = (each.value for each in page.info)
    assert "`http://127.0.0.1:9`" in away, "an address is no link"
    assert "There is no user 9\\." in missing
    assert "body" not in missing
    assert "POST" not in missing
    assert r"\<b\>" in away
    assert "`movierec up`" in away
    assert r"\*a\*" in busy
    assert "abc" in busy
    assert "`movierec run`" in nothing


def test_the_graph_has_a_legend_of_every_state() -> None:
    said = graph.legend().lower()
    assert all(state in said for state in graph.SIGNS)
    assert said.startswith("circle: up to date; triangle: running; cross: failed or check failed; diamond:")
