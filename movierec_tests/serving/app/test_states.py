"""Every page while something is missing: the API, its key, ratings, or a champion.

Each says what to do, and none shows an error. The page Operate asks for its key first: `test_operate_page` goes on.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from movierec_tests.serving.app.conftest import NOWHERE, OpenPage, words
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
