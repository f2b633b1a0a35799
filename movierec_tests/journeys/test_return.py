"""A recipe that is worse for people who come back, in runs of the platform."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from dagster import DagsterInstance

from movierec_assets.defs.rejections import note_rejection
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.recipes import record_search
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.tables.known_datasets import loaded_dataset
from movierec_tests.defs.harness import failed_checks, failures_of, metadata_of, run
from movierec_tests.journeys.conftest import Traveller, new_ratings, rewrite

pytestmark = pytest.mark.slow

WORSE = Recipe(alpha=300.0, regularization=1e-3, iterations=1)
"""Its lists look sound, and hold little that people like: NDCG@10 on return is a third of the built-in recipe's."""


def test_a_recipe_that_is_worse_on_return_is_rejected_and_the_days_data_is_served_all_the_same(
    traveller: Traveller, demo_copy: Path
) -> None:
    first = traveller.days[0]
    returned = first["return_evaluation"]
    assert (returned["model_version"], returned["champion_version"], returned["windows"]) == (1, 0, 5)
    assert returned["return_ndcg_at_10"] > returned["popularity_return_ndcg_at_10"] > 0
    assert "return_difference_mean" not in returned, "there is no other recipe"
    assert returned["return_ndcg_at_10_low"] < returned["return_ndcg_at_10"] < returned["return_ndcg_at_10_high"]
    scores = pd.read_parquet(Path(traveller.platform.settings.storage) / "return_evaluation.parquet")
    assert len(scores[scores["ranker"] == "als"]) == returned["user_windows"]
    assert scores["user_id"].nunique() == returned["users"]
    for moment in ("in the sitting", "on return"):
        assert moment in first["model_evaluation"]["report"]
        assert moment in str(traveller.platform.registry.client.get_model_version("movierec-als", "1").description)
    logged = traveller.platform.registry.metrics(traveller.champion)
    assert logged["return_ndcg_at_10"] == returned["return_ndcg_at_10"]

    # On changed data the run goes on, because the champion's recipe serves it.
    database = traveller.platform.database
    record_search(database, WORSE, {}, "run", loaded_dataset(database), 4.0)
    rewrite(demo_copy, lambda lines: [*lines, *new_ratings(demo_copy, 25, day=1)])
    second = traveller.run(demo_copy)
    decided, refit = second["champion_model"], second["champion_refit"]["model_version"]
    assert (decided["challenger_outcome"], decided["outcome"]) == ("rejected", "refresh")
    assert "Clearly worse than the champion's recipe for people who come back" in decided["challenger_reason"]
    assert decided["challenger_return_difference_high"] < 0
    assert traveller.champion.number == refit
    traveller.require_right_lists(demo_copy)
    own = traveller.platform.registry.metrics(traveller.champion)
    assert own["return_ndcg_at_10"] == second["return_evaluation"]["champion_return_ndcg_at_10"]
    assert "champion_return_ndcg_at_10" not in own

    # On the same data nothing waits to be served, and the check stops the run.
    record_search(database, replace(WORSE, alpha=200.0), {}, "run", loaded_dataset(database), 4.0)
    stopped = run()
    assert not stopped.success
    assert set(failed_checks(stopped)) == {"not_worse_on_return"}
    assert "model_evaluation" not in metadata_of(stopped)
    promotions = Promotions(traveller.platform.registry, database)
    with DagsterInstance.get() as instance:
        rejected = note_rejection(promotions, instance, stopped.run_id)
    assert rejected is not None
    assert (rejected.outcome, rejected.previous) == ("rejected", refit)
    assert rejected.numbers["return_difference_high"] < 0
    assert rejected.numbers["return_ndcg_at_10"] < rejected.numbers["champion_return_ndcg_at_10"]
    page = traveller.platform.registry.client.get_model_version("movierec-als", str(rejected.version))
    assert "on return" in str(page.description)
    assert traveller.champion.number == refit

    # What was rejected counts as tried.
    last = run()
    assert last.success, failures_of(last)
    shown = metadata_of(last)
    assert f"did not prove itself as version {rejected.version}" in shown["als_model"]["recipe_source"]
    assert (shown["als_model"]["model_version"], shown["champion_model"]["outcome"]) == (refit, "unchanged")
    traveller.require_right_lists(demo_copy)
