"""Every consumer refuses artefacts that do not belong together, and its message lists every mismatch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dagster import AssetMaterialization, DagsterInstance

from movierec_assets.defs.provenance import FINGERPRINT, SPLIT, SPLIT_PARTS, fingerprint, record, require_one_split
from movierec_assets.defs.provenance import split_of as joint_of
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.resources.provenance import ProvenanceError, code, libraries, mismatches, refuse
from movierec_tests.defs.harness import RETRAIN, Platform, failures_of, own_platform, run


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def _part(movie: int) -> Interactions:
    return Interactions.from_triplets(np.array([0]), np.array([movie]), np.array([4.0]), np.array([1]), shape=(1, 9))


IDS = pd.DataFrame({"axis": ["user", "movie"], "position": [0, 0], "id": [7, 9]})
PARTS: dict[str, Any] = dict(zip(SPLIT_PARTS, (_part(0), _part(1), _part(2), IDS), strict=True))


def _record(instance: DagsterInstance, split: str, **parts: Any) -> None:
    for name, part in parts.items():
        found: dict[str, Any] = {FINGERPRINT: fingerprint(part), SPLIT: split, "made_from": {"ratings": "abc"}}
        instance.report_runless_asset_event(AssetMaterialization(name, metadata=found))


def _split() -> str:
    return joint_of({name: fingerprint(part) for name, part in PARTS.items()})


def test_parts_of_one_split_pass_with_the_data_they_were_made_from(instance: DagsterInstance) -> None:
    _record(instance, _split(), **PARTS)
    assert require_one_split(instance, "als_model", **PARTS) == (_split(), {"ratings": "abc"})
    two = {name: PARTS[name] for name in SPLIT_PARTS[:2]}
    assert require_one_split(instance, "hyperparameters", **two) == (_split(), {"ratings": "abc"})


def test_every_part_that_is_not_as_recorded_is_listed_with_the_remedy(instance: DagsterInstance) -> None:
    _record(instance, _split(), **PARTS)
    others = PARTS | {"test_matrix": _part(5), "id_maps": IDS.assign(id=[7, 10])}
    with pytest.raises(ProvenanceError) as raised:
        require_one_split(instance, "als_model", **others)
    message = str(raised.value)
    assert message.startswith("als_model was handed matrices that do not belong together")
    for name in ("test_matrix", "id_maps"):
        stored, expected = fingerprint(others[name])[:16], fingerprint(PARTS[name])[:16]
        assert f"  {name}: stored {stored} / expected {expected}" in message
    assert "  train_matrix: " not in message
    assert message.endswith("(job `train`).")


def test_a_part_of_an_earlier_split_is_refused_though_it_is_as_recorded(instance: DagsterInstance) -> None:
    _record(instance, _split(), **PARTS)
    _record(instance, "e" * 64, validation_matrix=PARTS["validation_matrix"])
    for names in (SPLIT_PARTS, SPLIT_PARTS[:2]):
        with pytest.raises(ProvenanceError, match=f"split of validation_matrix: stored {'e' * 16} / expected"):
            require_one_split(instance, "als_model", **{name: PARTS[name] for name in names})


def test_parts_without_a_record_are_refused(instance: DagsterInstance) -> None:
    with pytest.raises(ProvenanceError, match=r"train_matrix: stored [0-9a-f]{16} / expected nothing"):
        require_one_split(instance, "als_model", **PARTS)


def test_stored_values_that_are_not_expected_are_no_mismatch() -> None:
    assert mismatches({"a": "1", "b": "2"}, {"a": "1"}) == []
    refuse("nothing", [], "nothing to do")


def test_code_and_libraries_have_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"python", "implicit", "numpy", "scipy", "mlflow", "dagster"} <= libraries().keys()
    monkeypatch.setenv("MOVIEREC_GIT_COMMIT", "abc123")
    assert code()["git_commit"] == "abc123"
    monkeypatch.delenv("MOVIEREC_GIT_COMMIT")
    assert re.fullmatch("[0-9a-f]{40}(-dirty)?|unknown", code()["git_commit"])


@pytest.fixture(scope="module")
def trained(server_url: str, tmp_path_factory: pytest.TempPathFactory, demo: Path) -> Iterator[Platform]:
    with own_platform(server_url, tmp_path_factory.mktemp("provenance"), demo) as platform:
        assert run().success
        yield platform


@pytest.mark.slow
@pytest.mark.parametrize("consumer", ["als_model", "model_evaluation"])
def test_no_consumer_reads_a_matrix_that_replaced_another(
    trained: Platform, monkeypatch: pytest.MonkeyPatch, consumer: str
) -> None:
    trained.enter(monkeypatch)
    stored = Path(trained.settings.storage) / "validation_matrix.npz"
    kept, versions = stored.read_bytes(), trained.registry.versions()
    stored.write_bytes((stored.parent / "test_matrix.npz").read_bytes())
    try:
        failure = failures_of(run("train", consumer))[consumer]
    finally:
        stored.write_bytes(kept)
    assert "validation_matrix: stored" in failure
    assert "job `train`" in failure
    assert trained.registry.versions() == versions


@pytest.mark.slow
def test_an_evaluation_of_another_challenger_decides_nothing(
    trained: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained.enter(monkeypatch)
    champion = trained.registry.champion().number
    assert run("train", "als_model", config=RETRAIN).success
    failure = failures_of(run("train", "champion_model"))["champion_model"]
    assert f"version that model_evaluation scored: stored {champion} / expected {champion + 1}" in failure
    assert trained.registry.champion().number == champion


@pytest.mark.slow
@pytest.mark.parametrize("name", ["als_model", "model_evaluation"])
def test_a_challenger_and_scores_that_were_changed_in_the_storage_decide_nothing(
    trained: Platform, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    trained.enter(monkeypatch)
    (stored,) = Path(trained.settings.storage).glob(f"{name}.*")
    kept = stored.read_bytes()
    if name == "als_model":
        with np.load(stored) as arrays:
            changed = {**arrays, "movie_factors": arrays["movie_factors"][::-1]}
        with stored.open("wb") as file:
            np.savez(file, **changed)
    else:
        pd.read_parquet(stored).assign(ndcg_at_10=0.9).to_parquet(stored, index=False)
    before = trained.registry.champion().number
    try:
        failure = failures_of(run("train", "champion_model"))["champion_model"]
    finally:
        stored.write_bytes(kept)
    assert f"was handed another {name} than was recorded" in failure
    assert trained.registry.champion().number == before


@pytest.mark.slow
def test_a_damaged_file_is_named_with_the_remedy(trained: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    trained.enter(monkeypatch)
    stored = Path(trained.settings.storage) / "train_matrix.npz"
    kept = stored.read_bytes()
    stored.write_bytes(kept[: len(kept) // 2])
    try:
        result = run("train", "als_model")
    finally:
        stored.write_bytes(kept)
    errors = "\n".join(str(event.step_failure_data.error) for event in result.all_events if event.is_step_failure)
    assert "train_matrix.npz is damaged" in errors
    assert "materialize train_matrix again" in errors


@pytest.mark.slow
def test_a_new_registry_is_not_mistaken_for_the_old_one(trained: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    trained.enter(monkeypatch)
    assert run("train").success
    with DagsterInstance.get() as instance:
        number = str(record(instance, "als_model")["model_version"])
    client = trained.registry.client
    client.set_model_version_tag("movierec-als", number, "positives_fingerprint", "f" * 64)
    failure = failures_of(run("train", "champion_model"))["champion_model"]
    assert f"positives of the registered version: stored {'f' * 16} / expected" in failure
