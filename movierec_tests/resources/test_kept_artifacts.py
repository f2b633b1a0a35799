"""Artifacts are handed on in memory only while they are what their file holds, and nobody can change them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dagster import AssetsDefinition, DagsterInstance, asset, materialize
from upath import UPath

from movierec_assets.recsys.interactions import Interactions
from movierec_assets.resources import kept_artifacts
from movierec_assets.resources.io_managers import NpzStorage, ParquetStorage
from movierec_assets.resources.kept_artifacts import Kept, keep, keeping, signature_of, take


def _interactions() -> Interactions:
    return Interactions.from_triplets(
        np.array([0, 1]), np.array([1, 0]), np.array([4.0, 5.0]), np.array([10, 20]), (2, 2)
    )


def _kept(path: UPath, size: int = 8) -> Kept:
    path.touch()
    kept = Kept("artifact", "fingerprint", signature_of(path), size)
    keep("asset", path, kept, {"values": np.zeros(1)})
    return kept


def test_an_artifact_is_handed_on_as_long_as_its_file_and_its_run_last(tmp_path: Path) -> None:
    path = UPath(tmp_path / "a.npz")
    _kept(path)
    assert take("asset", path, str) is None, "no run goes on"
    with keeping({"asset": 9}):
        kept = _kept(path)
        assert take("asset", path, str) is kept
        assert take("asset", path, int) is None, "another class"
        with keeping({"asset": 9}):
            assert take("asset", path, str) is None, "of another run"
        assert take("asset", path, str) is kept
        beside = tmp_path / "beside"
        beside.touch()
        os.replace(beside, path.path)
        assert take("asset", path, str) is None, "somebody replaced the file"


def test_an_artifact_is_kept_until_the_last_step_that_reads_it(tmp_path: Path) -> None:
    path = UPath(tmp_path / "a.npz")
    with keeping({"asset": 2}):
        kept = _kept(path)
        assert [take("asset", path, str) for _ in range(3)] == [kept, kept, None], (
            "the third is a step that is repeated"
        )
        assert _kept(path).artifact == "artifact"
        assert take("asset", path, str) is None
    with keeping({"another": 1}):
        _kept(path)
        assert take("asset", path, str) is None, "no step reads it"


def test_what_has_no_room_is_not_kept(tmp_path: Path) -> None:
    first, second = UPath(tmp_path / "1"), UPath(tmp_path / "2")
    with keeping({"asset": 9}):
        kept = _kept(first, kept_artifacts.MAX_BYTES)
        _kept(second, 1)
        assert take("asset", first, str) is kept
        assert take("asset", second, str) is None
        assert _kept(first, kept_artifacts.MAX_BYTES) is take("asset", first, str), "it takes the place of itself"


def test_artifacts_of_another_storage_and_those_that_may_read_back_differently_are_not_kept(tmp_path: Path) -> None:
    path = UPath(tmp_path / "a")
    path.touch()
    with keeping({"asset": 9}):
        keep("asset", path, Kept("artifact", "fingerprint", None, 8), {"values": np.zeros(1)})
        keep("asset", path, Kept("artifact", "fingerprint", signature_of(path), 8), None)
        assert take("asset", path, str) is None
    assert signature_of(UPath("memory://a")) is None


@pytest.mark.parametrize("text", [False, True])
def test_a_step_gets_the_object_of_the_step_before_and_another_run_reads_the_file(tmp_path: Path, text: bool) -> None:
    frame = pd.DataFrame({"user_id": np.array([1, 2], np.int32)} | ({"title": ["a", None]} if text else {}))
    matrix = _interactions()
    got: list[Any] = []

    @asset(io_manager_key="npz")
    def written() -> Interactions:
        return matrix

    @asset(io_manager_key="parquet")
    def table() -> pd.DataFrame:
        return frame

    @asset
    def reading(written: Interactions, table: pd.DataFrame) -> None:
        got.append((written, table))
        table["added"] = 1

    assets: list[AssetsDefinition] = [written, table, reading]
    storages = {"npz": NpzStorage(base_path=str(tmp_path)), "parquet": ParquetStorage(base_path=str(tmp_path))}
    with DagsterInstance.ephemeral() as instance:
        with keeping({"written": 2, "table": 2}):
            materialize(assets, instance=instance, resources=storages)
            materialize(assets, instance=instance, resources=storages, selection=[reading])
        materialize(assets, instance=instance, resources=storages, selection=[reading])
    (first, of_first), (second, of_second), (third, of_third) = got
    assert first is matrix
    assert second is matrix
    assert third is not matrix
    assert third.fingerprint() == matrix.fingerprint()
    for each in (of_first, of_second, of_third):
        pd.testing.assert_frame_equal(each.drop(columns="added"), frame)
    assert np.shares_memory(of_second["user_id"].to_numpy(), frame["user_id"].to_numpy()) != text
    assert "added" not in frame
    with pytest.raises(ValueError, match="read-only"):
        matrix.rated_at[0] = 0
