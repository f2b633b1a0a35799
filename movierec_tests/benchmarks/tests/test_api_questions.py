"""Requests of the benchmark, and what follows from the answers."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from movierec_tests.benchmarks.api import questions
from movierec_tests.benchmarks.api.changes import GRACE_SECONDS, stale_answers
from movierec_tests.benchmarks.api.plan import Found
from movierec_tests.benchmarks.api.promotions import Change

FOUND = Found(10.0, 100, {"200": 97, "503": 2}, {"connection closed": 1}, {"p50": 1.0}, 0.05, 0.01, [], [], 1000.0)


def distance(one: str, other: str) -> int:
    """Edits between two texts, an exchange of neighbours counting as one."""
    rows = [list(range(len(other) + 1))]
    for i, left in enumerate(one, start=1):
        row = [i]
        for j, right in enumerate(other, start=1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]


@pytest.mark.parametrize(
    ("title", "typed"),
    [
        ("Matrix, The (1999)", "the matrix"),
        ("American in Paris, An (1951)", "an american in paris"),
        ("2001: A Space Odyssey (1968)", "2001: a space odyssey"),
        ("Heat", "heat"),
    ],
)
def test_titles_are_typed_without_year_and_with_the_article_in_front(title: str, typed: str) -> None:
    assert questions.as_typed(title) == typed


def test_a_short_title_has_one_typing_error_and_a_long_one_at_most_two() -> None:
    chance = random.Random(1)
    found = {
        text: {distance(text, questions.with_errors(text, chance)) for _ in range(200)}
        for text in ("alien", "the shawshank redemption")
    }
    # Two errors can undo one another.
    assert found["alien"] == {1}
    assert {1, 2} <= found["the shawshank redemption"] <= {0, 1, 2}


def test_errors_are_answers_other_than_2xx_and_requests_without_one() -> None:
    assert FOUND.errors == 3
    assert (FOUND.rate, FOUND.processor_us) == pytest.approx((10.0, 500.0))


def test_a_version_may_be_named_for_half_a_minute_after_it_was_champion_and_not_before() -> None:
    changes = [Change(2, 1000.0, 1001.0, 1003.0), Change(1, 1100.0, 1101.0, 1102.0)]

    def stale(version: str, at: float) -> int:
        return stale_answers(replace(FOUND, noted=[(version, at, 5)]), 1, changes)

    assert stale("1", 990.0) == stale("1", 1001.0 + GRACE_SECONDS) == stale("1", 1100.0) == 0
    assert stale("2", 1000.0) == stale("2", 1099.0) == stale("2", 1101.0 + GRACE_SECONDS) == 0
    assert stale("2", 999.0) == stale("1", 1001.2 + GRACE_SECONDS) == stale("2", 1101.2 + GRACE_SECONDS) == 5
    assert stale("null", 1000.0) == stale("3", 1050.0) == 5
