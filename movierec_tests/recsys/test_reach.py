"""Claims about sums of a product and a second part: bounds leave out no movie that belongs in a list."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from movierec_assets.recsys import reach
from movierec_assets.recsys.interactions import FloatArray
from movierec_assets.recsys.ranking import EMPTY, TopK
from movierec_assets.recsys.reach import Longest
from movierec_tests.ranked_lists import assert_same_lists

FACTORS = 3


def plain(second: FloatArray, vectors: FloatArray, movies: FloatArray, k: int) -> TopK:
    """The k highest sums of all movies, equal ones in the order of columns."""
    sums = second.astype(np.float64) + vectors.astype(np.float64) @ movies.T.astype(np.float64)
    sums = np.pad(sums, ((0, 0), (0, k)), constant_values=-np.inf)
    order = np.argsort(-sums, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(sums, order, axis=1)
    return TopK(np.where(np.isinf(best), EMPTY, order), np.where(np.isinf(best), np.nan, best))


def numbers(rows: int, columns: int, *values: float) -> st.SearchStrategy[Any]:
    return arrays(np.float32, (rows, columns), elements=st.sampled_from(np.array(values, dtype=np.float32).tolist()))


@given(st.data())
def test_the_lists_are_those_of_multiplying_all_vectors(data: st.DataObject) -> None:
    """Few values, so that ties, zero vectors, equal lengths and movies to leave out are common."""
    n_users, n_movies, first = (data.draw(st.integers(1, most)) for most in (4, 12, 6))
    k = data.draw(st.integers(1, 5))
    movies = data.draw(numbers(n_movies, FACTORS, 0, 0, 0, 0.125, 1, -2))
    vectors = data.draw(numbers(n_users, FACTORS, 0, 0.5, 1, -1))
    second = data.draw(numbers(n_users, n_movies, 0, 0, 0, 1, 3, -np.inf))
    expected = plain(second, vectors, movies, k)
    columns, values = Longest.of(movies, first).best(second.copy(), vectors, k)
    assert_same_lists(TopK(columns, values), expected)


@pytest.mark.parametrize("lengths", ["falling", "equal"])
def test_only_vectors_of_falling_length_are_left_out(lengths: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Movies far down the order of length are listed for the second part alone."""
    rng = np.random.default_rng(4)
    movies = rng.normal(size=(2000, FACTORS)).astype(np.float32)
    movies /= np.linalg.norm(movies, axis=1, keepdims=True)
    if lengths == "falling":
        movies /= 1 + rng.permutation(2000).astype(np.float32)[:, None]
    vectors = rng.normal(size=(30, FACTORS)).astype(np.float32)
    second = (rng.random((30, 2000)) < 0.01).astype(np.float32) * rng.random((30, 2000), dtype=np.float32)
    widths: list[int] = []
    multiplied = reach._multiplied

    def counted(*arguments: Any) -> Any:
        widths.append(len(arguments[2]))
        return multiplied(*arguments)

    monkeypatch.setattr(reach, "_multiplied", counted)
    expected = plain(second, vectors, movies, 20)
    columns, values = Longest.of(movies, 100).best(second, vectors, 20)
    assert_same_lists(TopK(columns, values), expected)
    assert widths == ([100] if lengths == "falling" else [100, 2000])
