"""Claims about batches: all rows, in order, and no more memory than there is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movierec_assets.recsys.batches import batches
from movierec_assets.recsys.errors import RecsysError


@settings(deadline=None)
@given(st.lists(st.integers(0, 20), max_size=30), st.integers(1, 60), st.integers(1, 9))
def test_batches_are_as_long_as_memory_and_the_most_rows_allow(needed: list[int], memory: int, most: int) -> None:
    told: list[tuple[int, int]] = []
    found = list(batches(np.cumsum(needed), memory, lambda done, total: told.append((done, total)), most))
    assert [row for batch in found for row in range(batch.start, batch.stop)] == list(range(len(needed)))
    for batch in found:
        rows = batch.stop - batch.start
        assert 1 <= rows <= most
        assert rows == 1 or sum(needed[batch]) <= memory
        if batch.stop < len(needed) and rows < most:
            assert sum(needed[batch.start : batch.stop + 1]) > memory
    assert told == [(batch.stop, len(needed)) for batch in found]


def test_no_memory_at_all_is_an_error() -> None:
    with pytest.raises(RecsysError, match="0 bytes"):
        list(batches(np.array([1]), 0))
