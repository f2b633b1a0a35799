"""Comparing ranked lists whose scores were computed in different ways.

Belongs here: when two lists count as equal. The last bits of a score depend on the processor, its BLAS kernels and the
number of rows multiplied at a time, and so does the order of two near ties.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from movierec_assets.recsys.interactions import FloatArray
from movierec_assets.recsys.ranking import EMPTY, TopK

TIES = 1e-4
"""Scores that differ by no more count as equal."""


def assert_same_lists(found: TopK, expected: TopK, ties: float = TIES) -> None:
    """Lists have the same scores at each position, and the same items in any order among ties.

    When several items tie at the end of a full list, any of them may be on it. So the last position is certain only in
    lists with more positions than items.
    """
    assert found.items.shape == expected.items.shape
    assert np.array_equal(found.items == EMPTY, expected.items == EMPTY)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=ties)
    for row in range(len(expected.items)):
        listed = expected.items[row] != EMPTY
        wanted, scores = expected.items[row][listed], expected.scores[row][listed]
        got = found.items[row][listed]
        assert len(set(got.tolist())) == len(got), f"list {row} holds an item twice"
        for group in _groups_of_ties(scores, 2 * ties):
            # Items beyond the end of a full list may belong to its last group of ties.
            if not group.stop == len(scores) == expected.items.shape[1]:
                assert set(got[group].tolist()) == set(wanted[group].tolist()), f"positions {group} of list {row}"


def _groups_of_ties(scores: FloatArray, ties: float) -> list[slice]:
    """Runs of positions whose neighbours tie; scores fall."""
    bounds = [0, *(np.flatnonzero(np.diff(scores) < -ties) + 1).tolist(), len(scores)]
    return [slice(start, stop) for start, stop in pairwise(bounds) if start < stop]
