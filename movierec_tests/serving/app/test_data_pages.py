"""The pages Dataset and Preprocessing, with an API that really answers."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest

from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.app.app_pages.preprocessing import PREVIEW
from movierec_assets.tables.database import SCHEMA, Database
from movierec_tests.serving.api.small import LAST_MOVIE, USERS
from movierec_tests.serving.app.conftest import OpenPage, with_tables, words
from movierec_tests.serving.app.told import tell_of_data

PAGES = ("dataset", "preprocessing")
ODD = {
    1: """Tom & "Jerry's" *bold* [link](http://example.org) $x$ :red[no]""",
    2: "<script>alert(1)</script><b>Amélie</b>",
    3: "مرحبا بالعالم (2001)",
    4: "L" + "o" * 298 + "g",
}
"""Titles that are no plain text, by movie."""
ODD_ROW = 'x,<img src=x onerror=alert(1)>,"**4.0**,1'


@pytest.fixture(scope="module")
def filled(worker: Worker, served_api: str) -> Iterator[str]:
    """The API with both documents of its data; in this module titles and a rejected row are no plain text."""
    database = Database(worker.settings.databases.ratings)
    query = f"SELECT title, movie_id FROM {SCHEMA}.movies WHERE movie_id = ANY (%s)"
    plain = database.rows(query, [list(ODD)])
    with database.transaction() as cursor:
        for movie, title in ODD.items():
            cursor.execute(f"UPDATE {SCHEMA}.movies SET title = %s WHERE movie_id = %s", [title, movie])
        cursor.execute(
            f"INSERT INTO {SCHEMA}.rejected_ratings (file, line, raw_text, reason) VALUES ('ratings.csv', 602, %s, %s)",
            [ODD_ROW, "wrong number of fields: expected 4 fields, found 3"],
        )
    tell_of_data(database)
    yield served_api
    with database.transaction() as cursor:
        cursor.execute(f"DELETE FROM {SCHEMA}.rejected_ratings WHERE raw_text = %s", [ODD_ROW])
        cursor.executemany(f"UPDATE {SCHEMA}.movies SET title = %s WHERE movie_id = %s", plain)


def test_the_dataset_is_shown_in_numbers_and_charts_with_their_data(open_page: OpenPage, filled: str) -> None:
    page = with_tables(open_page("dataset", at=filled))
    assert not page.exception
    shown = {metric.label: metric.value for metric in page.metric}
    ratings = 15 * len(USERS)
    assert (shown["Ratings"], shown["Users"], shown["Posted in the app"]) == (f"{ratings:,}", str(len(USERS)), "0")
    charts = page.get("vega_lite_chart") or page.get("arrow_vega_lite_chart")
    assert len(charts) == 5
    tables = [frame.value for frame in page.dataframe]
    stars, months = tables[0], tables[1]
    assert dict(zip(stars["stars"], stars["ratings"], strict=True))[4.5] == 12 * len(USERS)
    assert list(months["month"]) == ["2001-09"]
    assert months["ratings"].sum() == stars["ratings"].sum() == ratings
    assert f"Of {LAST_MOVIE:,} in the catalogue." in [metric.help for metric in page.metric]


def test_rejected_rows_are_found_with_file_line_reason_and_text(open_page: OpenPage, filled: str) -> None:
    page = open_page("dataset", at=filled)
    assert "[Rejected rows, with reasons](#rejected)" in words(page)
    reasons, examples = [frame.value for frame in page.dataframe][-2:]
    assert reasons.to_dict("records") == [{"file": "ratings.csv", "reason": "wrong number of fields", "rows": 1}]
    assert examples.to_dict("records") == [
        {"file": "ratings.csv", "line": 602, "text": ODD_ROW, "reason": "wrong number of fields"}
    ]


def test_the_steps_and_the_first_rows_of_each_are_shown(open_page: OpenPage, filled: str) -> None:
    page = with_tables(open_page("preprocessing", at=filled))
    assert not page.exception
    steps, corner, original = [frame.value for frame in page.dataframe]
    rows = dict(zip(steps["step"], steps["rows"], strict=True))
    assert rows["loaded"] == 15 * len(USERS)
    assert rows["likes"] == rows["train"] + rows["validation"] + rows["test"] == 12 * len(USERS)
    assert all(steps["explanation"])
    assert "are of the last loading" in words(page), "the steps are of different times"
    assert "when it was refreshed last" in words(page), "ratings are posted after the eligible users were counted"
    assert set(corner["part"]) <= {"train", "validation", "test"}
    assert [tab.label for tab in page.tabs] == [
        *("Original", "Rejected", "Likes", "Train", "Test", "Evaluated test", "Train matrix", "Test matrix")
    ]
    for tab in [tab.label for tab in page.tabs]:
        page.session_state[PREVIEW] = tab
        assert 1 <= len(page.run().dataframe[-1].value) <= 20
        assert len(page.dataframe) == 3, tab
    assert list(original.columns) == ["line", "user id", "movie id", "title", "stars", "rated at"]
    assert original.iloc[0].to_dict() == {
        "line": original["line"][0], "user id": 1, "movie id": 1, "title": ODD[1], "stars": 4.5,
        "rated at": original["rated at"][0],
    }  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_titles_and_rows_of_files_are_in_tables_only_which_show_them_as_text(
    open_page: OpenPage, filled: str, name: str
) -> None:
    page = with_tables(open_page(name, at=filled))
    said = words(page)
    assert not any(part in said for part in (*ODD.values(), ODD_ROW, "<script>", "onerror"))
    shown = pd.concat([frame.value for frame in page.dataframe]).astype(str).to_numpy().ravel().tolist()
    assert (ODD[2] if name == "preprocessing" else ODD_ROW) in shown
