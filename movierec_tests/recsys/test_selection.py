"""Claims about picking the highest of each row: the plain order, whatever is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from movierec_assets.recsys.interactions import FloatArray
from movierec_assets.recsys.selection import NOTHING, highest

VALUES = st.sampled_from([NOTHING, *np.arange(-2, 4, dtype=np.float32)])
SCORES = arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(0, 70)), elements=VALUES)


def plain(scores: FloatArray, k: int) -> list[list[tuple[float, int]]]:
    return [
        [(value, column) for value, column in sorted(zip(-row, range(len(row)), strict=True)) if value < np.inf][:k]
        for row in scores
    ]


def found(scores: FloatArray, k: int, floor: FloatArray | None = None) -> list[list[tuple[float, int]]]:
    columns, values = highest(scores, k, floor)
    assert columns.shape == values.shape == (len(scores), k)
    assert np.array_equal(np.isnan(values), columns < 0)
    assert not np.any(np.diff((columns < 0).astype(int), axis=1) < 0)
    return [
        [(-value, column) for value, column in zip(*row, strict=True) if column >= 0]
        for row in zip(values, columns, strict=True)
    ]


@settings(deadline=None)
@given(SCORES, st.integers(1, 9))
def test_the_highest_are_the_first_of_a_stable_sort(scores: FloatArray, k: int) -> None:
    assert found(scores, k) == plain(scores, k)


@settings(deadline=None)
@given(SCORES, st.integers(1, 9), st.data())
def test_a_floor_that_enough_of_a_row_reach_changes_nothing(scores: FloatArray, k: int, data: st.DataObject) -> None:
    floor = np.full(len(scores), np.nan, dtype=np.float32)
    for row, best in enumerate(plain(scores, k)):
        if len(best) == k:
            floor[row] = data.draw(st.sampled_from([np.nan, -best[-1][0], -best[-1][0] - 1, -5.0]))
    before = floor.copy()
    assert found(scores, k, floor) == plain(scores, k)
    assert np.array_equal(floor, before, equal_nan=True)


@pytest.mark.parametrize("kind", ["few values", "all equal", "all different", "hardly any"])
@pytest.mark.parametrize("width", [500, 1023, 1024, 3001])
def test_wide_rows_are_no_different(kind: str, width: int) -> None:
    rng = np.random.default_rng(width)
    scores = {
        "few values": rng.integers(0, 9, (6, width)),
        "all equal": np.zeros((6, width)),
        "all different": rng.permuted(np.tile(np.arange(width), (6, 1)), axis=1),
        "hardly any": np.where(rng.random((6, width)) < 0.004, 1.0, NOTHING),
    }[kind].astype(np.float32)
    for k in (1, 20):
        assert found(scores, k) == plain(scores, k)
        assert found(scores, k, np.full(6, np.nan, dtype=np.float32)) == plain(scores, k)
