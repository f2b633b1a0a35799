"""Lists are equal when they differ only in the order of ties."""

from __future__ import annotations

import numpy as np
import pytest

from movierec_assets.recsys.ranking import TopK
from movierec_tests.ranked_lists import assert_same_lists


def lists(items: list[int], scores: list[float]) -> TopK:
    return TopK(np.array([items]), np.array([scores], dtype=np.float32))


EXPECTED = lists([4, 2, 7, 1, -1], [3.0, 2.00001, 2.0, 1.0, np.nan])


@pytest.mark.parametrize("items", [[4, 2, 7, 1, -1], [4, 7, 2, 1, -1]])
def test_ties_may_be_in_any_order(items: list[int]) -> None:
    assert_same_lists(lists(items, [3.00001, 2.0, 2.0, 1.0, np.nan]), EXPECTED)


@pytest.mark.parametrize(
    ("items", "scores"),
    [
        ([2, 4, 7, 1, -1], [3.0, 2.0, 2.0, 1.0, np.nan]),
        ([4, 2, 7, 5, -1], [3.0, 2.0, 2.0, 1.0, np.nan]),
        ([4, 2, 2, 1, -1], [3.0, 2.0, 2.0, 1.0, np.nan]),
        ([4, 2, 7, 1, 5], [3.0, 2.0, 2.0, 1.0, 0.9]),
        ([4, 2, 7, 1, -1], [3.0, 2.0, 2.0, 1.1, np.nan]),
    ],
    ids=["another order", "another item", "an item twice", "an item more", "another score"],
)
def test_anything_else_is_another_list(items: list[int], scores: list[float]) -> None:
    with pytest.raises(AssertionError):
        assert_same_lists(lists(items, scores), EXPECTED)


def test_any_of_the_ties_at_the_end_of_a_full_list_may_be_on_it() -> None:
    assert_same_lists(lists([4, 9], [3.0, 2.0]), lists([4, 2], [3.0, 2.0]))
    with pytest.raises(AssertionError):
        assert_same_lists(lists([9, 2], [3.0, 2.0]), lists([4, 2], [3.0, 2.0]))
