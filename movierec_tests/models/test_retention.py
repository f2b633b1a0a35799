"""Versions and model files that nothing needs are removed, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.models.artifact_locations import local_path
from movierec_assets.models.decision_history import History, Record
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.retention import CHAMPIONS_KEPT, RUN_FILES, remove_unneeded, unneeded
from movierec_assets.models.version import DATASET_ID, MODEL_NAME, Version
from movierec_tests.defs.harness import Platform
from movierec_tests.models.harness import (
    BETTER,
    FIRST,
    KEPT,
    carry_out,
    champion_of,
    promote_in_order,
    promotions_of,
    register,
)
from movierec_tests.models.server import mlflow_server

NOW = datetime(2026, 5, 1, tzinfo=UTC)
BEFORE = NOW - timedelta(days=30)


def _version(number: int, days: float = 100, dataset: int = 1) -> Version:
    created = NOW - timedelta(days=days)
    return Version(number, f"run-{number}", f"models:/m-{number}", {DATASET_ID: str(dataset)}, created)


def _decision(number: int, version: int, outcome: str = "kept", days: float = 90, **changed: object) -> Record:
    values = {
        "previous": None,
        "promoted": outcome not in ("kept", "rejected"),
        "reason": "",
        "numbers": {},
        "dagster_run_id": None,
        "decided_by": "test",
        "state": "done",
        "version_tags": {"mlflow_run_id": f"run-{version}"},
    } | changed
    return Record(number, NOW - timedelta(days=days), version, outcome=outcome, **values)  # type: ignore[arg-type]


def _unneeded(versions: Sequence[Version], decisions: Sequence[Record], aliased: Sequence[int] = ()) -> list[int]:
    events = [each for each in decisions if each.promoted and each.state == "done"]
    history = History(events, versions)
    return [version.number for version in unneeded(versions, aliased, history, decisions, BEFORE)]


def test_an_old_version_that_was_kept_or_never_decided_about_is_not_needed() -> None:
    assert _unneeded([_version(1), _version(2)], [_decision(1, 1)]) == [1, 2]


def test_a_young_version_and_one_with_an_alias_are_needed() -> None:
    assert _unneeded([_version(1), _version(2, days=29)], [], aliased=[1]) == []


@pytest.mark.parametrize("changed", [{"days": 29}, {"state": "pending"}])
def test_a_young_or_pending_decision_needs_its_version_and_the_champion_before(changed: dict[str, object]) -> None:
    versions = [_version(1), _version(2), _version(3)]
    assert _unneeded(versions, [_decision(1, 2, previous=1, **changed)]) == [3]  # type: ignore[arg-type]


def test_the_latest_champions_of_each_dataset_are_needed() -> None:
    first, other = range(1, 9), range(21, 24)
    versions = [*(_version(number) for number in first), *(_version(number, dataset=2) for number in other)]
    decisions = [_decision(number, number, "refresh") for number in (*first, *other)]
    assert _unneeded(versions, decisions) == [1, 2, 3]
    assert CHAMPIONS_KEPT == 5


def test_a_champion_that_a_rollback_undid_is_not_needed() -> None:
    versions = [_version(1), _version(2)]
    decisions = [_decision(1, 1, "first"), _decision(2, 2, "improvement"), _decision(3, 1, "rollback")]
    assert _unneeded(versions, decisions) == [2]


@given(
    st.lists(st.tuples(st.sampled_from(["first", "refresh", "kept", "rejected", "rollback"]), st.floats(0, 200))),
    st.sets(st.integers(1, 12)),
)
def test_a_rollback_finds_the_same_version_after_a_removal(
    outcomes: list[tuple[str, float]], aliased: set[int]
) -> None:
    versions = [_version(number) for number in range(1, 13)]
    decisions = [
        _decision(number, number % 12 + 1, outcome, days)
        for number, (outcome, days) in enumerate(sorted(outcomes, key=lambda each: -each[1]), start=1)
    ]
    removed = set(_unneeded(versions, decisions, sorted(aliased)))
    assert not removed & aliased
    events = [each for each in decisions if each.promoted]
    from movierec_assets.models.version import LearningProblem

    def returnable(left: Sequence[Version]) -> list[int]:
        return [version.number for version in History(events, left).returnable(LearningProblem(1))][:CHAMPIONS_KEPT]

    assert returnable([each for each in versions if each.number not in removed]) == returnable(versions)


# With a real MLflow


def _remove(platform: Platform, before: datetime) -> tuple[list[int], int, int]:
    removed = remove_unneeded(promotions_of(platform), before, lambda _: None)
    return removed.versions, removed.models, removed.runs


def _trained(platform: Platform, dagster_run_id: str | None) -> tuple[str, Path, Path]:
    """A run with a logged model, as a training leaves them; its id, a file of the model and a file of the run."""
    registry = platform.registry
    client, experiment = registry.client, registry.ensure_experiment()
    run = client.create_run(experiment, tags={"dagster_run_id": dagster_run_id} if dagster_run_id else None)
    client.log_metric(run.info.run_id, "ndcg_at_10", 0.1)
    model = client.create_logged_model(experiment, name="model", source_run_id=run.info.run_id)
    files = []
    for location, name in ((model.artifact_location, "recommender.npz"), (run.info.artifact_uri, RUN_FILES[0])):
        directory = local_path(location, platform.settings.artifacts)
        assert directory is not None
        directory.mkdir(parents=True)
        (directory / name).write_bytes(b"x" * 1000)
        files.append(directory / name)
    mlflow.set_tracking_uri(registry.uri)  # MLflow looks the logged model up by itself, wherever the last test left it
    mlflow.set_registry_uri(registry.uri)
    client.create_model_version(MODEL_NAME, f"models:/{model.model_id}", run.info.run_id)
    return run.info.run_id, files[0], files[1]


@pytest.mark.slow
def test_old_versions_go_and_a_rollback_works_as_before(platform: Platform) -> None:
    champions = promote_in_order(platform, FIRST, *[BETTER] * 6)
    kept = register(platform, seed=20)
    carry_out(platform, kept, KEPT)
    before = datetime.now(UTC)
    assert _remove(platform, before - timedelta(days=1)) == ([], 0, 0), "all are young"
    assert _remove(platform, before + timedelta(days=1)) == ([*champions[:2], kept], 0, 0)
    assert _remove(platform, before + timedelta(days=1)) == ([], 0, 0)
    assert [version.number for version in platform.registry.versions()] == champions[2:][::-1]
    assert len(promotions_of(platform).history()) == 8, "decisions stay"
    promotions_of(platform).rollback("bad lists", "me")
    assert champion_of(platform) == champions[-2]


@pytest.mark.slow
def test_files_go_with_their_version_and_those_of_people_stay(platform: Platform) -> None:
    register(platform)
    run_id, model, large = _trained(platform, "dagster-run")
    _, own_model, own_file = _trained(platform, None)
    later = datetime.now(UTC) + timedelta(days=1)
    versions, models, runs = _remove(platform, later)
    assert len(versions) == 3
    assert (models, runs) == (1, 1)
    assert not model.exists()
    assert not large.exists()
    assert own_model.exists()
    assert own_file.exists()
    assert platform.registry.client.get_run(run_id).data.metrics["ndcg_at_10"] == 0.1, "figures stay"


@pytest.mark.slow
def test_through_mlflows_server_old_versions_go_also_where_a_person_deleted_them_or_their_files(
    platform: Platform,
) -> None:
    settings = platform.settings
    with mlflow_server(settings.mlflow_uri, settings.artifacts) as server:
        first = register(platform)
        runs = [_trained(platform, f"dagster-run-{number}") for number in range(3)]
        people = ModelRegistry.of(settings, server).client
        people.delete_model_version(MODEL_NAME, str(first + 1))
        for path in runs[1][1:]:
            shutil.rmtree(path.parent)
        people.delete_run(runs[2][0])
        through = Promotions(ModelRegistry.of(settings, server), platform.database)
        removed = remove_unneeded(through, datetime.now(UTC) + timedelta(days=1), lambda _: None)
        assert removed.versions == [first, first + 2, first + 3]
        assert (removed.models, removed.runs) == (2, 1)
        assert not any(path.exists() for path in (*runs[0][1:], *runs[1][1:]))
        assert through.registry.versions() == []
        assert remove_unneeded(through, datetime.now(UTC) + timedelta(days=1), lambda _: None).versions == []
    assert _remove(platform, datetime.now(UTC) + timedelta(days=1)) == ([], 0, 0)


@pytest.mark.slow
def test_files_of_a_version_that_stays_are_left_alone(platform: Platform) -> None:
    register(platform)
    _, model, large = _trained(platform, "dagster-run")
    platform.registry.client.set_registered_model_alias(MODEL_NAME, "mine", "2")
    assert _remove(platform, datetime.now(UTC) + timedelta(days=1)) == ([1], 0, 0)
    assert model.exists()
    assert large.exists()
