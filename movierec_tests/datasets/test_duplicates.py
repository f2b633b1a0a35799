"""Ratings of one pair: which one counts, compared with a plain rule, and files that need no search."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.datasets.duplicates import find_superseded, rising
from movierec_assets.ratings import pair_key

ROWS = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)), max_size=12)


@given(rows=ROWS)
def test_the_latest_of_a_pair_counts_and_of_equal_times_the_later_line(rows: list[tuple[int, int, int]]) -> None:
    users, movies, times = (np.array([row[at] for row in rows], np.int64) for at in range(3))
    lines = np.arange(2, 2 + len(rows), dtype=np.int32)
    best: dict[tuple[int, int], tuple[int, int]] = {}
    for (user, movie, at), line in zip(rows, lines.tolist(), strict=True):
        best[user, movie] = max(best.get((user, movie), (0, 0)), (at, line))
    expected = [
        (position, line, best[user, movie][1])
        for position, ((user, movie, _), line) in enumerate(zip(rows, lines.tolist(), strict=True))
        if best[user, movie][1] != line
    ]
    superseded = find_superseded(pair_key(users.astype(np.int32), movies.astype(np.int32)), times, lines)
    assert (
        list(zip(superseded.position.tolist(), superseded.line.tolist(), superseded.winner.tolist(), strict=True))
        == expected
    )


@given(keys=st.lists(st.integers(0, 9), max_size=8), cuts=st.lists(st.integers(0, 8), max_size=3))
def test_keys_rise_from_part_to_part_when_together_they_do(keys: list[int], cuts: list[int]) -> None:
    parts = np.split(np.array(keys, np.int64), sorted(min(cut, len(keys)) for cut in cuts))
    assert rising(parts) == (keys == sorted(set(keys)))


@given(rows=ROWS)
def test_no_pair_comes_twice_where_keys_rise(rows: list[tuple[int, int, int]]) -> None:
    pairs = sorted({(user, movie) for user, movie, _ in rows})
    key = pair_key(*(np.array([pair[at] for pair in pairs], np.int32) for at in range(2)))
    assert rising([key])
    assert len(find_superseded(key, np.zeros(len(key), np.int64), np.zeros(len(key), np.int32))) == 0
