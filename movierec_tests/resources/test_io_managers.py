"""Artifacts through the IO managers, in real materializations on a real directory."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from dagster import (
    AssetsDefinition,
    DagsterInstance,
    ExecuteInProcessResult,
    SourceAsset,
    asset,
    materialize,
)
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scipy.sparse import load_npz

from movierec_assets.models.challenger import Challenger, ChampionFit
from movierec_assets.recsys import als
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.recsys.next_movies import NextMovies
from movierec_assets.recsys.recipe import NextMovie, Recipe
from movierec_assets.resources.io_managers import ArtifactMissingError, NpzStorage, ParquetStorage

_pairs = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 6)),
    st.tuples(st.integers(1, 10).map(lambda halves: halves / 2), st.integers(0, 2**40)),
    max_size=20,
)


def _interactions(pairs: dict[tuple[int, int], tuple[float, int]]) -> Interactions:
    users, movies = np.array(list(pairs), np.int32).reshape(-1, 2).T
    stars, times = np.array(list(pairs.values())).reshape(-1, 2).T
    return Interactions.from_triplets(users, movies, stars, times.astype(np.int64), (5, 7))


@pytest.fixture(scope="module")
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def _through(
    instance: DagsterInstance, base: Path, key: str, obj: Any, kind: type, *, raise_on_error: bool = True
) -> tuple[ExecuteInProcessResult, list[Any]]:
    """Materialize an asset that returns the object, and one that reads it; returns the objects that were read."""
    got: list[Any] = []

    def stored() -> Any:
        return obj

    def reading(stored: Any) -> None:
        got.append(stored)

    stored.__annotations__["return"] = kind
    reading.__annotations__["stored"] = kind
    result = materialize(
        [asset(io_manager_key=key)(stored), asset(io_manager_key=key)(reading)],
        instance=instance,
        resources=_storages(base),
        raise_on_error=raise_on_error,
        selection=["stored", "reading"] if raise_on_error else ["stored"],
    )
    return result, got


def _storages(base: Path) -> dict[str, Any]:
    return {"npz": NpzStorage(base_path=str(base)), "parquet": ParquetStorage(base_path=str(base))}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pairs=_pairs)
def test_a_matrix_comes_back_with_its_stars_and_times(
    instance: DagsterInstance, pairs: dict[tuple[int, int], tuple[float, int]]
) -> None:
    part = _interactions(pairs)
    with tempfile.TemporaryDirectory() as base:
        _, (back,) = _through(instance, Path(base), "npz", part, Interactions)
        assert back.fingerprint() == part.fingerprint()
        assert back.shape == (5, 7)
        np.testing.assert_array_equal(back.stars.toarray(), part.stars.toarray())
        np.testing.assert_array_equal(back.rated_at, part.rated_at)
        assert (load_npz(Path(base) / "stored.npz") != part.stars).nnz == 0, "scipy reads it as well"


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(rows=[(0, -math.nan, None), (1, math.nan, "None")])
@example(rows=[(0, math.nan, None)])
@given(
    rows=st.lists(
        st.tuples(
            st.integers(-(2**31), 2**31 - 1),
            st.floats(width=32),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.none(),
        ),
        max_size=8,
    )
)
def test_a_table_comes_back_with_its_types_and_without_an_index(
    instance: DagsterInstance, rows: list[tuple[Any, ...]]
) -> None:
    frame = pd.DataFrame(rows, columns=["id", "score", "title"], index=range(100, 100 + len(rows)))
    frame = frame.astype({"id": "int32", "score": "float32", "title": "object"})
    with tempfile.TemporaryDirectory() as base:
        _, (back,) = _through(instance, Path(base), "parquet", frame, pd.DataFrame)
    pd.testing.assert_frame_equal(back, frame.reset_index(drop=True))


def _likes_in_order() -> Interactions:
    return _interactions({(user, movie): (4.0, movie) for user in range(5) for movie in range(user, 7)})


def _challenger() -> Challenger:
    recipe = Recipe(alpha=2.5, factors=3, iterations=1)
    fitted = als.fit(_likes_in_order(), recipe)
    return Challenger(7, "run", recipe, fitted, {"split": "abc", "positives": "déf"}, np.arange(5) != 2)


def test_a_challenger_comes_back_with_recipe_and_provenance(instance: DagsterInstance, tmp_path: Path) -> None:
    challenger = _challenger()
    _, (back,) = _through(instance, tmp_path, "npz", challenger, Challenger)
    assert back.unseen.tolist() == [True, True, False, True, True]
    assert (back.version, back.run_id, back.recipe, back.provenance) == (
        7,
        "run",
        challenger.recipe,
        {"split": "abc", "positives": "déf"},
    )
    np.testing.assert_array_equal(back.scored.movies, challenger.scored.movies)
    assert back.scored.next_movies is None


def test_the_next_movie_matrices_of_both_sides_come_back(instance: DagsterInstance, tmp_path: Path) -> None:
    challenger = _challenger()
    matrices = [NextMovies.of(_likes_in_order(), NextMovie(window=window)) for window in (1, 3)]
    assert not _same(*matrices)
    own, beside = (replace(challenger, scored=challenger.scored.with_next(matrix)) for matrix in matrices)
    _, (back,) = _through(instance, tmp_path, "npz", own, Challenger)
    assert _same(back.scored.next_movies, matrices[0])
    both = ChampionFit(3, own.recipe, False, True, own.scored, np.ones(5, dtype=bool), beside)
    _, (fit,) = _through(instance, tmp_path, "npz", both, ChampionFit)
    assert _same(fit.scored.next_movies, matrices[0])
    assert _same(fit.refit.scored.next_movies, matrices[1])
    older = replace(both, scored=challenger.scored)
    _, (fit,) = _through(instance, tmp_path, "npz", older, ChampionFit)
    assert fit.scored.next_movies is None
    assert _same(fit.refit.scored.next_movies, matrices[1])


def _same(one: NextMovies, other: NextMovies) -> bool:
    arrays = other.to_arrays()
    return arrays.keys() == one.to_arrays().keys() and all(
        np.array_equal(array, arrays[name]) for name, array in one.to_arrays().items()
    )


class _Breaks:
    """Fails after its first array is written."""

    def to_arrays(self) -> dict[str, Any]:
        return {"first": np.arange(100_000), "second": _Unwritable()}

    @classmethod
    def from_arrays(cls, arrays: Any) -> _Breaks:
        return cls()


class _Unwritable:
    def __array__(self, *_: Any, **__: Any) -> Any:
        raise OSError("No space left on device")


def test_a_write_that_fails_half_way_leaves_the_old_file_and_no_other(
    instance: DagsterInstance, tmp_path: Path
) -> None:
    _through(instance, tmp_path, "npz", _challenger(), Challenger)
    before = (tmp_path / "stored.npz").read_bytes()
    files = sorted(tmp_path.rglob("*"))
    result, _ = _through(instance, tmp_path, "npz", _Breaks(), _Breaks, raise_on_error=False)
    assert not result.success
    assert (tmp_path / "stored.npz").read_bytes() == before
    assert sorted(tmp_path.rglob("*")) == files


def test_a_table_that_cannot_be_written_leaves_the_old_file_and_no_other(
    instance: DagsterInstance, tmp_path: Path
) -> None:
    _through(instance, tmp_path, "parquet", pd.DataFrame({"a": [1]}), pd.DataFrame)
    files = sorted(tmp_path.rglob("*"))
    mixed = pd.DataFrame({"a": [1, "one", object()]})
    result, _ = _through(instance, tmp_path, "parquet", mixed, pd.DataFrame, raise_on_error=False)
    assert not result.success
    assert pd.read_parquet(tmp_path / "stored.parquet")["a"].tolist() == [1]
    assert sorted(tmp_path.rglob("*")) == files


def test_a_new_object_replaces_the_old_file(instance: DagsterInstance, tmp_path: Path) -> None:
    for value in (1, 2):
        _, (back,) = _through(instance, tmp_path, "parquet", pd.DataFrame({"a": [value]}), pd.DataFrame)
        assert back["a"].tolist() == [value]
    assert [path.name for path in tmp_path.rglob("*.parquet")] == ["stored.parquet"]


@pytest.mark.parametrize(("key", "kind"), [("npz", Interactions), ("parquet", pd.DataFrame)])
def test_a_missing_artifact_is_named_with_what_to_materialize(
    instance: DagsterInstance, tmp_path: Path, key: str, kind: type
) -> None:
    def reading(train_matrix: Any) -> None: ...

    reading.__annotations__["train_matrix"] = kind
    source = SourceAsset("train_matrix", io_manager_key=key)
    consumer: AssetsDefinition = asset(io_manager_key=key)(reading)
    with pytest.raises(ArtifactMissingError, match=r"Materialize train_matrix first, or run the job") as raised:
        materialize([source, consumer], instance=instance, resources=_storages(tmp_path), selection=["reading"])
    assert str(tmp_path / "train_matrix") in str(raised.value)


def test_an_input_without_a_type_is_refused_with_the_remedy(instance: DagsterInstance, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="annotate the input with the class"):
        _through(instance, tmp_path, "npz", ChampionFit.none(3), cast(type, Any))


def test_sizes_and_row_counts_are_metadata(instance: DagsterInstance, tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": np.arange(50_000)})
    result, _ = _through(instance, tmp_path, "parquet", frame, pd.DataFrame)
    event = result.asset_materializations_for_node("stored")[0]
    assert event.metadata["dagster/row_count"].value == 50_000
    assert event.metadata["size_mb"].value == pytest.approx(
        (tmp_path / "stored.parquet").stat().st_size / 1e6, abs=1e-3
    )


def test_artifacts_go_where_the_settings_say(
    instance: DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIEREC_STORAGE_URL", f"file://{tmp_path / 'elsewhere'}")

    def stored() -> pd.DataFrame:
        return pd.DataFrame({"a": [1]})

    materialize([asset(io_manager_key="parquet")(stored)], instance=instance, resources={"parquet": ParquetStorage()})
    assert pd.read_parquet(tmp_path / "elsewhere" / "stored.parquet")["a"].tolist() == [1]
