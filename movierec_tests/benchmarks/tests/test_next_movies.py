"""Counting the next movies is compared with a fit of the same round."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import pytest

from movierec_assets.recsys.split import Split, latest_of_each_user
from movierec_tests.benchmarks import bare_fit, next_movies
from movierec_tests.benchmarks.next_movies import NextMoviesCount
from movierec_tests.recsys.strategies import interactions_of


def test_each_round_counts_and_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    likes = interactions_of([(user, (user + at) % 8, 4.0, at) for user in range(6) for at in range(5)], (6, 8))
    earlier, test = latest_of_each_user(likes)
    split = Split(*latest_of_each_user(earlier), test)
    for module, seconds in ((next_movies, 3.0), (bare_fit, 10.0)):  # clocks that advance each time they are read
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=count(0.0, seconds).__next__))
    assert next_movies.measure(split, rounds=3) == NextMoviesCount([3.0] * 3, [10.0] * 3)


def test_one_slow_round_does_not_count() -> None:
    assert NextMoviesCount(counts=[2.0, 9.0, 4.0], fits=[10.0, 10.0, 20.0]).bare_fits == 0.2
