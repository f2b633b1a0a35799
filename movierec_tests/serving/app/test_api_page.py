"""The page API: forms that really call, and the states in which they do not."""

from __future__ import annotations

import json
import re

import pytest
from streamlit.testing.v1 import AppTest

from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.app import session
from movierec_assets.tables.api_keys import create_key
from movierec_assets.tables.database import Database
from movierec_tests.serving.app.conftest import OpenPage, words


def choose(page: AppTest, subject: str, endpoint: str) -> AppTest:
    page.selectbox(key="api_subject").set_value(subject).run()
    return page.selectbox(key=f"api_endpoint_{subject}").set_value(endpoint).run()


def call(page: AppTest, endpoint: str) -> AppTest:
    page = page.button(key=f"call {endpoint}").click().run()
    assert not page.exception
    return page


def answered(page: AppTest) -> str:
    """What the API answered."""
    return str(page.code[-1].value)


def test_the_first_form_answers_with_a_list(served_api: str, open_page: OpenPage) -> None:
    page = open_page("api", at=served_api)
    assert not page.exception
    page.text_area(key="body POST /recommend").set_value('{"user_id": 5, "n": 3}').run()
    assert page.code[0].value.startswith(f"curl -X POST {served_api}/recommend")
    page = call(page, "POST /recommend")
    assert page.success[0].value.startswith("Status 200 in ")
    assert len(json.loads(answered(page))["movies"]) == 3


def test_the_line_for_a_shell_names_the_address_that_people_reach(
    served_api: str, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIEREC_API_PUBLIC_URL", "https://films.example:8443/")
    page = call(open_page("api", at=served_api), "POST /recommend")
    assert page.code[0].value.startswith("curl -X POST https://films.example:8443/recommend ")
    assert page.warning[0].value.startswith("Status 404 in "), "the page itself asks at its own address"


def test_every_endpoint_that_changes_nothing_answers(served_api: str, open_page: OpenPage) -> None:
    page = open_page("api", at=served_api)
    reads = {"movies": ["GET /movies", "GET /movies/popular", "GET /movies/{movie_id}/similar"]}
    reads |= {"users": ["GET /users/{user_id}/ratings"], "health": ["GET /health"], "operations": ["GET /metrics"]}
    for subject, names in reads.items():
        for name in names:
            page = choose(page, subject, name)
            if "{user_id}" in name:
                page.number_input(key=f"{name} user_id").set_value(5).run()
            page = call(page, name)
            assert page.success[0].value.startswith("Status 200 in "), name
            assert answered(page)


def test_odd_words_reach_the_api_as_they_are(served_api: str, open_page: OpenPage) -> None:
    page = choose(open_page("api", at=served_api), "movies", "GET /movies")
    odd = "Am\u00e9lie '&?\u05d0"
    page.text_input(key="GET /movies query").set_value(odd).run()
    page = call(page, "GET /movies")
    found = json.loads(answered(page))
    assert "Am\u00e9lie" in found["movies"][0]["title"]
    assert found == session.api().get("/movies", {"query": odd})


def test_a_body_that_is_no_json_is_not_sent(served_api: str, open_page: OpenPage) -> None:
    page = open_page("api", at=served_api)
    page.text_area(key="body POST /recommend").set_value('{"user_id": 5').run()
    assert "The body is no JSON" in page.error[0].value
    assert page.button(key="call POST /recommend").disabled


def test_a_refusal_is_shown_with_its_reason(served_api: str, open_page: OpenPage) -> None:
    page = open_page("api", at=served_api)
    page.text_area(key="body POST /recommend").set_value('{"user": 5}').run()
    page = call(page, "POST /recommend")
    assert page.warning[0].value.startswith("Status 422 in ")
    assert "There is no such field" in answered(page)


def test_a_call_that_changes_something_is_agreed_to_first(served_api: str, worker: Worker, open_page: OpenPage) -> None:
    name = "POST /refresh-mv"
    page = choose(open_page("api", at=served_api), "operations", name)
    assert page.button(key=f"call {name}").disabled
    assert '-H "Authorization: Bearer $KEY"' in page.code[0].value
    page.checkbox(key=f"agreed {name}").check().run()
    page = call(page, name)
    assert page.warning[0].value.startswith("Status 401 in ")
    assert not page.checkbox(key=f"agreed {name}").value, "the next call is agreed to anew"
    page.checkbox(key=f"agreed {name}").check().run()
    key = create_key(Database(worker.settings.databases.ratings), "operator", "o")
    page.session_state[session.OPERATOR_KEY] = key
    page = call(page.run(), name)
    assert page.warning[0].value.startswith("Status 503 in "), "the key is accepted, and Dagster is away"
    assert key not in words(page) + "".join(each.value for each in page.code)


def test_an_empty_database_answers_too(empty_api: str, open_page: OpenPage) -> None:
    page = call(choose(open_page("api", at=empty_api), "health", "GET /health"), "GET /health")
    assert page.success or page.warning


@pytest.mark.parametrize("name", ["POST /recommend", "POST /recommend/batch", "GET /users/{user_id}/recommendations"])
def test_a_list_that_is_tried_is_shown_to_nobody(served_api: str, open_page: OpenPage, name: str) -> None:
    page = choose(open_page("api", at=served_api), "recommendations", name)
    if "{user_id}" in name:
        page.number_input(key=f"{name} user_id").set_value(5).run()
        assert "shown=false" in page.code[0].value
    else:
        field = page.text_area(key=f"body {name}")
        field.set_value(re.sub('"user_id": [0-9]+', '"user_id": 5', str(field.value))).run()
    found = json.loads(answered(call(page, name)))
    for each in found.get("answers", [found]):
        assert "movies" in each
        assert each["recommendation_id"] is None, "it is not in the log"
