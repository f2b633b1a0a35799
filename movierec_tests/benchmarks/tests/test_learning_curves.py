"""The comparison of a warm with a cold start repeats the fits that training made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from movierec_assets.recsys import als, warm_start
from movierec_assets.recsys.engine import Factors, Fit
from movierec_assets.recsys.interactions import FloatArray, IdMaps
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.split import Task
from movierec_assets.recsys.training_state import LearningCurve
from movierec_assets.recsys.warm_start import fit_and_score, matched
from movierec_tests.benchmarks import learning_curves
from movierec_tests.benchmarks.learning_curves import WarmStartComparison, compare
from movierec_tests.recsys.test_warm_start import RECIPE, Columns, columns, three_trainings

__all__ = ["columns"]


def test_the_last_training_is_repeated_beside_a_cold_start_when_it_continued_the_one_before(
    columns: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The last digits of a score, and so the iteration that ends a fit, differ between processors.
    monkeypatch.setattr(warm_start, "MAX_NDCG_LOSS", 0.5)
    split, ids, (first, before, last) = three_trainings(columns)
    assert before.validation is not None
    task, begin = split.task("validation"), matched(before, before.validation, ids, RECIPE)
    watched: list[tuple[float, ...]] = []

    def watch(
        given: Task, of: IdMaps, recipe: Recipe, start: FloatArray, fit: Fit, *, max_users: int
    ) -> tuple[Factors, LearningCurve]:
        assert given.train.fingerprint() == task.train.fingerprint()
        assert given.held_out.fingerprint() == task.held_out.fingerprint()
        assert (of, recipe, max_users) == (ids, RECIPE, len(task.users))
        assert np.array_equal(start, begin)
        fitted, curve = fit_and_score(given, of, recipe, start, fit, max_users=max_users)
        watched.append(curve.ndcg)
        return fitted, curve

    monkeypatch.setattr(learning_curves, "fit_and_score", watch)
    found = compare(split, ids, RECIPE, before, last)
    assert found is not None
    assert [tuple(found.warm)] == watched
    _, cold = fit_and_score(task, ids, RECIPE, None, als.fit)
    assert found.cold == pytest.approx(cold.ndcg[-1], abs=0.01)
    assert found.cold_iterations == RECIPE.iterations
    assert compare(split, ids, RECIPE, first, before) is None  # the first training makes no such fit
    assert compare(split, ids, RECIPE, before, replace(last, warm_in_a_row=0)) is None


def test_as_good_as_cold_is_counted_in_iterations() -> None:
    assert WarmStartComparison([0.1, 0.12, 0.13], 0.12, 15).iterations_to_cold == 2
    assert WarmStartComparison([0.1, 0.12, 0.13], 0.14, 15).iterations_to_cold is None
