"""Random positives for the property tests. Few users, movies and times, so that ties and empty rows are common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from movierec_assets.recsys.interactions import FloatArray, IntArray, Interactions

Row = tuple[int, int, float, int]
"""User, movie, stars and time of one interaction."""


@dataclass(frozen=True)
class Ratings:
    """Interactions as plain rows, every pair once, and the shape of their matrix."""

    rows: list[Row]
    shape: tuple[int, int]

    def interactions(self) -> Interactions:
        return interactions_of(self.rows, self.shape)


def interactions_of(rows: Sequence[Row], shape: tuple[int, int]) -> Interactions:
    users, movies, stars, times = columns_of(rows)
    return Interactions.from_triplets(users, movies, stars, times, shape)


def columns_of(
    rows: Sequence[Row],
) -> tuple[IntArray, IntArray, FloatArray, IntArray]:
    users, movies, stars, times = zip(*rows, strict=True) if rows else ((), (), (), ())
    return (
        np.array(users, dtype=np.int64),
        np.array(movies, dtype=np.int64),
        np.array(stars, dtype=np.float64),
        np.array(times, dtype=np.int64),
    )


@st.composite
def ratings(
    draw: st.DrawFn, min_size: int = 0, max_size: int = 30, max_users: int = 6, max_movies: int = 8, times: int = 5
) -> Ratings:
    shape = (draw(st.integers(1, max_users)), draw(st.integers(1, max_movies)))
    pair = st.tuples(st.integers(0, shape[0] - 1), st.integers(0, shape[1] - 1))
    pairs = draw(st.lists(pair, unique=True, min_size=min_size, max_size=max_size))
    rows = [(user, movie, draw(st.sampled_from([4.0, 4.5, 5.0])), draw(st.integers(0, times))) for user, movie in pairs]
    return Ratings(rows, shape)
