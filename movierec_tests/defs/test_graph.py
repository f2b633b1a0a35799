"""The graph as it is declared."""

from __future__ import annotations

import re
from importlib import import_module

import pytest
from dagster import AssetsDefinition, load_assets_from_modules

from movierec_assets.definitions import build
from movierec_tests import asset_graph
from movierec_tests.defs.graph import (
    APART,
    BLOCKING,
    GRAPH,
    GROUPS,
    KINDS,
    NOT_BLOCKING,
    OF_MONTHS,
    SERVED,
    TABLES,
    specs,
)


def test_the_graph_holds_these_assets_with_these_dependencies() -> None:
    found = {name: {dep.asset_key.to_user_string() for dep in spec.deps} for name, spec in specs().items()}
    assert found == GRAPH


def test_every_asset_is_in_its_group_and_shows_its_kinds() -> None:
    found = specs()
    assert {group: {n for n, s in found.items() if s.group_name == group} for group in GROUPS} == GROUPS
    assert {name: set(spec.kinds) for name, spec in found.items()} == KINDS


@pytest.mark.parametrize("name", GRAPH)
def test_every_asset_has_an_owner_a_description_and_a_code_version(name: str) -> None:
    spec = specs()[name]
    assert list(spec.owners) in (["team:data-platform"], ["team:recommendations"])
    assert spec.description
    assert len(spec.description) > 30
    assert (spec.code_version or "").isdigit()


@pytest.mark.parametrize("name", [*TABLES, *SERVED])
def test_every_table_declares_its_columns_with_types_and_descriptions(name: str) -> None:
    columns = specs()[name].metadata["dagster/column_schema"].columns
    assert columns
    assert all(column.type and column.description for column in columns)


def test_checks_stand_in_front_of_training_promotion_and_serving() -> None:
    checks = {spec.name: spec for check in build().asset_checks or [] for spec in check.check_specs}
    assert {name for name, spec in checks.items() if spec.blocking} == BLOCKING
    assert {name for name, spec in checks.items() if not spec.blocking} == NOT_BLOCKING | OF_MONTHS
    assert all(spec.description for spec in checks.values())


@pytest.mark.parametrize(
    ("job", "groups"),
    [
        ("refresh", ["ingestion"]),
        ("train", ["preprocessing", "training", "serving"]),
        ("everything", ["ingestion", "preprocessing", "training", "serving"]),
        ("feedback", ["feedback"]),
        ("backtest", ["backtest"]),
    ],
)
def test_a_job_materializes_whole_groups_without_the_search(job: str, groups: list[str]) -> None:
    definition = build().resolve_job_def(job)
    selected = {key.to_user_string() for key in definition.asset_layer.selected_asset_keys}
    assert selected == set().union(*(GROUPS[group] for group in groups)) - (APART - set(GROUPS.get(job, ())))
    assert definition.description


def test_one_module_level_location_holds_jobs_schedules_and_sensors() -> None:
    repository = build().get_repository_def()
    assert {job.name for job in repository.get_all_jobs()} >= {"refresh", "train", "everything", "feedback", "backtest"}
    assert {schedule.name for schedule in repository.schedule_defs} >= {"daily_refresh", "daily_train"}
    assert {sensor.name for sensor in repository.sensor_defs} >= {"dataset_file_sensor", "dead_runs"}


def test_the_page_of_architecture_draws_the_graph_and_lists_its_assets() -> None:
    assert asset_graph.PICTURE.read_text(encoding="utf-8") == asset_graph.draw()
    page = asset_graph.PICTURE.with_name("architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|.*\| (.*) \| `defs/(\w+)\.py` \|$", page, re.M)
    listed = {module: set(re.findall(r"\w+", names)) for names, module in rows}
    assert set().union(*listed.values()) == GRAPH.keys()
    for module, names in listed.items():
        found = load_assets_from_modules([import_module(f"movierec_assets.defs.{module}")])
        assert names <= {
            key.to_user_string() for each in found if isinstance(each, AssetsDefinition) for key in each.keys
        }
