"""Versions whose files are gone or damaged: not compared with, and no traceback."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from movierec_assets.models.artifact_locations import local_path, make_relative
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.errors import RegistryUnavailableError, VersionFilesError
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import EXPERIMENT, MODEL_NAME, LearningProblem
from movierec_assets.models.version_files import MODEL_FILE
from movierec_tests.defs.harness import Platform
from movierec_tests.models.harness import move_alias, promotions_of, register

pytestmark = pytest.mark.slow


@pytest.fixture
def platform(platform: Platform) -> Platform:
    """Version 1 is there, and version 2 is the champion."""
    register(platform, seed=1)
    move_alias(platform, register(platform, seed=2))
    return platform


def _file(platform: Platform, number: int) -> Path:
    location = platform.registry.client.get_model_version_download_uri(MODEL_NAME, str(number))
    directory = local_path(location, platform.settings.artifacts)
    assert directory is not None
    return directory / "artifacts" / MODEL_FILE


def _directory_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _without_factors(file: Path) -> None:
    with np.load(file) as arrays:
        kept = {name: arrays[name] for name in arrays if name != "movie_factors"}
    np.savez(file, **kept)


def _flip(file: Path) -> None:
    """Change a few bytes in the middle, as a failing disk does."""
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 16] = bytes(255 - byte for byte in content[middle : middle + 16])
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (Path.unlink, "is not there"),
        (_directory_instead, "is not there"),
        (lambda file: file.rename(file.with_name("other")), "is not there"),
        (lambda file: file.write_bytes(file.read_bytes()[:-200]), "is damaged"),
        (lambda file: file.write_bytes(b""), "is damaged"),
        (lambda file: file.write_text("<html>"), "is damaged"),
        (_flip, "is damaged"),
        (_without_factors, "is damaged"),
    ],
)
def test_a_champion_with_lost_or_damaged_files_is_not_compared_with_and_the_error_names_a_remedy(
    platform: Platform, damage: Callable[[Path], object], fault: str
) -> None:
    promotions, file = promotions_of(platform), _file(platform, 2)
    found = promotions.incumbent(None, None)
    assert found is not None
    assert found.number == 2
    damage(file)
    assert promotions.incumbent(None, None) is None
    with promotions.transaction("test") as transaction:
        incumbent = transaction.incumbent(LearningProblem())
        assert incumbent.version is None
        assert f"version 2 cannot be loaded: {file} {fault}" in str(incumbent.why_unusable)
    with pytest.raises(VersionFilesError, match=r"Version 2 of .*`movierec model promote 1`") as refused:
        platform.registry.load(platform.registry.version(2))
    assert f"{file} {fault}" in str(refused.value)


def test_without_another_version_that_loads_the_remedy_is_a_training(platform: Platform) -> None:
    for number in (1, 2):
        _file(platform, number).unlink()
    broken = str(promotions_of(platform).broken_champion())
    assert "No other version of its data loads: train one with `movierec run --job train`" in broken


def test_a_disk_or_a_registry_that_does_not_answer_never_makes_room_for_another_champion(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    promotions = promotions_of(platform)

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched, promotions.transaction("test") as transaction:
        patched.setattr(np, "load", fail)
        with pytest.raises(OSError, match="Input/output error"):
            transaction.incumbent(LearningProblem())
        with pytest.raises(OSError, match="Input/output error"):
            promotions.incumbent(None, None)
    away = Promotions(ModelRegistry.of(platform.settings, "http://127.0.0.1:9"), platform.database)
    with pytest.raises(RegistryUnavailableError):
        away.incumbent(None, None)


def test_a_deleted_experiment_is_restored_and_said(platform: Platform) -> None:
    registry, logged = platform.registry, list[str]()
    number = registry.ensure_experiment(logged.append)
    registry.client.delete_experiment(number)
    assert registry.ensure_experiment(logged.append) == number
    assert logged == [f"The experiment {EXPERIMENT} was deleted in MLflow; it is restored, with its runs."]
    assert registry.client.get_experiment(number).lifecycle_stage == "active"


def test_places_of_earlier_releases_become_relative_and_others_stay(platform: Platform) -> None:
    """Earlier releases stored absolute URIs; here the state directory was moved."""
    client, before = platform.registry.client, "file:///gone/Ann%27s%20films/mlartifacts"
    old = client.create_experiment("old", artifact_location=before)
    other = client.create_experiment("other", artifact_location="s3://bucket/mlartifacts")
    run = client.create_run(old)
    elsewhere = client.create_run(other)
    source = f"{before}/models/m-1/artifacts"
    version = client.create_model_version(MODEL_NAME, source, run.info.run_id)
    make_relative(platform.registry.uri, "old")
    make_relative(platform.registry.uri, "old")  # a second time changes nothing

    assert client.get_experiment(old).artifact_location == "mlflow-artifacts:/"
    assert client.get_run(run.info.run_id).info.artifact_uri == f"mlflow-artifacts:/{run.info.run_id}/artifacts"
    found = client.get_model_version(MODEL_NAME, str(version.version))
    assert found.source == "mlflow-artifacts:/models/m-1/artifacts"
    location = client.get_model_version_download_uri(MODEL_NAME, str(version.version))
    assert local_path(location, platform.settings.artifacts) == platform.settings.artifacts / "models/m-1/artifacts"
    assert client.get_run(elsewhere.info.run_id).info.artifact_uri.startswith("s3://bucket/mlartifacts/")


def test_a_relative_place_never_leads_out_of_the_state_directory(tmp_path: Path) -> None:
    assert local_path("mlflow-artifacts:/run/artifacts", tmp_path) == tmp_path / "run" / "artifacts"
    assert local_path("s3://bucket/run", tmp_path) is None
    with pytest.raises(ValueError, match="leads out of"):
        local_path("mlflow-artifacts:/../outside", tmp_path)
