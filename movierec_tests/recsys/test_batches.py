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
def test_batches_are_as_long_as_their_limits_allow(needed: list[int], memory: int, max_rows: int) -> None:
    reported: list[tuple[int, int]] = []
    found = list(batches(np.cumsum(needed), memory, lambda done, total: reported.append((done, total)), max_rows))
    assert [row for batch in found for row in range(batch.start, batch.stop)] == list(range(len(needed)))
    for batch in found:
        rows = batch.stop - batch.start
        assert 1 <= rows <= max_rows
        assert rows == 1 or sum(needed[batch]) <= memory
        if batch.stop < len(needed) and rows < max_rows:
            assert sum(needed[batch.start : batch.stop + 1]) > memory
    assert reported == [(batch.stop, len(needed)) for batch in found]


def test_no_memory_at_all_is_an_error() -> None:
    with pytest.raises(RecsysError, match="0 bytes"):
        list(batches(np.array([1]), 0))
