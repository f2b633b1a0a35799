"""Stars on the page For you: what a click stores and says, a second click, another tab, and a lost answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from movierec_assets.serving.app import person
from movierec_tests.serving.api.small import TITLES
from movierec_tests.serving.app.conftest import OpenPage, forget, words
from movierec_tests.serving.app.test_for_you import found, listed


def new_user(api: str, **ratings: float) -> int:
    """A user of the app with these ratings, as in `_3=4.5`."""
    user = int(httpx.post(f"{api}/users", json={}).json()["user_id"])
    for movie, stars in ratings.items():
        body = {"user_id": user, "movie_id": int(movie[1:]), "stars": stars}
        assert httpx.post(f"{api}/ratings", json=body).is_success
    return user


def stored(api: str, user: int) -> dict[int, float]:
    """Ratings of a user, as the API has them."""
    ratings = httpx.get(f"{api}/users/{user}/ratings").json()["ratings"]
    return {each["movie_id"]: each["stars"] for each in ratings}


def line(page: AppTest, user: int, movie: int) -> Any:
    """The stars of a film among the latest ratings."""
    (stars,) = [each for each in page.feedback if str(each.key).startswith(f"rated-{user}-{movie}-")]
    return stars


@pytest.mark.parametrize(("given", "drawn"), [(0.5, 1), (2.5, 3), (3.5, 4), (4.0, 4)])
def test_a_click_on_the_star_that_is_set_rates_and_never_withdraws(
    open_page: OpenPage, served_api: str, given: float, drawn: int
) -> None:
    user = new_user(served_api, _3=given)
    page = open_page("for_you", at=served_api, user=str(user))
    assert line(page, user, 3).value == drawn - 1
    assert (f"{given:g} stars" in words(page)) == bool(given % 1), "half stars are written"
    line(page, user, 3).set_value(None).run()  # as Streamlit says it of a click on the star that is set
    assert not page.exception
    assert stored(served_api, user) == {3: drawn}
    assert line(page, user, 3).value == drawn - 1
    assert f"{drawn} star" in page.success[0].value


def test_a_rating_is_taken_back_by_a_button_that_names_the_film(open_page: OpenPage, served_api: str) -> None:
    user = new_user(served_api, _4=5.0, _2=4.0)
    page = open_page("for_you", at=served_api, user=str(user))
    button = page.button(key=f"back-{line(page, user, 4).key}")
    assert "Take back" in button.label
    assert TITLES[4] in button.label
    button.click().run()
    assert stored(served_api, user) == {2: 4.0}
    assert "You took back your rating of Heat" in page.success[0].value


@pytest.mark.parametrize("drawn", [None, 4])
def test_two_clicks_on_a_star_at_once_are_one_rating(
    served_api: str, monkeypatch: pytest.MonkeyPatch, drawn: int | None
) -> None:
    user = new_user(served_api, _3=4.0)
    monkeypatch.setenv("MOVIEREC_APP_API_URL", served_api)
    forget()
    state: dict[str, Any] = {"lists": {"a list": {"wish": "a wish", "movies": [{"movie_id": 3}]}}}
    monkeypatch.setattr(st, "session_state", state)
    for clicked in (1, None):  # the second click takes the star away, before the page is made anew
        state["stars"] = clicked
        person.rate(user, {"movie_id": 3, "title": "Amelie (2001)"}, "stars", drawn)
        assert stored(served_api, user) == {3: 2.0}
        event = person.last_event()
        assert event is not None
        assert event.said == "You gave Amelie 2 stars"
        assert event.before == {"a wish": [3]}
    forget()


def test_what_a_star_changed_is_said_beside_the_page_too(open_page: OpenPage, served_api: str) -> None:
    user = new_user(served_api, _3=5.0)
    page = open_page("for_you", at=served_api, user=str(user))
    page.feedback(key=f"star-{user}-{listed(page)[-1]}").set_value(4).run()
    assert [each.value for each in page.toast] == [page.success[0].value]
    page.run()
    assert not page.toast, "it is said once"


def test_a_rating_of_another_tab_is_seen_and_the_list_follows(open_page: OpenPage, served_api: str) -> None:
    user = new_user(served_api, _3=5.0)
    page = open_page("for_you", at=served_api, user=str(user))
    movie = listed(page)[0]
    assert httpx.post(f"{served_api}/ratings", json={"user_id": user, "movie_id": movie, "stars": 5}).is_success
    page.run()
    assert movie not in listed(page)
    assert "changed elsewhere" in page.toast[0].value
    kept = page.session_state["lists"]
    page.run()
    assert page.session_state["lists"] == kept
    assert not page.toast
    assert httpx.delete(f"{served_api}/ratings/{user}/{movie}").is_success
    assert movie in listed(page.run())


def test_a_film_that_leaves_a_shorter_list_is_told(open_page: OpenPage, served_api: str) -> None:
    user = new_user(served_api, _3=5.0)
    page = open_page("for_you", at=served_api, user=str(user), genre="Action", years=["1950", "1965"])
    assert len(listed(page)) > 1
    while len(left := listed(page)) > 1:
        page.button(key=f"no-{user}-{left[-1]}").click().run()
        assert "the list is 1 film shorter" in page.success[0].value
    page.button(key=f"no-{user}-{left[0]}").click().run()
    assert "no film is left" in page.success[0].value
    assert "stays as it is" not in words(page)


class Lossy(ThreadingHTTPServer):
    """The API, but answers to ratings are lost once `loses` is set. Other answers then wait until one is stored."""

    def __init__(self, api: str) -> None:
        super().__init__(("127.0.0.1", 0), _Pass)
        self.api, self.loses, self.stored, self.ends = api, False, threading.Event(), threading.Event()

    @property
    def address(self) -> str:
        """Of the server."""
        return f"http://127.0.0.1:{self.server_port}"


class _Pass(BaseHTTPRequestHandler):
    server: Lossy

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        lost = self.server.loses and self.path == "/ratings"
        if self.server.loses and not lost:
            assert self.server.stored.wait(60)
        headers = {"Content-Type": self.headers["Content-Type"]} if body else {}
        answer = httpx.request(self.command, self.server.api + self.path, content=body, headers=headers)
        if lost:
            self.server.stored.set()
            self.server.ends.wait(60)
            return
        self.send_response(answer.status_code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_DELETE = _pass  # noqa: N815 - names of the class

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def lossy_api(served_api: str) -> Iterator[Lossy]:
    """Between the page and the API."""
    with Lossy(served_api) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.ends.set()
        server.shutdown()
        thread.join()


def test_after_a_lost_answer_the_page_says_what_is_stored(
    open_page: OpenPage, served_api: str, lossy_api: Lossy, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = new_user(served_api, _3=5.0)
    page = open_page("for_you", at=lossy_api.address, user=str(user))
    movie = listed(page)[0]
    monkeypatch.setattr(person, "STAR_SECONDS", 0.3)
    lossy_api.loses = True
    page.feedback(key=f"star-{user}-{movie}").set_value(3).run()
    assert not page.exception
    assert stored(served_api, user)[movie] == 4
    assert "took too long" in page.info[0].value
    assert "has 4 stars now" in page.info[0].value
    assert movie not in listed(page), "the list is that of the stored rating"
    assert not page.run().info


def test_stars_of_a_search_are_as_stored_when_no_answer_comes(
    open_page: OpenPage, served_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = new_user(served_api, _3=5.0)
    page = open_page("for_you", at=served_api, user=str(user))
    page.text_input(key="search").set_value("heat").run()
    monkeypatch.setattr(person, "STAR_SECONDS", 1e-6)
    found(page, user, 4).set_value(3).run()
    has = "has 4 stars now" in page.info[0].value
    assert has or "has no stars now" in page.info[0].value
    assert found(page, user, 4).value == (3 if has else None)
