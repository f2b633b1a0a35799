"""The search as an asset: it has its own job, can be resumed, and gives the next training its recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance

from movierec_assets.definitions import build
from movierec_assets.models.recipes import latest_recipe
from movierec_assets.tables.known_datasets import loaded_dataset
from movierec_tests.first_day import FirstDay


def test_daily_jobs_do_not_wait_for_a_search() -> None:
    definitions = build()
    for name in ("everything", "train"):
        assert "hyperparameters" not in definitions.resolve_job_def(name).graph.node_dict
    assert list(definitions.resolve_job_def("search").graph.node_dict) == ["hyperparameters"]


def test_the_search_has_no_way_to_the_test_part() -> None:
    graph = build().resolve_asset_graph()
    assert graph.get(AssetKey("hyperparameters")).parent_keys == {
        AssetKey("train_matrix"),
        AssetKey("validation_matrix"),
    }


@pytest.mark.slow
def test_training_takes_the_winner_of_the_last_search_with_numbers_chosen_by_hand(
    first_day: FirstDay, tmp_path: Path
) -> None:
    config = {"ops": {"hyperparameters": {"config": {"trials": 3, "seconds": 1e9}}}}
    with first_day.copied(tmp_path) as platform:
        assert latest_recipe(platform.database, None, None).source == "built-in"
        with DagsterInstance.get() as instance:
            search = build().resolve_job_def("search")
            found = search.execute_in_process(instance=instance, run_config=config)
            metadata = found.asset_materializations_for_node("hyperparameters")[0].metadata
            assert metadata["trials"].value == 3
            assert "next-movie signal" in str(metadata["on_return"].value)
            for picture in ("history", "parallel_coordinates"):
                assert "data:image/png;base64," in str(metadata[picture].value)
            again = search.execute_in_process(instance=instance, run_config=config)
            # With the same data and seed, the study is complete and no trial runs again.
            assert again.asset_materializations_for_node("hyperparameters")[0].metadata["trials"].value == 3
            by_hand = {"ops": {"als_model": {"config": {"recipe": {"regularization": 12.5}}}}}
            trained = build().resolve_job_def("train").execute_in_process(instance=instance, run_config=by_hand)
        chosen = latest_recipe(platform.database, loaded_dataset(platform.database), 4.0)
        assert latest_recipe(platform.database, loaded_dataset(platform.database), 3.0).source == "built-in"
        assert chosen.source == "search 2"
        model = trained.asset_materializations_for_node("als_model")[0].metadata
        assert model["recipe_source"].value == "search 2, by hand regularization 12.5"
        assert model["recipe"].value == chosen.recipe.as_dict() | {"regularization": 12.5}
        tracked = platform.registry.client.get_run(str(metadata["mlflow_run_id"].value))
        assert tracked.info.status == "FINISHED"
        assert tracked.info.run_name.startswith("search demo: best of 3 als factors=")
        assert tracked.data.params["factors"] == str(chosen.recipe.factors)
