"""Claims about the two matrices of a training: what each may know, which recipes can use them, and their arrays."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from movierec_assets.ratings import RatingColumns
from movierec_assets.recsys.guardrails import unsound_transitions
from movierec_assets.recsys.next_movies import MAX_FOLLOWERS, NextMovies
from movierec_assets.recsys.next_movies_of_split import NextMoviesOfSplit
from movierec_assets.recsys.recipe import NO_NEXT_MOVIE, NextMovie
from movierec_assets.recsys.split import Split, leave_latest_out

SIGNAL = NextMovie(window=5)


@pytest.fixture(scope="module")
def split() -> Split:
    random = np.random.default_rng(3)
    users, movies = np.nonzero(random.random((30, 20)) < 0.5)
    found, _ = leave_latest_out(
        RatingColumns.cast(users, movies, np.full(len(users), 4.0), random.permutation(len(users)))
    )
    return found


def _same(one: NextMovies | None, other: NextMovies | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.matrix.shape == other.matrix.shape and bool(abs(one.matrix - other.matrix).max() < 1e-6)


def test_the_scored_matrix_does_not_know_the_test_part_and_the_served_one_does(split: Split) -> None:
    counted = NextMoviesOfSplit.of(split, SIGNAL)
    assert _same(counted.scored, NextMovies.of(split.history, SIGNAL))
    assert _same(counted.served, NextMovies.of(split.positives, SIGNAL))
    assert not _same(counted.scored, counted.served)
    # Other likes in the test part change nothing that is scored.
    other = replace(split, test=split.test.only(np.arange(len(split.test)) % 2 == 0))
    assert _same(NextMoviesOfSplit.of(other, SIGNAL).scored, counted.scored)


def test_a_signal_that_is_off_has_no_matrices(split: Split) -> None:
    assert NextMoviesOfSplit.of(split, NO_NEXT_MOVIE) == NextMoviesOfSplit(NO_NEXT_MOVIE, None, None)


@pytest.mark.parametrize(
    ("wanted", "usable"),
    [
        (SIGNAL, True),
        (replace(SIGNAL, tau=9.0, weight=0.3, fade_hours=8.0), True),
        (replace(SIGNAL, decay=0.7), False),
        (replace(SIGNAL, out_exponent=0.7), False),
        (replace(SIGNAL, in_exponent=0.3), False),
        (replace(SIGNAL, smoothing=1.0), False),
        (replace(SIGNAL, window=6), False),
    ],
)
def test_matrices_fit_every_recipe_whose_numbers_would_count_the_same(
    split: Split, wanted: NextMovie, usable: bool
) -> None:
    counted = NextMoviesOfSplit.of(split, SIGNAL)
    assert counted.usable_for(wanted) is (counted if usable else None)


def test_a_recipe_without_a_signal_gets_no_matrix_and_one_with_a_signal_needs_one(split: Split) -> None:
    assert NextMoviesOfSplit.of(split, SIGNAL).usable_for(NO_NEXT_MOVIE) == NextMoviesOfSplit(NO_NEXT_MOVIE)
    off = replace(SIGNAL, weight=0.0)
    assert NextMoviesOfSplit.of(split, off).usable_for(SIGNAL) is None


@pytest.mark.parametrize("signal", [SIGNAL, NO_NEXT_MOVIE], ids=["on", "off"])
def test_matrices_come_back_from_a_file(split: Split, signal: NextMovie) -> None:
    counted = NextMoviesOfSplit.of(split, signal)
    file = io.BytesIO()
    np.savez(file, **counted.to_arrays())  # type: ignore[arg-type]
    file.seek(0)
    with np.load(file) as arrays:
        back = NextMoviesOfSplit.from_arrays(arrays)
    assert back.signal == signal
    for name in ("scored", "served"):
        one, other = getattr(counted, name), getattr(back, name)
        assert (one is None) == (other is None) == (signal == NO_NEXT_MOVIE)
        assert one is None or all(np.array_equal(a, other.to_arrays()[key]) for key, a in one.to_arrays().items())


def test_what_is_wrong_in_a_matrix_is_counted(split: Split) -> None:
    sound = NextMovies.of(split.positives, SIGNAL)
    movies = split.train.shape[1]
    assert not any(unsound_transitions(sound, movies).values())
    assert not any(unsound_transitions(None, movies).values())
    broken = sound.matrix.copy()
    broken.data[:3] = np.nan, -1.0, np.inf
    found = unsound_transitions(NextMovies(broken), movies + 1)
    assert (found["transitions not finite"], found["negative transitions"], found["movies without a row"]) == (2, 1, 1)
    broken.indptr[1:] += MAX_FOLLOWERS + 1
    assert unsound_transitions(NextMovies(broken), movies)["movies with too many followers"] == 1
