"""The last lines of a run: rows that did not load, and an answer without movies."""

from __future__ import annotations

import io

from rich.console import Console

from movierec_assets.cli import _show_answer
from movierec_assets.command.summary import show_rejected
from movierec_assets.resources.loading import Rejected
from movierec_assets.serving.recommendations import Answer


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
            Rejected("movies.csv", "wrong number of fields", 2, 5, "5,Heat, the (1995),Drama"),
            Rejected("links.csv", "TMDB id is not an integer in 1 to 2147483647", 3, 2, "1,1,x"),
        ],
        console,
    )
    lines = [line.strip() for line in _shown(console).splitlines()]
    assert lines == [
        "Not loaded 1,201 rows of ratings.csv, kept in movierec.rejected_ratings",
        "1,200 rows: unknown movie; first line 123: 1,99,4.0,1000000000",
        "movies.csv does not list these movies: are the two files from one release? Take both from the same one, or "
        "add the movies.",
        "1 row: missing rating; line 122: 1,[5],,1000000000",
        "Are these movies that were watched and not rated? Leave such rows out.",
        "Not loaded 2 rows of movies.csv, kept in movierec.rejected_ratings",
        "2 rows: wrong number of fields; first line 5: 5,Heat, the (1995),Drama",
        "Do titles hold commas, quotes or line breaks? Put a title with one of them in double quotes, and double the "
        "quotes inside.",
        "Not loaded 3 rows of links.csv, kept in movierec.rejected_ratings",
        "3 rows: TMDB id is not an integer in 1 to 2147483647; first line 2: 1,1,x",
        "TMDB ids are whole numbers.",
    ]


def test_who_has_rated_everything_gets_a_sentence_and_no_table() -> None:
    console = _console()
    _show_answer(Answer("model", 3, "films", ["Heat (1995)"], []), console)
    assert _shown(console) == ("Nothing is left to recommend: every movie that version 3 knows is rated already.\n")
