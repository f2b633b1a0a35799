"""What Dagster's UI shows beside the figures: lineage of columns, links to code, and history."""

from __future__ import annotations

from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from dagster import AssetMaterialization, DagsterInstance

from movierec_assets.defs.column_lineage import LINEAGE, column_lineage
from movierec_assets.defs.metric_history import SHOWN, drawn, figures_before
from movierec_tests.defs.graph import GRAPH, SERVED, TABLES, specs
from movierec_tests.test_house import PACKAGE

NAMES = {"challenger": "ndcg", "champion": "champion_ndcg"}


def upstream_of(asset: str) -> set[str]:
    found = set(GRAPH[asset])
    for name in reversed([*TopologicalSorter(GRAPH).static_order()]):
        found |= GRAPH[name] if name in found else set()
    return found


@pytest.mark.parametrize("asset", LINEAGE)
def test_each_column_is_made_from_columns_of_assets_before_it(asset: str) -> None:
    known = specs()
    columns = {
        name: {c.name for c in known[name].metadata["dagster/column_schema"].columns} for name in TABLES + SERVED
    }
    found = column_lineage(asset)["dagster/column_lineage"].deps_by_column
    assert found.keys() <= columns[asset]
    for deps in found.values():
        assert deps
        for dep in deps:
            source = dep.asset_key.to_user_string()
            assert source in upstream_of(asset)
            assert dep.column_name in columns[source]


def test_every_table_of_the_platform_has_a_lineage() -> None:
    apart = {"raw_movies", "return_evaluation", "model_evaluation"}  # from files; scores of users and rankers
    assert set(LINEAGE) == {*TABLES, *SERVED} - apart


@pytest.mark.parametrize("asset", GRAPH)
def test_every_asset_leads_to_its_function(asset: str) -> None:
    (reference,) = specs()[asset].metadata["dagster/code_references"].code_references
    file = Path(reference.file_path)
    assert file.parent == PACKAGE / "defs"
    assert file.read_text(encoding="utf-8").splitlines()[reference.line_number - 1].startswith("@")


def record(instance: DagsterInstance, dataset: str, **figures: float | str) -> None:
    instance.report_runless_asset_event(AssetMaterialization("scores", metadata={"dataset": dataset, **figures}))


def test_history_has_the_figures_of_the_same_dataset_oldest_first() -> None:
    with DagsterInstance.ephemeral() as instance:
        record(instance, "films", ndcg=0.1)
        record(instance, "others", ndcg=0.9, champion_ndcg=0.9)
        record(instance, "films", ndcg=0.2, champion_ndcg=0.1)
        record(instance, "films", ndcg="none yet")
        instance.report_runless_asset_event(AssetMaterialization("scores", metadata={"ndcg": 0.8}))
        found = figures_before(instance, "scores", NAMES, ("dataset", "films"))
    assert [figures for _, figures in found] == [{"challenger": 0.1}, {"challenger": 0.2, "champion": 0.1}, {}]
    assert [at for at, _ in found] == sorted(at for at, _ in found)
    assert "data:image/png" in str(drawn(found, "NDCG@10", "NDCG@10").value)


def test_a_long_history_is_cut_at_its_beginning() -> None:
    with DagsterInstance.ephemeral() as instance:
        for number in range(SHOWN + 5):
            record(instance, "films", ndcg=number)
        found = figures_before(instance, "scores", NAMES, ("dataset", "films"))
    assert [figures["challenger"] for _, figures in found] == [*range(6, SHOWN + 5)]
