"""Figures of a version as people read them on its pages."""

from __future__ import annotations

import numpy as np
import pytest

from movierec_assets.models.version_page import description, elapsed_figures, elapsed_rows, is_elapsed_figure
from movierec_assets.recsys.evaluation import ELAPSED_NAMES, HEADLINE, by_activity, by_elapsed
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.ranking import TopK

USERS = 8
LISTS = TopK(np.tile(np.arange(10), (USERS, 1)), np.zeros((USERS, 10)))


def liked(movies: np.ndarray) -> Interactions:
    users = np.arange(USERS)
    return Interactions.from_triplets(users, movies, np.full(USERS, 5.0), users + 1, (USERS, 20))


HELD_OUT = liked(np.array([0, 9, 19, 19, 0, 0, 19, 19]))
"""At the first place of the list, the last one, or not in it."""


def test_the_page_shows_what_was_scored_for_each_time_since_the_like_before() -> None:
    slices = by_elapsed(LISTS, HELD_OUT, np.array([5, 59, 60, 3_599, 3_600, 86_399, 86_400, 10**9]))
    figures = elapsed_figures(slices, users=True)
    assert all(is_elapsed_figure(name) for name in figures)
    assert not is_elapsed_figure(HEADLINE)
    first = [(1 + 1 / np.log2(11)) / 2, 0.0, 1.0, 0.0]
    figures |= {"popularity_elapsed_under_a_minute_ndcg_at_10": 0.125}
    headings, rows = elapsed_rows(figures)
    assert headings == [f"{name}, 2 users" for name in ELAPSED_NAMES]
    assert rows == [("this version", pytest.approx(first)), ("popularity", [0.125, None, None, None])]
    page = description({}, None, "", figures)
    assert page.splitlines()[0].startswith("| NDCG@10 in the sitting, by the time since the like before | under a min")
    assert page.splitlines()[2:] == [
        "| this version | 0.6445 | 0.0000 | 1.0000 | 0.0000 |",
        "| popularity | 0.1250 |  |  |  |",
    ]


def test_a_version_of_an_earlier_release_has_no_such_table_and_other_slices_are_not_in_it() -> None:
    assert elapsed_figures(by_activity(LISTS, HELD_OUT, liked(np.arange(USERS))), users=True) == {}
    assert elapsed_rows({HEADLINE: 0.2}) == ([], [])
    assert "the like before" not in description({}, None, "", {HEADLINE: 0.2})
