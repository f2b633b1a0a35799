"""The last lines of a run: rows that did not load, and an answer without movies."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from movierec_assets.cli.backtest_summary import _months_of_run
from movierec_assets.cli.recommend import _show_answer
from movierec_assets.cli.run_summary import _show_data, show_rejected
from movierec_assets.serving.recommendations import Answer
from movierec_assets.tables.loading import Rejected


def _console() -> Console:
    return Console(file=io.StringIO(), width=200)


def _shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_rows_of_each_file_that_did_not_load_are_shown_with_reason_row_and_cause() -> None:
    console = _console()
    show_rejected(
        [
            Rejected("ratings.csv", "unknown movie", 1_200, 123, "1,99,4.0,1000000000"),
            Rejected("ratings.csv", "missing rating", 1, 122, "1,[5],,1000000000"),
            Rejected("u.item", "wrong number of fields", 2, 5, "5|Heat| the (1995)|"),
            Rejected("links.csv", "TMDB id is not an integer in 1 to 2147483647", 3, 2, "1,1,x"),
        ],
        console,
    )
    lines = [line.strip() for line in _shown(console).splitlines()]
    assert lines == [
        "Not loaded 1,201 rows of ratings.csv, kept in movierec.rejected_ratings",
        "1,200 rows: unknown movie; first line 123: 1,99,4.0,1000000000",
        "The file of movies does not list them: are the two files from one release? Take both from the same one, or "
        "add the movies.",
        "1 row: missing rating; line 122: 1,[5],,1000000000",
        "Are these movies that were watched and not rated? Leave such rows out.",
        "Not loaded 2 rows of u.item, kept in movierec.rejected_ratings",
        "2 rows: wrong number of fields; first line 5: 5|Heat| the (1995)|",
        "Do titles hold commas, quotes or line breaks? Put a title with one of them in double quotes, and double the "
        "quotes inside.",
        "Not loaded 3 rows of links.csv, kept in movierec.rejected_ratings",
        "3 rows: TMDB id is not an integer in 1 to 2147483647; first line 2: 1,1,x",
        "TMDB ids are whole numbers.",
    ]


def test_a_user_who_has_rated_everything_gets_a_sentence_and_no_table() -> None:
    console = _console()
    _show_answer(Answer("model", 3, "films", ["Heat (1995)"], []), console)
    assert _shown(console) == ("Nothing is left to recommend: every movie that version 3 knows is rated already.\n")


def test_times_that_were_taken_as_utc_are_counted() -> None:
    console = _console()
    facts = {"dataset": "films", "dagster/row_count": 700, "rated_movies": 60, "reloaded": True}
    _show_data({"raw_ratings": {**facts, "times_taken_as_utc": 0}}, console)
    assert "UTC" not in _shown(console)
    _show_data({"raw_ratings": {**facts, "times_taken_as_utc": 500}}, console)
    assert "500 times name no zone; they were taken as UTC" in _shown(console)


@pytest.mark.parametrize(
    ("of_run", "without", "few", "note", "shown"),
    [
        (24, 0, 0, None, "24 months."),
        (24, 2, 5, None, "24 months, 2 without a user to score on, 5 with fewer than 10 users in one moment"),
        (3, 3, 0, "Outside the data.", "3 months, 3 without a user to score on. The last: Outside the data."),
        (1, 1, 0, "Outside the data.", "Outside the data."),
        (1, 0, 0, None, "1 month."),
    ],
)
def test_a_backtest_says_which_of_its_months_lack_figures(
    of_run: int, without: int, few: int, note: str | None, shown: str
) -> None:
    facts = {"months_of_run": of_run, "months_without_users": without, "months_with_few_users": few}
    assert _months_of_run(facts if note is None else {**facts, "note": note}).startswith(shown)
