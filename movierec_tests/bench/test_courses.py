"""The comparison of a warm with a cold start repeats the fits that training made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from movierec_assets.bench.courses import Courses, compare
from movierec_assets.recsys.warm_start import fit_and_watch, matched
from movierec_tests.recsys.test_warm_start import RECIPE, Columns, columns, three_trainings

__all__ = ["columns"]


def test_the_last_training_is_repeated_beside_a_cold_one_where_it_went_on(columns: Columns) -> None:
    split, ids, (first, before, last) = three_trainings(columns)
    found = compare(split, ids, RECIPE, before, last)
    assert found is not None
    assert before.trained is not None
    task = split.task("validation")
    _, warm = fit_and_watch(task, ids, RECIPE, matched(before, before.trained, ids, RECIPE))
    _, cold = fit_and_watch(task, ids, RECIPE, None)
    assert found.warm == pytest.approx(warm.ndcg)
    assert found.cold == pytest.approx(cold.ndcg[-1])
    assert found.cold_iterations == RECIPE.iterations
    assert compare(split, ids, RECIPE, first, before) is None  # the first training makes no such fit
    assert compare(split, ids, RECIPE, before, replace(last, in_a_row=0)) is None


def test_as_good_as_cold_is_counted_in_iterations() -> None:
    assert Courses([0.1, 0.12, 0.13], 0.12, 15).iterations_to_cold == 2
    assert Courses([0.1, 0.12, 0.13], 0.14, 15).iterations_to_cold is None
