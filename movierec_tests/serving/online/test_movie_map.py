"""Directions on a plane."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from movierec_assets.recsys.interactions import FloatArray
from movierec_assets.serving.online.movie_map import projected

vectors = st.tuples(st.integers(1, 12), st.integers(1, 6)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.integers(-5, 5).map(float))
)


@given(vectors)
def test_any_directions_have_positions_around_0_and_shares_of_at_most_all(made: FloatArray) -> None:
    found, shares = projected(made)
    assert found.shape == (len(made), 2)
    np.testing.assert_allclose(found.sum(axis=0), 0, atol=1e-9)
    assert np.all(shares >= 0)
    assert shares.sum() <= 1 + 1e-9
    again, _ = projected(made)
    np.testing.assert_array_equal(found, again)


@given(arrays(np.float32, (7, 2), elements=st.floats(-1, 1, width=32)))
def test_directions_of_a_plane_keep_their_distances(made: FloatArray) -> None:
    lengths = np.linalg.norm(made.astype(np.float64), axis=1, keepdims=True)
    unit = np.divide(made, lengths, out=np.zeros(made.shape), where=lengths > 0)
    found, _ = projected(made)
    expected = np.linalg.norm(unit[:, None] - unit, axis=2)
    np.testing.assert_allclose(np.linalg.norm(found[:, None] - found, axis=2), expected, atol=1e-6)


def test_the_first_axis_separates_two_kinds() -> None:
    made = np.array([[1, 0.1, 0], [1, 0, 0.1], [1, -0.1, 0], [0, 1, 0.1], [0.1, 1, 0]], dtype=np.float32)
    found, shares = projected(made)
    assert shares[0] == pytest.approx(1, abs=0.05)
    assert len(set(np.sign(found[:3, 0]))) == len(set(np.sign(found[3:, 0]))) == 1
    assert set(np.sign(found[:3, 0])) != set(np.sign(found[3:, 0]))
    assert found[np.abs(found).argmax(axis=0), [0, 1]].min() > 0
