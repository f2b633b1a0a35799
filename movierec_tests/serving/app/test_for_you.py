"""The page of recommendations: what it shows first, what a star changes, and how it looks when something is away."""

from __future__ import annotations

import math
from typing import Any

import httpx
import pytest
from streamlit.testing.v1 import AppTest

from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.app import look, person
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.dataset_document import refresh_dataset_document
from movierec_assets.tables.insights import write_insight
from movierec_tests.serving.api.small import ODD, VERSION
from movierec_tests.serving.app.conftest import NOWHERE, OpenPage, forget, words
from movierec_tests.waiting import wait_until


def listed(page: AppTest) -> list[int]:
    """Films of the list, by the keys of their stars."""
    keys = [str(each.key) for each in page.feedback]
    return [int(key.rpartition("-")[2]) for key in keys if key.startswith("star-")]


def found(page: AppTest, user: int, movie: int) -> Any:
    """The stars of a film that was searched."""
    keys = (f"found-{user}-{movie}", f"found-{user}-{movie}-")
    (stars,) = [each for each in page.feedback if str(each.key) == keys[0] or str(each.key).startswith(keys[1])]
    return stars


def asked(api: str, **wish: Any) -> list[dict[str, Any]]:
    """The list of the API itself."""
    found: list[dict[str, Any]] = httpx.post(f"{api}/recommend", json=wish | {"shown": False}).json()["movies"]
    return found


def test_a_person_has_a_list_at_once_with_reasons_and_its_source(open_page: OpenPage, served_api: str) -> None:
    page = open_page("for_you", at=served_api)
    assert not page.exception
    assert page.number_input(key="user").value == person.DEFAULT_USER
    assert len(listed(page)) == 12
    said = words(page)
    assert "100 % match" in said
    assert "Because you liked" in said
    assert f"model version {VERSION}" in said
    assert "15 ratings" in said


def test_the_url_names_the_person_the_filters_and_the_moment(open_page: OpenPage, served_api: str) -> None:
    query = {"user": "6", "genre": "Comedy", "moment": "Next time"}
    page = open_page("for_you", at=served_api, **query)
    expected = asked(served_api, user_id=6, n=12, at="return", filters={"genres_any": ["Comedy"]})
    assert listed(page) == [movie["movie_id"] for movie in expected]


def test_an_address_without_a_person_shows_the_list_that_was_looked_at_last(
    open_page: OpenPage, served_api: str
) -> None:
    query = {"user": "6", "genre": "Comedy", "moment": "Next time", "films": "24"}
    page = open_page("for_you", at=served_api, **query)
    before = listed(page)
    page.query_params.clear()  # as the menu, and the browser's Back, may come here
    page.query_params["film"] = "3"
    page.run()
    assert not page.exception
    assert listed(page) == before
    address = {name: value if isinstance(value, str) else value[-1] for name, value in page.query_params.items()}
    assert {name: address.get(name) for name in query} == query
    page.number_input(key="user").set_value(None).run()
    assert listed(page) == before, "an empty box names nobody else"
    page.button[1].click().run()
    assert int(page.session_state["user"]) >= person.FIRST_APP_USER


def test_every_genre_of_the_data_can_be_chosen(open_page: OpenPage, served_api: str, worker: Worker) -> None:
    database = Database(worker.settings.databases.ratings)
    options = open_page("for_you", at=served_api).multiselect(key="genre").options
    assert options == ["Action", "Comedy", "Crime", "Drama", "Film-Noir", "Romance", "Sci-Fi"]
    refresh_dataset_document(database)
    document = httpx.get(f"{served_api}/insights/dataset").json()["document"]
    rare = {"genre": "Documentary", "decade": None, "movies": 1, "ratings": 1, "mean_stars": 4.0}
    write_insight(database, "dataset", document | {"genres": [*document["genres"], rare, rare | {"genre": ""}]})
    try:
        page = open_page("for_you", at=served_api)
    finally:
        refresh_dataset_document(database)
    assert page.multiselect(key="genre").options == sorted([*options, "Documentary"]), "also a genre of rare films"


def test_the_two_moments_are_two_lists(open_page: OpenPage, served_api: str) -> None:
    now, then = (open_page("for_you", at=served_api, user="7", moment=moment) for moment in ("Right now", "Next time"))
    assert listed(now) != listed(then)
    assert "Often liked after" in words(now) or "often liked soon after" in words(now)
    assert "liked after" not in words(then)


def test_a_star_counts_in_the_list_at_once_and_what_moved_is_told(open_page: OpenPage, served_api: str) -> None:
    page = open_page("for_you", at=served_api)
    page.button[1].click().run()
    new = int(page.session_state["user"])
    assert new >= person.FIRST_APP_USER
    assert "You are new here" in words(page)
    given = dict[int, float]()
    for stars in (5, 4, 5):
        movie = listed(page)[1]
        page.feedback(key=f"star-{new}-{movie}").set_value(stars - 1).run()
        assert not page.exception
        given[movie] = stars
        assert not given.keys() & set(listed(page))
    ratings = httpx.get(f"{served_api}/users/{new}/ratings").json()["ratings"]
    assert {each["movie_id"]: each["stars"] for each in ratings} == given
    assert "You gave" in words(page)
    assert "3 ratings" in words(page)
    rated = next(str(each.key) for each in page.feedback if str(each.key).startswith(f"rated-{new}-"))
    page.button(key=f"back-{rated}").click().run()
    assert httpx.get(f"{served_api}/users/{new}/ratings").json()["total"] == 2


def test_a_film_that_is_not_wanted_is_listed_no_more_and_the_api_knows(
    open_page: OpenPage, served_api: str, worker: Worker
) -> None:
    page = open_page("for_you", at=served_api, user="9")
    unwanted = listed(page)[1]
    page.button(key=f"no-9-{unwanted}").click().run()
    assert not page.info
    assert unwanted not in listed(page)
    assert page.query_params["not"] in (str(unwanted), [str(unwanted)])
    rows = f"SELECT user_id, kind FROM {SCHEMA}.events WHERE movie_id = %s AND user_id = 9"
    database = Database(worker.settings.databases.ratings)
    wait_until(lambda: database.rows(rows, [unwanted]) == [(9, "dismiss")], "the event")
    next(each for each in page.button if "hidden" in each.label).click().run()
    assert unwanted in listed(page)


def test_films_that_one_person_hid_are_listed_for_the_next_one(open_page: OpenPage, served_api: str) -> None:
    page = open_page("for_you", at=served_api, user="9", **{"not": "1-2-3"})
    assert not {1, 2, 3} & set(listed(page))
    page.number_input(key="user").set_value(5).run()
    assert "not" not in page.query_params
    assert not [each.label for each in page.button if "hidden" in each.label]
    page.number_input(key="user").set_value(9).run()
    assert not {1, 2, 3} & set(listed(page)), "they are hidden from the person who hid them"
    assert page.query_params["not"] in ("1-2-3", ["1-2-3"])


def test_a_hidden_film_stays_hidden_at_an_address_that_does_not_name_it(open_page: OpenPage, served_api: str) -> None:
    page = open_page("for_you", at=served_api, user="12")
    unwanted = listed(page)[1]
    page.button(key=f"no-12-{unwanted}").click().run()
    for address in ({}, {"user": "12"}):
        page.query_params.clear()  # as the menu, and the browser's Back, may come here
        page.query_params.update(address)
        page.run()
        assert unwanted not in listed(page)
        assert page.query_params["not"] in (str(unwanted), [str(unwanted)])
    next(each for each in page.button if "hidden" in each.label).click().run()
    assert unwanted in listed(page)
    assert unwanted in listed(page.run())


def test_a_film_stays_listed_when_the_api_could_not_be_told(
    open_page: OpenPage, served_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page("for_you", at=served_api, user="9")
    unwanted = listed(page)[1]
    monkeypatch.setenv("MOVIEREC_APP_API_URL", NOWHERE)
    forget()
    page.button(key=f"no-9-{unwanted}").click().run()
    assert "does not answer" in words(page)
    assert "not" not in page.query_params
    monkeypatch.setenv("MOVIEREC_APP_API_URL", served_api)
    forget()
    assert unwanted in listed(page.run())


def test_an_url_that_hides_nonsense_hides_what_are_films(open_page: OpenPage, served_api: str) -> None:
    many = "-".join(map(str, [*range(1000, 3000), 1, 1]))
    page = open_page("for_you", at=served_api, user="9", **{"not": f"{many}-x--{'9' * 5000}-0-2"})
    assert len(listed(page)) == 12
    assert not {1, 2} & set(listed(page))
    assert [each.label for each in page.button if "hidden" in each.label] == ["List the 100 hidden films again"]


def test_a_list_of_somebody_else_counts_as_shown_only_after_one_has_acted_as_this_user(
    open_page: OpenPage, served_api: str, worker: Worker
) -> None:
    database = Database(worker.settings.databases.ratings)

    def shown() -> int:
        return int(database.rows(f"SELECT count(*) FROM {SCHEMA}.served WHERE user_id = 11")[0][0])

    page = open_page("for_you", at=served_api, user="11")
    assert "counts in no figure" in words(page)
    movie = listed(page)[0]
    page.feedback(key=f"star-11-{movie}").set_value(3).run()
    assert "counts in no figure" not in words(page)
    wait_until(lambda: shown() == 1, "the list after the star")


def test_a_search_forgives_typing_errors_and_its_films_can_be_rated(open_page: OpenPage, served_api: str) -> None:
    page = open_page("for_you", at=served_api, user="10")
    page.text_input(key="search").set_value("the matirx").run()
    assert found(page, 10, 2)
    assert "The Matrix" in words(page)


def test_each_rating_of_a_person_is_reached_by_a_search_and_below_the_latest_ones(
    open_page: OpenPage, served_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(person, "PAGE", 4)
    ratings = httpx.get(f"{served_api}/users/13/ratings").json()["ratings"]
    oldest = [each for each in ratings if each["movie_id"] > max(ODD)][-1]  # others give the first films odd titles
    page = open_page("for_you", at=served_api, user="13")
    shown = [str(each.key) for each in page.feedback if str(each.key).startswith("rated-13-")]
    assert len(shown) == 6
    page.text_input(key="search").set_value(oldest["title"]).run()
    stars = found(page, 13, oldest["movie_id"])
    assert stars.value == math.ceil(oldest["stars"]) - 1
    page.button(key=f"back-{stars.key}").click().run()
    left = httpx.get(f"{served_api}/users/13/ratings").json()["ratings"]
    assert oldest["movie_id"] not in {each["movie_id"] for each in left}
    assert found(page, 13, oldest["movie_id"]).value is None
    found(page, 13, oldest["movie_id"]).set_value(3).run()
    monkeypatch.setattr(person, "PAGE", 1000)
    page.text_input(key="search").set_value("").run()
    next(each for each in page.button if each.label == "All ratings").click().run()
    shown = [str(each.key) for each in page.feedback if str(each.key).startswith("rated-13-")]
    assert len(shown) == len(ratings)
    assert not [each for each in page.button if each.label == "All ratings"]


def test_any_title_is_said_as_text_after_a_star(open_page: OpenPage, served_api: str) -> None:
    page = open_page("for_you", at=served_api, user="24")
    for movie, title in ODD.items():
        page.text_input(key="search").set_value(title[:60]).run()
        if found(page, 24, movie).value == 4:
            found(page, 24, movie).set_value(3).run()
        found(page, 24, movie).set_value(4).run()
        assert not page.exception
        assert look.plain(title) in page.success[0].value
        assert "<script>" not in words(page)
    page.text_input(key="search").set_value("the matrix").run()
    found(page, 24, 2).set_value(4).run()
    assert page.success[0].value.startswith("You gave The Matrix 5 stars: "), "as cards name it"


def test_a_longer_list_is_in_the_url(open_page: OpenPage, served_api: str) -> None:
    page = open_page("for_you", at=served_api, user="5")
    next(each for each in page.button if each.label == "More films").click().run()
    longer = listed(page)
    assert longer == [each["movie_id"] for each in asked(served_api, user_id=5, n=24, at="latest")]
    length = page.query_params["films"]
    assert length in ("24", ["24"])
    assert listed(open_page("for_you", at=served_api, user="5", films="24")) == longer
    assert len(listed(open_page("for_you", at=served_api, user="5", films="-1e9"))) == 12


def test_stars_and_buttons_of_a_card_name_the_film(open_page: OpenPage, served_api: str) -> None:
    page = open_page("for_you", at=served_api, user="5")
    labels = [each.label for each in page.button if str(each.key).startswith(("no-", "like-", "why-"))]
    assert len(labels) == len(set(labels)) == 36
    unseen = [each.proto.body for each in page.get("html") if '<p class="mr-unseen">' in each.proto.body]
    assert len(unseen) == len(set(unseen)) == 12


def test_nobody_with_this_id_is_said_and_the_person_can_be_changed(open_page: OpenPage, served_api: str) -> None:
    page = open_page("for_you", at=served_api, user="999")
    assert not page.exception
    assert "There is no user 999" in words(page)
    page.number_input(key="user").set_value(5).run()
    assert len(listed(page)) == 12
