"""Artifacts that do not belong together are refused to every asset that reads them, whatever the asset does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dagster import AssetIn, AssetsDefinition, DagsterInstance, Output, asset, materialize

from movierec_assets.defs import next_movies
from movierec_assets.models.recipes import record_search
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.recipe import NO_NEXT_MOVIE, NextMovie, Recipe
from movierec_assets.resources.io_managers import NpzStorage, ParquetStorage
from movierec_assets.resources.provenance import (
    FINGERPRINT,
    SPLIT,
    SPLIT_PARTS,
    ProvenanceError,
    fingerprint,
    mismatches,
    record,
    refuse,
    split_of,
)
from movierec_assets.tables.known_datasets import loaded_dataset
from movierec_tests.defs.harness import RETRAIN, Platform, failures_of, metadata_of, run
from movierec_tests.first_day import FirstDay


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def _part(movie: int) -> Interactions:
    return Interactions.from_triplets(np.array([0]), np.array([movie]), np.array([4.0]), np.array([1]), shape=(1, 9))


IDS = pd.DataFrame({"axis": ["user", "movie"], "position": [0, 0], "id": [7, 9]})
PARTS: dict[str, Any] = dict(zip(SPLIT_PARTS, (_part(0), _part(1), _part(2), IDS), strict=True))
OTHERS: dict[str, Any] = PARTS | {"test_matrix": _part(5), "id_maps": IDS.assign(id=[7, 10])}
THE_SPLIT = split_of({name: fingerprint(part) for name, part in PARTS.items()})


def _materialize(instance: DagsterInstance, base: Path, *assets: AssetsDefinition, only: Iterable[str]) -> None:
    storages = {"npz": NpzStorage(base_path=str(base)), "parquet": ParquetStorage(base_path=str(base))}
    materialize(list(assets), instance=instance, resources=storages, selection=list(only))


def _storing(name: str, content: Any, split: str | None) -> AssetsDefinition:
    def stored() -> Any:
        return Output(content, metadata={SPLIT: split} if split else {})

    stored.__annotations__["return"] = Output[type(content)]  # type: ignore[misc]
    return asset(name=name, io_manager_key="parquet" if isinstance(content, pd.DataFrame) else "npz")(stored)


def _store(instance: DagsterInstance, base: Path, split: str | None = THE_SPLIT, **contents: Any) -> None:
    assets = [_storing(name, content, split) for name, content in contents.items()]
    _materialize(instance, base, *assets, only=contents)


def _read(instance: DagsterInstance, base: Path, *names: str) -> dict[str, Any]:
    """The inputs that an asset gets which calls no check."""
    got: dict[str, Any] = {}

    @asset(ins={name: AssetIn(dagster_type=type(PARTS[name])) for name in names})
    def reader(**inputs: Any) -> None:
        got.update(inputs)

    _materialize(instance, base, *(_storing(name, PARTS[name], None) for name in names), reader, only=["reader"])
    return got


def _put(base: Path, name: str, content: Any) -> None:
    """Change a stored artifact behind Dagster's back."""
    if isinstance(content, pd.DataFrame):
        content.to_parquet(base / f"{name}.parquet", index=False)
    else:
        np.savez(base / f"{name}.npz", **content.to_arrays())


def test_parts_of_one_split_are_read(instance: DagsterInstance, tmp_path: Path) -> None:
    _store(instance, tmp_path, **PARTS)
    for names in (SPLIT_PARTS, SPLIT_PARTS[:2]):
        got = _read(instance, tmp_path, *names)
        assert {name: fingerprint(part) for name, part in got.items()} == {
            name: fingerprint(PARTS[name]) for name in names
        }
    assert record(instance, "id_maps")[FINGERPRINT] == fingerprint(IDS)


@pytest.mark.parametrize("name", ["test_matrix", "id_maps"])
def test_an_asset_without_a_check_is_refused_a_part_that_is_not_as_recorded(
    instance: DagsterInstance, tmp_path: Path, name: str
) -> None:
    _store(instance, tmp_path, **PARTS)
    _put(tmp_path, name, OTHERS[name])
    with pytest.raises(ProvenanceError) as raised:
        _read(instance, tmp_path, *SPLIT_PARTS)
    stored, expected = fingerprint(OTHERS[name])[:16], fingerprint(PARTS[name])[:16]
    assert str(raised.value).splitlines() == [
        f"reader was handed another {name} than was recorded:",
        f"  {name}: stored {stored} / expected {expected}",
        f"Materialize {name} again and what follows it (job `train`).",
    ]


def test_a_part_of_an_earlier_split_is_refused_though_it_is_as_recorded(
    instance: DagsterInstance, tmp_path: Path
) -> None:
    _store(instance, tmp_path, **PARTS)
    _store(instance, tmp_path, split="e" * 64, validation_matrix=PARTS["validation_matrix"])
    for names in (SPLIT_PARTS, SPLIT_PARTS[:2]):
        with pytest.raises(ProvenanceError) as raised:
            _read(instance, tmp_path, *names)
        assert str(raised.value).splitlines() == [
            "reader was handed artifacts that do not belong together:",
            f"  split of validation_matrix: stored {'e' * 16} / expected {THE_SPLIT[:16]}",
            "Materialize validation_matrix again and what follows it (job `train`).",
        ]
    assert _read(instance, tmp_path, "train_matrix").keys() == {"train_matrix"}


def test_every_part_of_an_earlier_split_is_listed(instance: DagsterInstance, tmp_path: Path) -> None:
    _store(instance, tmp_path, **PARTS)
    _store(instance, tmp_path, split="e" * 64, **{name: PARTS[name] for name in SPLIT_PARTS[1:3]})
    with pytest.raises(ProvenanceError) as raised:
        _read(instance, tmp_path, *SPLIT_PARTS)
    for name in SPLIT_PARTS[1:3]:
        assert f"  split of {name}: stored {'e' * 16} / expected {THE_SPLIT[:16]}" in str(raised.value)
    assert "split of train_matrix" not in str(raised.value)
    assert str(raised.value).endswith("(job `train`).")


def test_parts_that_nobody_recorded_are_refused(instance: DagsterInstance, tmp_path: Path) -> None:
    _put(tmp_path, "train_matrix", PARTS["train_matrix"])
    with pytest.raises(ProvenanceError, match=r"train_matrix: stored [0-9a-f]{16} / expected nothing"):
        _read(instance, tmp_path, "train_matrix")


def test_stored_values_beside_the_expected_ones_do_no_harm() -> None:
    assert mismatches({"a": "1", "b": "2"}, {"a": "1"}) == []
    refuse("nothing", [], "nothing to do")


@pytest.fixture(scope="module")
def trained(first_day: FirstDay, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with first_day.copied(tmp_path_factory.mktemp("provenance")) as platform:
        yield platform


@pytest.mark.slow
@pytest.mark.parametrize("consumer", ["als_model", "model_evaluation"])
def test_no_asset_reads_a_matrix_that_was_replaced_by_another(
    trained: Platform, monkeypatch: pytest.MonkeyPatch, consumer: str
) -> None:
    trained.enter(monkeypatch)
    stored = Path(trained.settings.storage) / "validation_matrix.npz"
    kept, versions = stored.read_bytes(), trained.registry.versions()
    stored.write_bytes((stored.parent / "test_matrix.npz").read_bytes())
    try:
        message = failures_of(run("train", consumer))[consumer]
    finally:
        stored.write_bytes(kept)
    assert "validation_matrix: stored" in message
    assert "job `train`" in message
    assert trained.registry.versions() == versions


@pytest.mark.slow
def test_an_evaluation_of_another_challenger_decides_nothing(
    trained: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained.enter(monkeypatch)
    champion = trained.champion().number
    assert run("train", "als_model", config=RETRAIN).success
    message = failures_of(run("train", "champion_model"))["champion_model"]
    assert f"version that model_evaluation scored: stored {champion} / expected {champion + 1}" in message
    assert trained.champion().number == champion


@pytest.mark.slow
@pytest.mark.parametrize("name", ["als_model", "model_evaluation"])
def test_a_challenger_or_scores_that_were_changed_in_the_storage_decide_nothing(
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
    before = trained.champion().number
    try:
        message = failures_of(run("train", "champion_model"))["champion_model"]
    finally:
        stored.write_bytes(kept)
    assert f"was handed another {name} than was recorded" in message
    assert trained.champion().number == before


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
    message = "\n".join(str(event.step_failure_data.error) for event in result.all_events if event.is_step_failure)
    assert "train_matrix.npz is damaged" in message
    assert "materialize train_matrix again" in message


@pytest.mark.slow
def test_another_version_of_the_same_number_in_the_registry_is_refused(
    trained: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained.enter(monkeypatch)
    assert run("train").success
    with DagsterInstance.get() as instance:
        number = str(record(instance, "als_model")["model_version"])
    client = trained.registry.client
    client.set_model_version_tag("movierec-als", number, "positives_fingerprint", "f" * 64)
    message = failures_of(run("train", "champion_model"))["champion_model"]
    assert f"positives of the registered version: stored {'f' * 16} / expected" in message


@pytest.mark.slow
def test_a_model_counts_again_for_the_recipe_of_a_newer_search_and_takes_no_next_movies_of_another_split(
    trained: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained.enter(monkeypatch)
    assert run("train", "next_movies").success
    dataset = loaded_dataset(trained.database)
    counted = _transitions(trained, "next_movies", "scored_next_data")

    def trained_with(signal: NextMovie) -> int | None:
        record_search(trained.database, Recipe(next_movie=signal), {}, "test", dataset, 4.0)
        result = run("train", "als_model", "champion_refit")
        assert result.success, failures_of(result)
        # The champion has the built-in recipe.
        assert _transitions(trained, "champion_refit", "next_data") == counted
        return _transitions(trained, "als_model", "next_data")

    with monkeypatch.context() as patch:
        patch.setattr(next_movies, "count", None)
        assert trained_with(NextMovie(weight=0.5)) == counted
        assert trained_with(NO_NEXT_MOVIE) is None
    fewer = trained_with(NextMovie(window=1))
    assert fewer is not None
    assert counted is not None
    assert fewer < counted

    record_search(trained.database, Recipe(next_movie=NO_NEXT_MOVIE), {}, "test", dataset, 4.0)
    shown = metadata_of(run("train", "next_movies"))["next_movies"]
    assert (shown["recipe_source"], shown["transitions"]) == ("search 4", 0)
    assert "no next-movie signal" in shown["note"]

    monkeypatch.setenv("MOVIEREC_POSITIVE_THRESHOLD", "4.5")
    assert run("train", "positive_ratings", *SPLIT_PARTS).success
    message = failures_of(run("train", "als_model"))["als_model"]
    assert "split of next_movies: stored" in message
    assert "Materialize next_movies again" in message


def _transitions(platform: Platform, name: str, data: str) -> int | None:
    """Number of transitions in a stored artifact; None without a matrix."""
    with np.load(f"{platform.settings.storage}/{name}.npz") as arrays:
        return len(arrays[data]) if data in arrays else None
