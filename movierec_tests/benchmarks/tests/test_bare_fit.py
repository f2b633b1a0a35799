"""The bare fit is of the matrix that the graph fitted."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import random as random_matrix

from movierec_assets.recsys.interactions import Interactions
from movierec_tests.benchmarks import bare_fit


@pytest.mark.parametrize(("seconds", "repeats"), [(1.0, 5), (4.0, 3), (60.0, 2)])
def test_the_bare_fit_is_of_all_likes_before_the_test_and_is_repeated_when_it_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, repeats: int
) -> None:
    everything = random_matrix(30, 20, 0.3, format="csr", dtype=np.float32, random_state=1)
    users, movies = everything.nonzero()
    part = np.arange(len(users)) % 3
    for number, name in enumerate(("train_matrix", "validation_matrix", "test_matrix")):
        chosen = part == number
        stars, times = np.full(chosen.sum(), 4.0, dtype=np.float32), np.arange(chosen.sum())
        matrix = Interactions.from_triplets(users[chosen], movies[chosen], stars, times, everything.shape)
        np.savez(tmp_path / f"{name}.npz", **matrix.to_arrays())  # type: ignore[arg-type]
    fitted = bare_fit.stored_split(tmp_path).before("test")
    assert len(fitted) == (part < 2).sum()
    # A clock that is read before and after each fit, and advances by so many seconds each time.
    monkeypatch.setattr(bare_fit, "time", SimpleNamespace(perf_counter=count(0.0, seconds).__next__))
    found = bare_fit.fit(fitted)
    assert (found.positives, found.fits, found.seconds) == (len(fitted), [seconds] * repeats, seconds)
