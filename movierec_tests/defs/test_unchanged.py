"""A training that would repeat an existing version: nothing is trained, and that version is the challenger."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance

from movierec_assets.defs import training_inputs
from movierec_assets.defs.catch_up import _decided
from movierec_assets.models.artifact_locations import local_path
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.version import MODEL_NAME
from movierec_assets.resources.provenance import record
from movierec_tests.defs.harness import Platform, failures_of, metadata_of, run
from movierec_tests.first_day import FirstDay

pytestmark = pytest.mark.slow

CHALLENGER = AssetKey("als_model")


@pytest.fixture(scope="module")
def trained(first_day: FirstDay, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with first_day.copied(tmp_path_factory.mktemp("unchanged")) as platform:
        yield platform


@pytest.fixture
def platform(trained: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    trained.enter(monkeypatch)
    return trained


def _train() -> dict[str, Any]:
    """Metadata of als_model after a run of this asset alone."""
    result = run("train", "als_model")
    assert result.success, failures_of(result)
    return metadata_of(result)["als_model"]


def _numbers(platform: Platform) -> list[int]:
    return sorted(version.number for version in platform.registry.versions())


def _files_of(platform: Platform, number: int) -> Path:
    """Directory of the files of a version."""
    model = platform.registry.client.get_logged_model(str(platform.registry.version(number).model_id))
    directory = local_path(model.artifact_location, platform.settings.artifacts)
    assert directory is not None
    return directory


def _delete_version(platform: Platform, number: int) -> None:
    platform.registry.client.delete_model_version(MODEL_NAME, str(number))


def _delete_files(platform: Platform, number: int) -> None:
    shutil.rmtree(_files_of(platform, number))


def _delete_run(platform: Platform, number: int) -> None:
    platform.registry.client.delete_run(platform.registry.version(number).run_id)


def test_other_code_is_a_change_and_a_challenger_is_not_decided_about_twice(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    promotions = Promotions(platform.registry, platform.database)
    champion = platform.champion().number
    monkeypatch.setattr(training_inputs, "training_code", lambda: "changed")
    kept = metadata_of(run("train"))
    challenger = kept["als_model"]["model_version"]
    assert (kept["als_model"]["unchanged"], kept["champion_model"]["outcome"]) == (False, "kept")
    decisions = promotions.history()

    again = metadata_of(run("train"))
    assert (again["als_model"]["unchanged"], again["als_model"]["model_version"]) == (True, challenger)
    shown = again["champion_model"]
    assert (shown["outcome"], shown["challenger_outcome"]) == ("unchanged", "kept")
    assert (
        f"Nothing has changed since version {challenger} was compared with champion {champion} on 20" in shown["reason"]
    )
    assert promotions.history() == decisions

    with DagsterInstance.get() as instance:
        events = {"als_model": instance.get_latest_materialization_event(CHALLENGER)}
        assert record(instance, "als_model")["model_version"] == challenger
        assert _decided(instance, promotions, challenger, events)  # type: ignore[arg-type]
    # After a run that stopped after als_model, the challenger is undecided.
    assert _train()["model_version"] == challenger
    with DagsterInstance.get() as instance:
        events = {"als_model": instance.get_latest_materialization_event(CHALLENGER)}
        assert not _decided(instance, promotions, challenger, events)  # type: ignore[arg-type]

    monkeypatch.setenv("MOVIEREC_REFRESH_MARGIN", "0.001")
    other_rule = metadata_of(run("train"))["champion_model"]
    assert (other_rule["unchanged"], other_rule["challenger_version"]) == (False, challenger)
    assert len(promotions.history()) == len(decisions) + 1


def test_versions_survive_the_deletion_of_their_experiment(platform: Platform) -> None:
    before = _numbers(platform)
    assert _train()["unchanged"]
    platform.registry.client.delete_experiment(platform.registry.ensure_experiment())
    assert _train()["unchanged"]
    assert _numbers(platform) == before


@pytest.mark.parametrize("lose", [_delete_version, _delete_files, _delete_run], ids=["version", "files", "run"])
def test_a_version_that_was_deleted_in_mlflow_is_trained_again(
    platform: Platform, lose: Callable[[Platform, int], None]
) -> None:
    before = _numbers(platform)
    for number in before:
        lose(platform, number)
    again = _train()
    assert not again["unchanged"]
    assert again["model_version"] > max(before)
