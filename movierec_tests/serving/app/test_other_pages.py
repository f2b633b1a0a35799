"""The page Outlook. Pipeline is opened on a real Dagster in `serving/api/test_operations`."""

from __future__ import annotations

import re

from movierec_assets.serving.app.look import with_code
from movierec_tests.serving.app.conftest import NOWHERE, OpenPage, words


def test_the_outlook_needs_nothing_that_runs(open_page: OpenPage) -> None:
    page = open_page("outlook", at=NOWHERE)
    assert not page.exception
    said = words(page)
    for part in ("What is next", "Licence of the data", "References", "Credits", "10.1145/2827872", "ml-20m"):
        assert part in said, part
    assert set(re.findall(r"\]\((\w+):", said)) == {"https"}


def test_code_is_shown_as_code_and_everything_else_as_text() -> None:
    assert with_code("Run `movierec up`, then *wait*.") == r"Run `movierec up`, then \*wait\*\."
    assert with_code("5 ` 3 <b>") == r"5 \` 3 \<b\>"
