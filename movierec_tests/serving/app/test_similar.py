"""The page of similar films: the list, the map, and going on from a film."""

from __future__ import annotations

from html import escape
from typing import Any

import httpx

from movierec_assets.serving.app.app_pages import similar
from movierec_tests.serving.api.small import LAST_MOVIE, ODD
from movierec_tests.serving.app.conftest import OpenPage, words


def test_the_film_of_the_url_is_shown_with_its_nearest_and_a_map(open_page: OpenPage, served_api: str) -> None:
    page = open_page("similar", at=served_api, movie="2")
    assert not page.exception
    near = httpx.get(f"{served_api}/movies/2/similar", params={"n": similar.LISTED}).json()["movies"]
    keys = [str(each.key) for each in page.button]
    assert keys == [f"near-2-{movie['movie_id']}" for movie in near]
    assert "The Matrix" in words(page)
    assert len(page.get("vega_lite_chart")) == 1


def test_without_a_film_in_the_url_there_is_one_at_once(open_page: OpenPage, served_api: str) -> None:
    page = open_page("similar", at=served_api)
    popular = httpx.get(f"{served_api}/movies/popular", params={"n": 1}).json()["movies"][0]["movie_id"]
    assert page.query_params["movie"] in (str(popular), [str(popular)])
    assert len(page.button) == similar.LISTED


def test_one_goes_on_from_a_neighbour_and_from_a_search(open_page: OpenPage, served_api: str) -> None:
    page = open_page("similar", at=served_api, movie="2")
    first = str(page.button[0].key).rpartition("-")[2]
    page.button[0].click().run()
    assert page.query_params["movie"] in (first, [first])
    page.text_input(key="find").set_value("amelie").run()
    page.button(key="find-3").click().run()
    assert page.query_params["movie"] in ("3", ["3"])
    assert page.text_input(key="find").value == ""


def test_any_title_is_text_on_the_map_the_cards_and_the_buttons(open_page: OpenPage, served_api: str) -> None:
    for movie, title in ODD.items():
        page = open_page("similar", at=served_api, movie=str(movie))
        assert not page.exception
        assert escape(title) in words(page)
        assert "<script>" not in words(page)
    page.text_input(key="find").set_value("bold script alert").run()
    assert r"\<b\>Bold" in page.button(key="find-10").label


def test_a_film_that_the_model_does_not_know_is_told(open_page: OpenPage, served_api: str) -> None:
    assert "does not know" in words(open_page("similar", at=served_api, movie=str(LAST_MOVIE)))
    said = words(open_page("similar", at=served_api, movie="999"))
    assert "There is no film 999" in said
    assert "GET" not in said
    assert "Search one by its title" in said


def test_every_film_of_the_map_is_reached_by_buttons(open_page: OpenPage, served_api: str) -> None:
    on_map = httpx.get(f"{served_api}/movies/2/map", params={"n": similar.ON_MAP}).json()["movies"]
    assert len(on_map) > similar.LISTED + 1
    page = open_page("similar", at=served_api, movie="2")
    page.session_state["others-2"] = True
    page = page.run()
    reached = {str(each.key).rpartition("-")[2] for each in page.button}
    assert reached == {str(movie["movie_id"]) for movie in on_map[1:]}
    last = str(on_map[-1]["movie_id"])
    page.button(key=f"other-2-{last}").click().run()
    assert page.query_params["movie"] in (last, [last])


def test_the_number_of_ratings_is_said_in_words() -> None:
    assert similar._about({"ratings": 1, "mean_stars": 4.0}) == "1 rating, 4.0 stars on average"
    assert similar._about({"ratings": 1200, "mean_stars": None}) == "1,200 ratings"


def test_a_click_on_the_map_names_a_film() -> None:
    assert similar._chosen({"selection": {"film": [{"movie_id": 3}]}}) == 3
    nothing: list[Any] = [None, {}, {"selection": {}}, {"selection": {"film": []}}]
    assert [similar._chosen(each) for each in nothing] == [None] * 4


def movie(number: int, **more: Any) -> dict[str, Any]:
    return {"movie_id": number, "title": f"Film {number}", "year": 1999, "genres": ["Drama"], "similarity": 0.5} | more


def test_rows_of_the_map_name_films_that_are_apart_and_hold_odd_films() -> None:
    table = similar._table(
        [
            movie(1, x=0.0, y=0.0),
            movie(2, x=0.01, y=0.01, year=None, genres=[]),
            movie(3, x=1.0, y=1.0, title="<b>&</b>" * 50),
        ]
    )
    assert list(table["name"].astype(bool)) == [True, False, True]
    assert table["year"].isna().tolist() == [False, True, False]
    assert table["kind"].tolist() == ["This film", "Other", "Drama"]
    assert similar._drawing(table).to_dict()["layer"]
    assert len(similar._table([movie(1, x=0.0, y=0.0)])) == 1
