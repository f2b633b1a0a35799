"""Every page while something is missing: the API, its key, ratings, or a champion.

Each says what to do, and none shows an error. The page Operate asks for its key first: `test_operate_page` goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from movierec_assets.serving.app import going
from movierec_tests.serving.app.conftest import NOWHERE, OpenPage, dagster_saying, forget, words
from movierec_tests.serving.app.visits import PAGES

NAMES = [entry.name for entry in PAGES]
OF_FIGURES = [name for name in NAMES if name not in ("pipeline", "api", "operate", "outlook")]
"""Pages that cannot show anything without the API."""
OF_THE_CHAMPION = [name for name in OF_FIGURES if name not in ("dataset", "preprocessing")]


@pytest.fixture(autouse=True)
def _no_dagster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOVIEREC_DAGSTER_WEBSERVER", NOWHERE)


def said(open_page: OpenPage, name: str, at: str) -> str:
    """What a page says, without the marks that keep Markdown from reading it; it shows no error."""
    page = open_page(name, at=at)
    assert not page.exception
    assert not page.error
    return words(page).replace("\\", "")


@pytest.mark.parametrize("name", NAMES)
def test_without_the_api_a_page_says_how_it_is_started(open_page: OpenPage, name: str) -> None:
    shown = said(open_page, name, NOWHERE)
    if name in (*OF_FIGURES, "api", "pipeline"):
        assert "does not answer" in shown
        assert "`movierec up`" in shown
    if name in OF_FIGURES:
        assert shown.count("does not answer") == 1, "one box"
        assert f"`{NOWHERE}`" in shown, "which is no link"
    if name == "pipeline":
        assert "Dagster does not answer" in shown
        assert "MOVIEREC_DAGSTER_WEBSERVER" in shown


@pytest.mark.parametrize("name", NAMES)
def test_with_a_key_that_the_api_does_not_know_a_page_says_which_setting_to_mend(
    open_page: OpenPage, api_with_keys: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    file = tmp_path / "key"
    file.write_text("movierec_0000000000000000_guessed", "utf-8")
    monkeypatch.setenv("MOVIEREC_APP_API_KEY_FILE", str(file))
    shown = said(open_page, name, api_with_keys)
    assert "guessed" not in shown
    if name in OF_FIGURES:
        assert "The API wants a key that it knows." in shown
        assert "MOVIEREC_APP_API_KEY_FILE" in shown
        assert "`movierec keys create app --file FILE`" in shown


def test_a_key_file_without_a_key_says_which_setting_to_mend(
    open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    file.write_text("movierec\u2013as a chat wrote it", "utf-8")
    monkeypatch.setenv("MOVIEREC_APP_API_KEY_FILE", str(file))
    shown = said(open_page, "for_you", NOWHERE)
    assert "MOVIEREC_APP_API_KEY_FILE" in shown
    assert str(file) in shown
    assert "chat" not in shown


@pytest.mark.parametrize("name", NAMES)
def test_without_ratings_a_page_says_what_loads_them(open_page: OpenPage, empty_api: str, name: str) -> None:
    shown = said(open_page, name, empty_api)
    assert name not in OF_FIGURES or "`movierec run" in shown


@pytest.mark.parametrize("name", NAMES)
def test_before_the_first_champion_a_page_says_what_makes_one(
    open_page: OpenPage, api_without_champion: str, name: str
) -> None:
    shown = said(open_page, name, api_without_champion)
    assert name not in OF_THE_CHAMPION or "`movierec run`" in shown


def test_before_the_first_champion_popular_films_are_listed(open_page: OpenPage, api_without_champion: str) -> None:
    page = open_page("for_you", at=api_without_champion)
    assert sum(str(each.key).startswith("star-") for each in page.feedback) == 12


def test_a_page_comes_back_when_somebody_tries_again(
    open_page: OpenPage, served_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page("similar", at=NOWHERE, movie="2")
    monkeypatch.setenv("MOVIEREC_APP_API_URL", served_api)
    forget()
    page = page.button(key="try_again").click().run()
    assert not page.exception
    assert "The Matrix" in words(page)
    assert not page.info


def waiting_for_the_api() -> None:
    import streamlit as st

    from movierec_assets.serving.app import look

    st.session_state["runs"] = st.session_state.get("runs", 0) + 1
    if st.session_state["runs"] == 1:
        look._come_back()


def test_a_page_comes_back_by_itself_when_the_api_answers(served_api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for address, runs in ((NOWHERE, 1), (served_api, 2)):
        monkeypatch.setenv("MOVIEREC_APP_API_URL", address)
        forget()
        page = AppTest.from_function(waiting_for_the_api, default_timeout=60).run()
        assert not page.exception
        assert page.session_state["runs"] == runs
    forget()


def run(job: str, created: float, started: float | None, *steps: str) -> dict[str, object]:
    """A run as Dagster answers it; `steps` are running."""
    stats = [{"stepKey": "raw_ratings", "status": "SUCCESS"}]
    stats += [{"stepKey": step, "status": "IN_PROGRESS"} for step in steps]
    return {"jobName": job, "creationTime": created, "startTime": started, "stepStats": stats}


def of_runs(*runs: dict[str, object]) -> bytes:
    return json.dumps({"data": {"runsOrError": {"results": runs}}}).encode()


@pytest.fixture
def _first_run(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    waits = run("refresh", 1_900_000_000.0, None)
    with dagster_saying(of_runs(waits, run("train", 1_900_000_001.0, 1_900_000_002.0, "als_model"))) as address:
        monkeypatch.setenv("MOVIEREC_DAGSTER_WEBSERVER", address)
        yield


@pytest.mark.usefixtures("_first_run")
@pytest.mark.parametrize("name", ["for_you", "similar", "introduction", "quality", "dataset"])
def test_while_a_run_is_going_on_nobody_is_told_to_start_another(
    open_page: OpenPage, empty_api: str, name: str
) -> None:
    shown = said(open_page, name, empty_api)
    assert "A run is going on: als_model, since 2030-03-17 17:46 UTC." in shown
    assert "[Pipeline](/pipeline)" in shown
    assert "movierec run" not in shown


def test_a_run_that_waits_and_no_run_are_told_apart() -> None:
    for runs, expected in (((), None), ((run("train", 1.0, None),), "A run waits for its turn: the job train.")):
        with dagster_saying(of_runs(*runs)) as address:
            found = going.webserver(address, address).going()
            assert (found and going.told(found)) == expected
