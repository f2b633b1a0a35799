"""Versions in MLflow after two whole runs on the demo set, and runs of the training alone."""

from __future__ import annotations

import importlib.metadata
import json
import re
from typing import Any

import mlflow
import pandas as pd
import pytest
from dagster import DagsterInstance, execute_job, reconstructable

from movierec_assets.defs.insights_of_model import CHAMPION_THEN, THIS_VERSION
from movierec_assets.defs.insights_of_model import METRICS as METRICS_OF_INSIGHT
from movierec_assets.models.version import CHALLENGER, CHAMPION, MODEL_NAME
from movierec_assets.models.version_page import METRICS
from movierec_assets.recsys.evaluation import ELAPSED_NAMES, HEADLINE
from movierec_assets.recsys.rankers import WITHOUT_SIGNAL
from movierec_assets.tables.database import SCHEMA
from movierec_assets.tables.insights import read_insight
from movierec_tests.defs import multiprocess_jobs
from movierec_tests.defs.conftest import Ran
from movierec_tests.defs.harness import RETRAIN, metadata_of, run
from movierec_tests.first_day import USERS

slow = pytest.mark.slow


@slow
def test_a_training_has_one_finished_mlflow_run_with_params_metrics_and_files(ran: Ran) -> None:
    client = ran.platform.registry.client
    for result in (ran.first,):
        (run_id,) = ran.platform.registry.runs_of(result.run_id)
        found = client.get_run(run_id)
        assert found.info.status == "FINISHED"
        assert found.info.run_name == "train demo: als factors=64 alpha=5 reg=10 iter=15 next=1"
        assert {"alpha", "factors", "regularization", "iterations", "seed", "fold_in_tau"} <= set(found.data.params)
        assert {HEADLINE, f"popularity_{HEADLINE}", "training_loss"} <= set(found.data.metrics)
        losses = [metric.value for metric in client.get_metric_history(run_id, "training_loss")]
        assert len(losses) == int(found.data.params["iterations"])
        assert losses[-1] < losses[0]
        assert {item.path for item in client.list_artifacts(run_id)} >= {
            "factors.npz",
            "id_maps.parquet",
            "evaluation",
        }
        assert {item.path for item in client.list_artifacts(run_id, "evaluation")} == {
            f"evaluation/{name}" for name in ("report.md", "moments.png", "metrics.png", "intervals.png", "slices.png")
        }
        assert found.data.metrics[HEADLINE] == metadata_of(result)["model_evaluation"][HEADLINE]


@slow
def test_a_version_knows_its_run_recipe_data_and_decision(ran: Ran) -> None:
    (version,) = ran.platform.registry.versions()
    for alias in (CHAMPION, CHALLENGER):
        found = ran.platform.registry.by_alias(alias)
        assert found is not None
        assert found.number == version.number
    assert version.recipe.as_dict() == metadata_of(ran.first)["als_model"]["recipe"]
    assert version.tags["promotion_reason"] == metadata_of(ran.first)["champion_model"]["reason"]
    made = version.provenance
    assert made["dagster_run_id"] == ran.first.run_id
    for part in ("split", "positives"):
        assert re.fullmatch("[0-9a-f]{64}", made[f"{part}_fingerprint"])
    assert re.fullmatch("[0-9a-f]{40}(-dirty)?|unknown", made["git_commit"])
    assert json.loads(made["libraries"])["implicit"] == importlib.metadata.version("implicit")
    made_from = json.loads(made["made_from"])
    assert made_from["ratings"] == ran.database.last_load("ratings").version  # type: ignore[union-attr]
    assert (made_from["protocol"], made_from["positive_threshold"]) == ("leave-latest-out", 4.0)
    run_tags = ran.platform.registry.client.get_run(version.run_id).data.tags
    assert run_tags["provenance"] == version.tags["provenance"]


@slow
def test_the_page_of_a_version_says_data_recipe_figures_and_decision_in_few_tags(ran: Ran) -> None:
    client, (version,) = ran.platform.registry.client, ran.platform.registry.versions()
    evaluation, returned = (metadata_of(ran.first)[name] for name in ("model_evaluation", "return_evaluation"))
    described = client.get_model_version(MODEL_NAME, str(version.number)).description
    figures, data, recipe, decision, table, on_return, elapsed = str(described).split("\n\n")
    positives = metadata_of(ran.first)["positive_ratings"]
    assert data.startswith("**Data** demo (dataset 1), likes from 4 stars: ")
    assert f"{positives['dagster/row_count']:,} likes, {positives['users']:,} users" in data
    assert recipe.startswith("**Recipe** als factors=64 alpha=5 reg=10 iter=15 next=1 seed=1 (built-in); cold: ")
    assert figures.startswith(f"NDCG@10 in the sitting {evaluation['ndcg_at_10']:.4f} (95 % ")
    assert f", popularity {evaluation['popularity_ndcg_at_10']:.4f}, original recipe 0." in figures
    assert f"; on return {returned['return_ndcg_at_10']:.4f} (95 % " in figures
    assert f", popularity {returned['popularity_return_ndcg_at_10']:.4f}" in figures
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    assert rows[0] == ["in the sitting", *(f"{name}@10" for name in METRICS.values())]
    assert [row[0] for row in rows[2:]] == [
        *("this version", WITHOUT_SIGNAL, "popularity", "original recipe", "item-kNN", "EASE"),
    ]
    returned_rows = [line.strip("| ").split(" | ") for line in on_return.splitlines()]
    assert [row[0] for row in returned_rows] == ["on return", "---", "this version", WITHOUT_SIGNAL, "popularity"]
    assert rows[2][2] == f"{evaluation['recall_at_10']:.4f}"
    elapsed_rows = [line.strip("| ").split(" | ") for line in elapsed.splitlines()]
    assert elapsed_rows[0][0] == "NDCG@10 in the sitting, by the time since the like before"
    assert [row[0] for row in elapsed_rows] == [elapsed_rows[0][0], "---", *(row[0] for row in rows[2:])]
    names, users = zip(*(heading.split(", ") for heading in elapsed_rows[0][1:]), strict=True)
    counts = [int(each.removesuffix(" users").replace(",", "")) for each in users]
    assert set(names) <= set(ELAPSED_NAMES)
    assert sum(counts) == evaluation["evaluated_users"]
    weighted = sum(count * float(cell) for count, cell in zip(counts, elapsed_rows[2][1:], strict=True))
    assert weighted / sum(counts) == pytest.approx(evaluation[HEADLINE], abs=1e-4)
    assert decision == f"**Decision** first: {version.tags['promotion_reason']}"
    assert len(version.tags) <= 10
    assert client.get_registered_model(MODEL_NAME).description
    assert version.model_id is not None
    on_page = {metric.key: metric.value for metric in client.get_logged_model(version.model_id).metrics or []}
    assert on_page[HEADLINE] == evaluation[HEADLINE]
    assert {"popularity_ndcg_at_10", "original_ndcg_at_10", "recall_at_10", "ndcg_at_10_low"} <= set(on_page)


@slow
def test_the_champions_pyfunc_answers_for_a_user_of_the_data(ran: Ran) -> None:
    mlflow.set_tracking_uri(ran.platform.settings.mlflow_uri)
    mlflow.set_registry_uri(ran.platform.settings.mlflow_uri)
    model = mlflow.pyfunc.load_model(f"models:/{MODEL_NAME}@champion")
    user = ran.database.scalar(f"SELECT min(user_id) FROM {SCHEMA}.eligible_users")
    answers = model.predict(pd.DataFrame({"user_id": [user]}, dtype=object), params={"k": 5})
    liked = ran.database.rows(f"SELECT movie_id FROM {SCHEMA}.ratings WHERE user_id = %s AND rating >= 4", [user])
    assert len(answers) == 5
    assert not set(answers["movie_id"]) & {movie for (movie,) in liked}


# Other ways to run it


@slow
def test_training_alone_in_a_process_of_its_own_finishes_its_one_mlflow_run(ran: Ran) -> None:
    with (
        DagsterInstance.get() as instance,
        execute_job(
            reconstructable(multiprocess_jobs.fitting), instance=instance, raise_on_error=False, run_config=RETRAIN
        ) as result,
    ):
        assert result.success
        runs = ran.platform.registry.runs_of(result.run_id)
        version = result.asset_materializations_for_node("als_model")[0].metadata["model_version"].value
    assert len(runs) == 1
    assert ran.platform.registry.client.get_run(runs[0]).info.status == "FINISHED"
    # The other tests of these runs expect one version.
    ran.platform.registry.client.delete_model_version(MODEL_NAME, str(version))
    ran.platform.registry.name_challenger(ran.platform.registry.versions()[0].number)


@slow
def test_a_fit_that_raises_ends_its_mlflow_run_as_failed_and_registers_nothing(
    ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverges(*_: Any, **__: Any) -> None:
        raise FloatingPointError("the factors diverged")

    before = [version.number for version in ran.platform.registry.versions()]
    monkeypatch.setattr("movierec_assets.recsys.als.fit", diverges)
    result = run("everything", "als_model", config=RETRAIN)
    assert not result.success
    (run_id,) = ran.platform.registry.runs_of(result.run_id)
    assert ran.platform.registry.client.get_run(run_id).info.status == "FAILED"
    assert [version.number for version in ran.platform.registry.versions()] == before


@slow
def test_the_champion_has_documents_with_the_figures_of_its_training_and_evaluation(ran: Ran) -> None:
    version, shown = ran.platform.champion(), metadata_of(ran.first)
    trained, scored = (read_insight(ran.database, name, version.number) for name in ("training", "evaluation"))
    assert trained is not None
    assert trained.document["recipe"] == version.recipe.as_dict()
    assert trained.document["loss"][-1]["loss"] == pytest.approx(shown["als_model"]["training_loss"])
    assert trained.document["counts"]["users"] == shown["als_model"]["users"]
    sample = trained.document["sample"]
    assert 0 < len(sample["likes"]) < sample["users"] * sample["movies"]
    assert 1 <= trained.document["example_user"] <= USERS
    assert scored is not None
    own = [row for row in scored.document["moments"] if row["ranker"] == THIS_VERSION]
    assert [row["moment"] for row in own] == ["in the sitting", "on return"]
    assert own[0]["mean"] == pytest.approx(shown["model_evaluation"][HEADLINE])
    assert own[0]["low"] <= own[0]["mean"] <= own[0]["high"]
    of_rankers = {row["ranker"]: row for row in scored.document["metrics"]}
    assert next(iter(of_rankers)) == THIS_VERSION
    assert set(of_rankers[THIS_VERSION]) == {"ranker", *METRICS_OF_INSIGHT}
    assert of_rankers[THIS_VERSION][HEADLINE] == own[0]["mean"]
    assert {row["by"] for row in scored.document["slices"]} == {
        *("likes in the history", "popularity of the held-out movies", "time since the like before"),
    }
    assert CHAMPION_THEN not in of_rankers  # the first version had none beside it
