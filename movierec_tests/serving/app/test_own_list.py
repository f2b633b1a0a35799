"""What the page For you says of a list: its match, its moment, its reasons, whose it is, and how it is shared."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest

from movierec_assets.serving.app.app_pages import for_you
from movierec_tests.serving.app.conftest import OpenPage, words
from movierec_tests.serving.app.test_for_you import asked, listed
from movierec_tests.serving.app.test_stars import new_user


def cards(page: AppTest) -> list[str]:
    """The cards of the list, as HTML."""
    return [each.proto.body for each in page.get("html") if "mr-film" in each.proto.body]


def matches(page: AppTest) -> dict[int, int]:
    """Match of each film of the list, in percent."""
    found = [re.search(r"(\d+) % match", card) for card in cards(page)]
    return {movie: int(each[1]) for movie, each in zip(listed(page), found, strict=True) if each}


@pytest.mark.parametrize("adventure", [0, 4, 10])
def test_the_match_of_a_film_is_that_of_its_own_score(open_page: OpenPage, served_api: str, adventure: int) -> None:
    page = open_page("for_you", at=served_api, user="7", adventure=str(adventure))
    own = {each["movie_id"]: each["score"] for each in asked(served_api, user_id=7, n=60, at="latest")}
    best = max(own[movie] for movie in listed(page))
    shown = matches(page)
    assert shown.keys() == set(listed(page))
    for movie, percent in shown.items():
        assert percent == pytest.approx(max(0.0, 100 * own[movie] / best), abs=0.51)
    assert list(shown.values()).count(100) == 1


def test_a_list_without_matches_does_not_explain_them(open_page: OpenPage, served_api: str) -> None:
    page = open_page("for_you", at=served_api, user=str(new_user(served_api)))
    assert not matches(page)
    said = words(page)
    assert "counts as 100 %" not in said
    assert "may rate and hide films as this user" in said
    assert "both moments have the same list" in said
    assert "latest likes" not in said


def test_a_list_right_after_a_like_of_long_ago_says_when_that_was(open_page: OpenPage, served_api: str) -> None:
    said = words(open_page("for_you", at=served_api, user="5"))
    assert "right after the latest like, on 9 September 2001" in said
    assert "Today the service gives the list of “Next time”" in said
    later = words(open_page("for_you", at=served_api, user="5", moment="Next time"))
    assert "September 2001" not in later
    user = new_user(served_api, _3=5.0)
    fresh = words(open_page("for_you", at=served_api, user=str(user)))
    assert "For the sitting" in fresh
    assert "Today" not in fresh


def test_the_list_right_after_an_old_like_is_not_the_one_of_now_but_that_of_next_time_is(served_api: str) -> None:
    now, then = (asked(served_api, user_id=7, n=12, **at) for at in ({}, {"at": "return"}))
    assert [each["movie_id"] for each in now] == [each["movie_id"] for each in then]
    latest = asked(served_api, user_id=7, n=12, at="latest")
    assert [each["movie_id"] for each in now] != [each["movie_id"] for each in latest]


def test_the_first_reason_of_a_card_is_the_strongest() -> None:
    after = {"kind": "after", "contribution": 2.9, "title": "Flags of Our Fathers (2006)"}
    taste = {"kind": "because of", "contribution": 0.6, "title": "Cars (2006)"}
    said = [("Often liked after", "Flags of Our Fathers"), ("Because you liked", "Cars")]
    assert for_you._reasons({"reasons": [after, {**after, "title": "Cars (2006)"}, taste]}) == said
    assert for_you._reasons({"reasons": [{**taste, "contribution": 3.0}, after]}) == said[::-1]


def test_an_address_names_its_user_and_is_there_to_copy(open_page: OpenPage, served_api: str) -> None:
    page = open_page("for_you", at=served_api)
    assert page.query_params["user"] in ("1", ["1"])
    page = open_page("for_you", at=served_api, user="6", genre="Comedy", moment="Next time", **{"not": "3"})
    parts = parse_qs(page.code[0].value.partition("?")[2])
    assert parts == {"user": ["6"], "genre": ["Comedy"], "moment": ["Next time"], "not": ["3"]}
    assert "list of user 6. Whoever has its address may rate and hide films as this user" in words(page)


@pytest.mark.parametrize("named", ["0", "-3", "abc", "2147483648", "7.5"])
def test_an_address_that_names_nobody_says_whose_list_is_shown(
    open_page: OpenPage, served_api: str, named: str
) -> None:
    page = open_page("for_you", at=served_api, user=named)
    assert not page.exception
    assert f"This is the list of user {page.number_input(key='user').value}." in page.warning[0].value
    assert len(listed(page)) == 12


@pytest.mark.parametrize(
    ("part", "value", "told"),
    [
        ("genre", ["Comedy", "<b>Odd</b>"], "the genre"),
        ("years", ["1800", "1850"], "the years"),
        ("years", ["x"], "the years"),
        ("adventure", "11", "the adventure"),
        ("moment", "Tomorrow", "the moment “Tomorrow”"),
        ("films", "-1", "the number of films"),
    ],
)
def test_a_part_of_the_address_that_cannot_be_used_is_told(
    open_page: OpenPage, served_api: str, part: str, value: Any, told: str
) -> None:
    page = open_page("for_you", at=served_api, user="5", **{part: value})
    assert not page.exception
    (warning,) = page.warning
    assert told in warning.value
    assert "<b>" not in warning.value


def test_an_address_that_can_be_used_has_no_warning(open_page: OpenPage, served_api: str) -> None:
    query = {"genre": ["Comedy", "Drama"], "years": ["1950", "2005"], "adventure": "3", "films": "24"}
    assert not open_page("for_you", at=served_api, user="5", moment="Next time", **query).warning


def test_hidden_films_are_told_in_words_of_people(open_page: OpenPage, served_api: str) -> None:
    page = open_page("for_you", at=served_api, user="9", genre="Action")
    page.button(key=f"no-9-{listed(page)[0]}").click().run()
    said = words(page)
    assert "hidden by you" in said
    assert "request" not in said
    assert [each.label for each in page.button if "hidden" in each.label] == ["List the hidden film again"]


def test_a_film_that_was_searched_can_be_asked_about(open_page: OpenPage, served_api: str) -> None:
    user = new_user(served_api, _3=5.0)
    page = open_page("for_you", at=served_api, user=str(user))
    page.text_input(key="search").set_value("heat").run()
    assert "Heat" in page.button(key="ask-4").label
