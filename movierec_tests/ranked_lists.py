"""Comparing ranked lists whose scores were computed in different ways.

Belongs here: what "the same list" means where scores are rounded. Processors, their BLAS kernels and the number of
rows multiplied at a time decide on the last bits of a score, and so on which of two near ties comes first.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from movierec_assets.recsys.interactions import FloatArray
from movierec_assets.recsys.ranking import EMPTY, TopK

TIES = 1e-4
"""Scores that differ by no more count as equal."""


def assert_same_lists(found: TopK, expected: TopK, ties: float = TIES) -> None:
    """Places have the same scores, and the same items but for those that tie.

    Items that tie may change places. Of several that tie for the last place of a full list, any may be on it; so the
    last place is certain only in lists that are longer than there are items.
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
            # The last group of a full list may go on behind its end.
            if not group.stop == len(scores) == expected.items.shape[1]:
                assert set(got[group].tolist()) == set(wanted[group].tolist()), f"places {group} of list {row}"


def _groups_of_ties(scores: FloatArray, ties: float) -> list[slice]:
    """Runs of places whose neighbours tie; scores fall."""
    bounds = [0, *(np.flatnonzero(np.diff(scores) < -ties) + 1).tolist(), len(scores)]
    return [slice(start, stop) for start, stop in pairwise(bounds) if start < stop]
