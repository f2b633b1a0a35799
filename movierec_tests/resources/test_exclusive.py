"""Runs take turns, and a run whose process is gone does not stay started."""

from __future__ import annotations

import threading
import time

import pytest
from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.utils import make_new_run_id

from movierec_assets.definitions import build
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.resources import exclusive
from movierec_assets.settings import Settings
from movierec_assets.tables.database import Database
from movierec_tests.waiting import PATIENCE


def test_a_second_run_waits_for_the_first_and_says_so_once(database: Database) -> None:
    order: list[str] = []
    first_has_it, waiting = threading.Event(), threading.Event()

    def second() -> None:
        assert first_has_it.wait(PATIENCE)
        with exclusive.turn(database, "second", waiting.set):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with exclusive.turn(database, "first", lambda: order.append("first waited")):
        first_has_it.set()
        assert waiting.wait(PATIENCE)
        time.sleep(0.2)  # time for the second to go ahead, were it let
        order.append("first")
    thread.join(PATIENCE)
    assert order == ["first", "second"]


def test_a_turn_ends_with_an_exception(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), exclusive.turn(database, "one", lambda: None):
        _ = 1 / 0
    with exclusive.turn(database, "two", lambda: pytest.fail("nobody has the turn")):
        pass


@pytest.fixture
def started(platform_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> tuple[DagsterInstance, str]:
    """A run that Dagster takes for running."""
    monkeypatch.setattr(exclusive, "_GRACE_SECONDS", -3600.0)  # old enough, whatever the clocks of both say
    instance = DagsterInstance.get()
    job = build().resolve_job_def("refresh")
    run = instance.create_run_for_job(job, run_id=make_new_run_id(), status=DagsterRunStatus.STARTED)
    return instance, run.run_id


def end_dead_runs(instance: DagsterInstance, settings: Settings) -> list[str]:
    registry = ModelRegistry.of(settings)
    return exclusive.end_dead_runs(instance, Database(settings.databases.ratings), registry)


def test_a_started_run_that_nobody_executes_is_marked_failed_once(
    started: tuple[DagsterInstance, str], platform_settings: Settings
) -> None:
    instance, run_id = started
    with instance:
        assert end_dead_runs(instance, platform_settings) == [run_id]
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status == DagsterRunStatus.FAILURE
        assert end_dead_runs(instance, platform_settings) == []


def test_a_run_that_is_executed_or_waits_for_its_turn_is_left_alone(
    started: tuple[DagsterInstance, str], platform_settings: Settings
) -> None:
    instance, run_id = started
    with instance, exclusive.turn(Database(platform_settings.databases.ratings), run_id, lambda: None):
        assert end_dead_runs(instance, platform_settings) == []
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status == DagsterRunStatus.STARTED


def test_the_mlflow_run_of_a_dead_run_is_marked_failed_with_it(
    started: tuple[DagsterInstance, str], platform_settings: Settings
) -> None:
    instance, run_id = started
    registry = ModelRegistry.of(platform_settings)
    mlflow_run = registry.client.create_run(registry.ensure_experiment(), tags={"dagster_run_id": run_id}).info.run_id
    with instance:
        end_dead_runs(instance, platform_settings)
    assert registry.client.get_run(mlflow_run).info.status == "FAILED"
