"""The pages Introduction, The model and Quality: what they show, and what they say while there is nothing to show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from html import escape

import httpx
import pytest
from streamlit.testing.v1 import AppTest

from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.app import explained, figures, person, versions
from movierec_assets.serving.online.snapshot import Snapshot
from movierec_assets.settings import Settings
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.insights import write_insight
from movierec_tests.databases import own_database
from movierec_tests.serving.api.conftest import worker_with
from movierec_tests.serving.api.small import ODD, TITLES, USERS, VERSION
from movierec_tests.serving.app.conftest import OpenPage, address_of, words
from movierec_tests.serving.app.told import REASON, tell, tell_of_versions

PAGES = ("introduction", "model", "quality")


@pytest.fixture(scope="module")
def told(small_url: str, snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """The parts of an API of this module's own, whose champion has all documents."""
    with own_database(small_url) as url:
        settings = Settings(database_url=url, state_dir=tmp_path_factory.mktemp("told"), api_access_log=False)
        worker = worker_with(settings, snapshot)
        tell(worker)
        yield worker


@pytest.fixture(scope="module")
def told_api(told: Worker) -> Iterator[str]:
    """Address of this API."""
    with address_of(told) as address:
        yield address


@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_its_charts_without_an_error(open_page: OpenPage, told_api: str, name: str) -> None:
    page = open_page(name, at=told_api)
    assert not page.exception
    assert not page.error
    assert len(page.get("vega_lite_chart")) >= 3
    assert not page.info, words(page)


def test_the_introduction_shows_how_empty_the_table_of_likes_is(open_page: OpenPage, told_api: str) -> None:
    page = open_page("introduction", at=told_api)
    tiles = {each.label: each.value for each in page.metric}
    assert tiles["People"] == "40"
    assert tiles["Cells that are empty"].endswith("%")
    assert "Film" in words(page)  # cards of a real list


def test_parts_of_a_score_add_up_to_it(open_page: OpenPage, told_api: str) -> None:
    page = open_page("model", at=told_api, person="5")
    assert page.number_input[0].value == 5
    (score,) = (float(each.value) for each in page.metric if each.label == "Score")
    page.selectbox[1].select_index(2).run()
    assert not page.exception
    (other,) = (float(each.value) for each in page.metric if each.label == "Score")
    assert other < score


def test_a_film_of_the_url_is_taken_apart_first(open_page: OpenPage, told_api: str) -> None:
    listed = open_page("for_you", at=told_api, user="5")
    film = next(str(each.key) for each in listed.button if str(each.key).startswith("why-5-")).rpartition("-")[2]
    page = open_page("model", at=told_api, person="5", film=film, when="Next time")
    assert not page.exception
    assert page.header[0].value == "One score taken apart"
    assert page.button_group(key="moment_of_score").value == "Next time"
    chosen = page.selectbox[1].options[page.selectbox[1].index or 0]
    assert str(TITLES.get(int(film), f"Film {film} ")) in chosen


def test_a_film_of_a_filtered_list_is_explained_although_it_is_not_among_the_best(
    open_page: OpenPage, told_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explained, "LISTED", 2)
    filters = {"genre": "Crime", "years": ["1955", "2005"], "adventure": "4", "moment": "Next time"}
    page = open_page("for_you", at=told_api, user="5", **filters)
    listed = [int(str(each.key).rpartition("-")[2]) for each in page.button if str(each.key).startswith("why-5-")]
    assert len(listed) > 4
    further = 0
    for film in listed:
        page = open_page("model", at=told_api, person="5", film=str(film), when="Next time")
        assert not page.exception
        assert not page.info
        title = httpx.get(f"{told_api}/movies/{film}").json()["title"]
        assert title in page.selectbox[1].options[page.selectbox[1].index or 0]
        (card,) = [each.proto.body for each in page.get("html") if "mr-film" in each.proto.body]
        assert escape(title) in card
        assert [each.label for each in page.metric if each.label == "Score"]
        further += "not among the 2 best" in words(page)
    assert further > 0


@pytest.mark.parametrize("film", ["rated", "77"])
def test_a_film_that_no_list_has_is_told_and_no_other_one_is_shown(
    open_page: OpenPage, told_api: str, film: str
) -> None:
    rated = httpx.get(f"{told_api}/users/5/ratings").json()["ratings"][0]["movie_id"]
    page = open_page("model", at=told_api, person="5", film=str(rated) if film == "rated" else film)
    assert not page.exception
    assert "No list of user 5 has" in page.info[0].value
    assert not [each for each in page.get("html") if "mr-film" in each.proto.body]
    assert not [each for each in page.metric if each.label == "Score"]
    page.selectbox[1].select_index(0).run()
    assert [each for each in page.metric if each.label == "Score"]


def test_a_stored_list_is_shown_without_reasons(open_page: OpenPage, told: Worker) -> None:
    database = Database(told.settings.databases.ratings)
    with database.replace("user_recommendations") as table:
        names = ("user_id", "rank", "movie_id", "score", "model_version")
        table.write_rows(names, [(5, rank, 40 - rank, 1 / rank, VERSION) for rank in range(1, 6)])
    with database.transaction() as cursor:
        cursor.execute(
            """INSERT INTO movierec.promotion_decisions
                   (model_version, outcome, promoted, reason, numbers, decided_by, state, version_tags)
               SELECT %s, 'first', true, '', '{}', 'a test', 'done', jsonb_build_object('dataset_id', dataset_id::text)
               FROM movierec.loads WHERE table_name = 'ratings'""",
            [VERSION],
        )
    away = replace(told.current.snapshot, champion=None, why_none="It cannot be read.")
    with address_of(worker_with(told.settings, away)) as address:
        page = open_page("model", at=address, person="5")
    assert not page.exception
    said = words(page)
    assert "not of the model" in said
    assert "without reasons" in said


def test_both_moments_of_one_person_are_side_by_side(open_page: OpenPage, told_api: str) -> None:
    page = open_page("model", at=told_api, person="5")
    sitting, later = [each.value for each in page.dataframe if "film" in each.value.columns]
    assert list(sitting.columns) == ["", "film", "next time"]
    assert list(later.columns) == ["", "film", "right now"]
    assert len(sitting) == len(later) == 10
    lists = list(page.session_state["lists"].values())
    assert len(lists) == 3
    page.number_input[0].set_value(6).run()
    page.number_input[0].set_value(5).run()
    assert all(any(one is each for each in page.session_state["lists"].values()) for one in lists), "asked for once"


def test_a_user_who_is_not_there_is_a_calm_state_and_the_rest_of_the_page_stays(
    open_page: OpenPage, told_api: str
) -> None:
    page = open_page("model", at=told_api, person="999999999")
    assert not page.exception
    (told,) = page.info
    assert "There is no user 999999999" in told.value
    assert "body" not in told.value
    assert "Recency" in words(page)


def test_any_title_is_text_in_lists_reasons_and_charts(open_page: OpenPage, told_api: str) -> None:
    page = open_page("introduction", at=told_api)
    assert not page.exception
    said = words(page)
    assert "<script>" not in said
    assert any(escape(title[:40]) in said for title in ODD.values()), "everybody likes one of them"
    page = open_page("model", at=told_api, person="6")
    options = page.selectbox[1].options
    for title in ODD.values():
        place = next((place for place, option in enumerate(options) if title in option), None)
        if place is not None:
            page.selectbox[1].select_index(place).run()
            assert not page.exception
            assert "<script>" not in words(page)


def test_a_new_user_without_ratings_has_popular_films_without_reasons(open_page: OpenPage, told_api: str) -> None:
    user = httpx.post(f"{told_api}/users", json={}).json()["user_id"]
    page = open_page("model", at=told_api, person=str(user))
    assert not page.exception
    assert "not of the model" in words(page)


def test_users_who_are_away_are_replaced_or_told(
    open_page: OpenPage, told_api: str, told: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(person, "DEFAULT_USER", 999)
    page = open_page("for_you", at=told_api)
    assert page.number_input(key="user").value in USERS
    assert not page.info
    database = Database(told.settings.databases.ratings)
    document = httpx.get(f"{told_api}/insights/training").json()["document"]
    write_insight(database, "training", document | {"example_user": 999}, VERSION)
    page = open_page("introduction", at=told_api)
    assert "999" in page.info[0].value
    assert page.header[-1].value == "Two moments"
    tell(told)


def test_a_nonsense_user_in_the_url_is_the_example_user(open_page: OpenPage, told_api: str) -> None:
    page = open_page("model", at=told_api, person="<b>7</b>")
    assert not page.exception
    assert 1 <= int(page.number_input[0].value or 0) <= 40


def test_the_latest_decision_is_on_top_with_its_reason_as_plain_text(open_page: OpenPage, told_api: str) -> None:
    said = words(open_page("quality", at=told_api))
    assert "Version 7: promoted: better" in said
    assert "2030-01-07 02:10 UTC" in said
    assert "&lt;b&gt;+0.0100&lt;/b&gt;" in said
    assert REASON not in said


def test_quality_has_both_moments_and_the_lead_over_the_champion_of_that_day(
    open_page: OpenPage, told_api: str
) -> None:
    page = open_page("quality", at=told_api)
    tiles = {each.label: each.value for each in page.metric}
    assert {"NDCG@10 in the sitting", "NDCG@10 on return", "Beside popularity", "Coverage"} <= set(tiles)
    said = words(page)
    assert "+0.0100" in said
    assert "Left out of data of this size: EASE" in said
    assert "On return this report leaves out EASE" in said
    assert "`movierec evaluate --protocol time-split`" in said
    assert page.selectbox[0].options[0].startswith("Version 7 on small of 2030-01-07")
    assert set(page.dataframe[-2].value["dataset"]) == {"small"}


def test_a_version_of_an_earlier_release_says_what_makes_its_figures(open_page: OpenPage, told_api: str) -> None:
    for name in ("model", "quality"):
        page = open_page(name, at=told_api)
        page.selectbox[0].select_index(1).run()
        assert not page.exception
        assert "movierec run --retrain" in words(page)


def test_other_parts_and_moments_can_be_chosen(open_page: OpenPage, told_api: str) -> None:
    page = open_page("quality", at=told_api)
    for place in range(len(page.button_group)):
        group = page.button_group[place]
        group.set_value(group.options[-1]).run()
        assert not page.exception


def test_versions_without_documents_leave_the_pages_readable(open_page: OpenPage, told_api: str, told: Worker) -> None:
    tell_of_versions(told)
    with Database(told.settings.databases.ratings).transaction() as cursor:
        cursor.execute(f"DELETE FROM {SCHEMA}.insights")
    for name in PAGES:
        page = open_page(name, at=told_api)
        assert not page.exception
        assert "movierec run" in words(page)
    tell(told)


def after_a_hand(outcomes: list[str]) -> None:
    from movierec_assets.serving.app.app_pages import quality

    made = {"decided_at": "2030-01-01T02:00:00+00:00", "model_version": 1, "reason": "oops", "decided_by": "me"}
    decisions = [made | {"decision_id": number, "outcome": each} for number, each in enumerate(outcomes)]
    quality._latest([{"version": 1, "dataset": "small", "decisions": decisions}])


@pytest.mark.parametrize("by_hand", ["manual", "rollback"])
def test_a_decision_by_hand_does_not_hide_that_of_the_night(by_hand: str) -> None:
    page = AppTest.from_function(after_a_hand, args=(["first", "kept", by_hand],)).run()
    assert not page.exception
    said = words(page)
    assert "The latest training before that:" in said
    assert versions.OUTCOMES["kept"] in said
    assert versions.OUTCOMES["first"] not in said
    page = AppTest.from_function(after_a_hand, args=(["first", "kept"],)).run()
    assert "before that" not in words(page)


def test_versions_of_different_datasets_are_not_joined_by_a_line() -> None:
    row = {"mean": 0.1, "low": 0.0, "high": 0.2, "promoted": "promoted", "outcome": "first"}
    rows = [row | {"version": number, "dataset": name} for number, name in enumerate(("demo", "small", "small"))]
    line = figures.history(rows).to_dict()["layer"][0]
    assert line["mark"]["type"] == "line"
    assert line["encoding"]["detail"]["field"] == line["encoding"]["strokeDash"]["field"] == "dataset"
    assert line["encoding"]["strokeDash"]["scale"]["domain"] == ["demo", "small"]
    assert "dataset" in [each["field"] for each in line["encoding"]["tooltip"]]
