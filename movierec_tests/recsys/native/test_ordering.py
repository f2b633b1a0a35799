"""The order of entries in time is that of a stable sort, for rows of any length and any number of threads."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.native import library, ordering

pytestmark = pytest.mark.skipif(library.why_not() is not None, reason="without the native library")


@given(
    st.lists(st.integers(0, 200), max_size=20),
    st.sampled_from([1, 7, 300, 2**62]),
    st.integers(1, 8),
    st.integers(0, 2**32 - 1),
)
def test_entries_are_ordered_within_their_rows(lengths: list[int], span: int, threads: int, seed: int) -> None:
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    times = np.random.default_rng(seed).integers(-span, span, indptr[-1])
    rows = np.repeat(np.arange(len(lengths)), lengths)
    order, is_new = ordering.time_order(indptr, times, threads)
    plain = np.lexsort((times, rows))
    np.testing.assert_array_equal(order, plain)
    begins = (np.diff(rows[plain], prepend=-1) != 0) | (times[plain] != np.roll(times[plain], 1))
    np.testing.assert_array_equal(is_new, begins)


def test_threads_share_many_rows() -> None:
    generator = np.random.default_rng(1)
    lengths = generator.integers(0, 50_000, 40)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    times = generator.integers(0, 1000, indptr[-1])
    ranks = ordering.recency_ranks(indptr, times, 3)
    assert len(times) > 2 * ordering._ENTRIES_PER_CALL, "more than one call"
    for start, stop in itertools.pairwise(indptr):
        counts = np.bincount(times[start:stop], minlength=1000)
        later = counts[::-1].cumsum()[::-1] - counts
        np.testing.assert_array_equal(ranks[start:stop], (later + np.maximum(counts - 1, 0) // 2)[times[start:stop]])


@pytest.mark.parametrize("indptr", [[], [0], [0, 2], [0, 4], [1, 3], [0, 3, 2, 3]])
def test_rows_that_do_not_cover_the_entries_are_refused(indptr: list[int]) -> None:
    with pytest.raises(RecsysError, match="do not cover its 3 times"):
        ordering.recency_ranks(np.array(indptr, np.int64), np.zeros(3, np.int64))
