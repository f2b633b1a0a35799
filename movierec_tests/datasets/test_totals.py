"""Counts that are added up block by block equal counts of all rows at once."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.datasets import totals as module
from movierec_assets.datasets.totals import Totals
from movierec_assets.ratings import FileRatings

_row = st.tuples(
    st.integers(1, 6) | st.just(2**31 - 1),
    st.integers(1, 4),
    st.sampled_from([0.5, 4.0, 5.0]),
    st.sampled_from([1, 951_868_799, 951_868_800, 951_955_199, 951_955_200, 1_700_000_000]),
)
"""The times are around the ends of 29 February and of a month of 2000, in UTC."""


def _accepted(rows: list[tuple[int, int, float, int]]) -> FileRatings:
    users, movies, stars, times = zip(*rows, strict=True) if rows else ((), (), (), ())
    return FileRatings(
        np.array(users, np.int32),
        np.array(movies, np.int32),
        np.array(stars, np.float32),
        np.array(times, np.int64),
        np.zeros(len(rows), np.int32),
    )


@pytest.mark.parametrize("few_groups", [0, 3, module._FEW_GROUPS])
@given(blocks=st.lists(st.lists(_row, max_size=12), max_size=6), taken_back=st.integers(0, 12))
def test_blocks_add_up_and_what_is_taken_back_does_not_count(
    few_groups: int, blocks: list[list[tuple[int, int, float, int]]], taken_back: int
) -> None:
    rows = [row for block in blocks for row in block]
    totals = Totals()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "_FEW_GROUPS", few_groups)
        for block in blocks:
            totals.add(_accepted(block))
        totals.add(_accepted(rows[:taken_back]), sign=-1)
    left = rows[taken_back:]
    users = Counter(user for user, *_ in left)
    stars = Counter((movie, rating) for _, movie, rating, _ in left)
    months = Counter(time.strftime("%Y-%m", time.gmtime(at)) for *_, at in left)
    assert list(totals.of_months().items()) == sorted(months.items())
    assert totals.of_users().rows() == sorted(users.items())
    assert totals.of_stars().rows() == [(*key, count) for key, count in sorted(stars.items())]
