"""The page Outlook, and what answers in place of Dagster.

Pipeline is opened on a real Dagster in `serving/api/test_operations`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from movierec_assets.serving.app import main
from movierec_assets.serving.app.dagster import Dagster, DagsterAway
from movierec_assets.serving.app.look import with_code
from movierec_tests.serving.app.conftest import NOWHERE, OpenPage, dagster_saying, words


def test_the_outlook_needs_nothing_that_runs(open_page: OpenPage) -> None:
    page = open_page("outlook", at=NOWHERE)
    assert not page.exception
    said = words(page)
    for part in ("What is next", "Licence of the data", "References", "Credits", "10.1145/2827872", "ml-20m"):
        assert part in said, part
    assert set(re.findall(r"\]\((\w+):", said)) == {"https"}


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"data": null}', b'"data"'])
def test_another_server_in_place_of_dagster_is_said(body: bytes) -> None:
    with dagster_saying(body) as address, pytest.raises(DagsterAway, match="is not Dagster"):
        Dagster(address).outline()


def test_code_is_shown_as_code_and_everything_else_as_text() -> None:
    assert with_code("Run `movierec up`, then *wait*.") == r"Run `movierec up`, then \*wait\*\."
    assert with_code("5 ` 3 <b>") == r"5 \` 3 \<b\>"


def test_each_page_has_a_title_of_its_own_in_the_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOVIEREC_APP_API_URL", NOWHERE)
    monkeypatch.setenv("MOVIEREC_DAGSTER_WEBSERVER", NOWHERE)
    given: list[dict[str, object]] = []
    monkeypatch.setattr(st, "set_page_config", lambda **options: given.append(options))
    page = AppTest.from_file(str(Path(main.__file__)), default_timeout=60).run()
    page.switch_page("app_pages/outlook.py").run()
    assert not page.exception
    first, *others = [each.value for each in page.markdown]
    assert first.startswith("<style>"), "the style sheet comes with the heading, and has no place above it"
    assert "<h1>Outlook and credits</h1>" in first
    assert not any("<style>" in each for each in others)
    titles = [each["page_title"] for each in given if "page_title" in each]
    assert titles == ["For you - movierec", "Outlook and credits - movierec"]
    assert given[0]["page_icon"] == main.ICON
