"""A platform works after it was moved, and after files were lost, in directories with odd names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dagster import DagsterInstance, SensorResult, build_sensor_context

from movierec_assets.defs.publishing import champion_sensor
from movierec_assets.host.environment import variables
from movierec_assets.models.artifact_locations import local_path
from movierec_assets.models.errors import VersionFilesError
from movierec_assets.models.version import EXPERIMENT, MODEL_NAME
from movierec_assets.models.version_files import MODEL_FILE
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.serving.recommendations import RecommendationService
from movierec_assets.settings import get_settings
from movierec_assets.tables.database import SCHEMA
from movierec_tests.defs.harness import Platform, failures_of, own_platform, run
from movierec_tests.journeys.conftest import Traveller, new_ratings, rewrite

pytestmark = pytest.mark.slow


def test_a_platform_works_after_it_was_moved_and_lost_files_and_its_experiment(
    server_url: str,
    tmp_path: Path,
    demo_files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """One platform for all three, because each training takes seconds."""
    odd = tmp_path / "Ann's $5 films 100% é"
    dataset = Path(shutil.copytree(demo_files, odd / "mine"))
    monkeypatch.chdir(odd)  # MLflow records the working directory at its first use
    with own_platform(server_url, odd, dataset) as platform:
        Traveller(platform, monkeypatch).run(dataset)
        old, new = odd / "state", tmp_path / "elsewhere"
        shutil.move(old, new)
        moved = _at(platform, new, monkeypatch)
        _earlier_versions_are_used(moved, dataset)
        assert not old.exists()
        _artifacts_are_in_the_state_directory(moved.platform)
        _the_next_training_replaces_the_champion(moved, dataset, capfd)
        assert not old.exists()


def _at(platform: Platform, state: Path, monkeypatch: pytest.MonkeyPatch) -> Traveller:
    """The platform with its state directory elsewhere."""
    monkeypatch.setenv("MOVIEREC_STATE_DIR", str(state))
    monkeypatch.delenv("MOVIEREC_STORAGE_URL")
    environment = platform.environment | {"MOVIEREC_STATE_DIR": str(state)} | variables(get_settings())
    moved = Platform(environment, get_settings())
    moved.enter(monkeypatch)
    return Traveller(moved, monkeypatch)


def _earlier_versions_are_used(moved: Traveller, dataset: Path) -> None:
    rewrite(dataset, lambda lines: [*lines, *new_ratings(dataset, 25, day=1)])
    after = moved.run(dataset)
    assert after["champion_model"]["outcome"] == "refresh", after["champion_model"]["reason"]
    moved.require_right_lists(dataset)
    registry, database = moved.platform.registry, moved.platform.database
    assert RecommendationService(database, registry).for_user(1, 5).model_version == 2
    assert registry.fault_of(registry.version(1)) is None, "a version from before the move"


def _artifacts_are_in_the_state_directory(platform: Platform) -> None:
    client, artifacts = platform.registry.client, platform.settings.artifacts
    assert client.get_experiment("0").artifact_location == "mlflow-artifacts:/0"
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    uris = [run.info.artifact_uri for run in client.search_runs([experiment.experiment_id])]
    uris += [
        client.get_model_version_download_uri(MODEL_NAME, str(version.number))
        for version in platform.registry.versions()
    ]
    assert len(uris) == 4
    for uri in uris:
        directory = local_path(uri, artifacts)
        assert directory is not None
        assert directory.is_dir()
        assert directory.is_relative_to(artifacts)


def _the_next_training_replaces_the_champion(
    moved: Traveller, dataset: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Version 2, the champion, loses its file, and the experiment is deleted in MLflow."""
    registry, database = moved.platform.registry, moved.platform.database
    directory = local_path(
        registry.client.get_model_version_download_uri(MODEL_NAME, "2"), moved.platform.settings.artifacts
    )
    assert directory is not None
    file = directory / "artifacts" / MODEL_FILE
    file.unlink()

    assert RecommendationService(database, registry).for_user(1, 5).model_version == 2, "its copy is still there"
    shutil.rmtree(registry.copy.directory)
    with pytest.raises(VersionFilesError) as refused:
        RecommendationService(database, registry).for_user(1, 5)
    published = failures_of(run("publish"))["user_recommendations"]
    with database.transaction() as cursor:  # gives the sensor a reason to run
        cursor.execute(f"UPDATE {SCHEMA}.popular_movies SET model_version = 1")
    with DagsterInstance.get() as instance:
        context = build_sensor_context(instance=instance)
        sensed = champion_sensor(context, registry=RegistryResource(), postgres=PostgresResource())
    assert isinstance(sensed, SensorResult)
    assert sensed.skip_reason is not None
    for message in (str(refused.value), published, str(sensed.skip_reason.skip_message)):
        assert f"Version 2 of {MODEL_NAME} cannot be loaded: {file} is not there" in message
        assert "movierec model promote 1" in message

    registry.client.delete_experiment(registry.ensure_experiment())
    replaced = moved.run(dataset)["champion_model"]
    assert (replaced["outcome"], moved.champion.number) == ("first", 3)
    assert f"No champion to compare with: version 2 cannot be loaded: {file} is not there" in replaced["reason"]
    assert f"The experiment {EXPERIMENT} was deleted in MLflow; it is restored" in capfd.readouterr().err
    assert RecommendationService(database, registry).for_user(1, 5).model_version == 3
