"""The moment of a request is named, and a person reads what is unusual about its time."""

from __future__ import annotations

import time
from typing import Literal

import numpy as np
import pytest

from movierec_assets.recsys.confidence import Confidence
from movierec_assets.recsys.engine import Factors
from movierec_assets.recsys.interactions import IdMaps, Interactions
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.recipe import NO_NEXT_MOVIE, NextMovie, Recipe
from movierec_assets.recsys.recommender import Recommender
from movierec_assets.serving.moments import Moment

SIGNAL, NO_SIGNAL = "the next-movie signal counts {}%", "without the next-movie signal"
LIKE = 1_000_000_000  # 2001-09-09 01:46:40 UTC


def model(signal: NextMovie) -> Recommender:
    positives = Interactions.from_triplets(
        np.array([0, 0]), np.array([0, 1]), np.array([4.0, 4.0]), np.array([1, 2]), (1, 2)
    )
    recipe = Recipe(factors=1, next_movie=signal)
    factors = Factors.of_movies(np.ones((2, 1), np.float32), Confidence("binary", np.ones(2, np.float32), 2.0))
    ids = IdMaps(np.array([1]), np.array([5, 6]))
    return Recommender.of(factors.with_next(NextMovies.of(positives, signal)), positives, ids, recipe)


WITH_SIGNAL = model(NextMovie(fade_hours=1.0))


@pytest.mark.parametrize(
    ("at", "name", "elapsed", "signal", "text"),
    [
        (
            "latest",
            "in the sitting",
            0,
            1.0,
            "In the sitting, right after the latest like; " + SIGNAL.format(100),
        ),
        (
            LIKE + 90,
            "in the sitting",
            90,
            0.975,
            "In the sitting, 1 minute after the latest like; " + SIGNAL.format(98),
        ),
        (
            LIKE + 7_200,
            "on return",
            7_200,
            0.135,
            "On return, 2 hours after the latest like; " + SIGNAL.format(14),
        ),
        (
            LIKE + 10**8,
            "on return",
            10**8,
            0.0,
            "On return, 3 years after the latest like; without the next-movie signal",
        ),
    ],
)
def test_a_moment_says_how_long_after_the_latest_like_it_is_and_how_much_the_signal_counts(
    at: int | Literal["latest"], name: str, elapsed: int, signal: float, text: str
) -> None:
    found = Moment.of(at, LIKE, WITH_SIGNAL)
    assert (found.name, found.elapsed_seconds, found.note) == (name, elapsed, None)
    assert found.signal == pytest.approx(signal, abs=1e-3)
    assert found.text == text


def test_a_model_without_a_signal_knows_the_moment_too() -> None:
    found = Moment.of(LIKE + 30, LIKE, model(NO_NEXT_MOVIE))
    assert found.text == "In the sitting, 30 seconds after the latest like; " + NO_SIGNAL


def test_without_a_time_the_moment_is_now() -> None:
    found = Moment.of(None, int(time.time()) - 86_400, WITH_SIGNAL)
    assert found.name == "on return"
    assert found.elapsed_seconds >= 86_400


@pytest.mark.parametrize("at", [LIKE - 1, -(10**14)])
def test_a_time_before_the_latest_like_counts_as_right_after_it_with_a_note(at: int) -> None:
    found = Moment.of(at, LIKE, WITH_SIGNAL)
    assert (found.name, found.elapsed_seconds, found.signal) == ("in the sitting", 0, 1.0)
    assert found.note is not None
    assert (
        "is before the user's latest like, of 2001-09-09 01:46:40 UTC. The list is made for right after" in found.note
    )


def test_a_like_in_the_future_counts_as_now_with_a_note_that_names_the_clock() -> None:
    found = Moment.of(None, int(time.time()) + 10**6, WITH_SIGNAL)
    assert found.elapsed_seconds == 0
    assert str(found.note).startswith("The clock says 20")
