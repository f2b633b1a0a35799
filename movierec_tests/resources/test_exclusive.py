"""One run at a time, and the end of runs whose process is gone."""

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


def test_a_second_run_waits_for_the_first_and_reports_it_once(database: Database) -> None:
    order: list[str] = []
    first_holds_it, waiting = threading.Event(), threading.Event()

    def second() -> None:
        assert first_holds_it.wait(PATIENCE)
        with exclusive.exclusive_run(database, "second", waiting.set):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with exclusive.exclusive_run(database, "first", lambda: order.append("first waited")):
        first_holds_it.set()
        assert waiting.wait(PATIENCE)
        time.sleep(0.2)  # time in which the second could start
        order.append("first")
    thread.join(PATIENCE)
    assert order == ["first", "second"]


def test_an_exception_releases_the_lock(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), exclusive.exclusive_run(database, "one", lambda: None):
        _ = 1 / 0
    with exclusive.exclusive_run(database, "two", lambda: pytest.fail("no run holds the lock")):
        pass


@pytest.fixture
def started(platform_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> tuple[DagsterInstance, str]:
    """A run that is started in Dagster, without a process."""
    monkeypatch.setattr(exclusive, "_GRACE_SECONDS", -3600.0)  # old enough, even if the clocks differ
    instance = DagsterInstance.get()
    job = build().resolve_job_def("refresh")
    run = instance.create_run_for_job(job, run_id=make_new_run_id(), status=DagsterRunStatus.STARTED)
    return instance, run.run_id


def end_dead_runs(instance: DagsterInstance, settings: Settings) -> list[str]:
    registry = ModelRegistry.of(settings)
    return exclusive.end_dead_runs(instance, Database(settings.databases.ratings), registry)


def test_a_started_run_without_a_process_is_marked_failed_once(
    started: tuple[DagsterInstance, str], platform_settings: Settings
) -> None:
    instance, run_id = started
    with instance:
        assert end_dead_runs(instance, platform_settings) == [run_id]
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status == DagsterRunStatus.FAILURE
        assert end_dead_runs(instance, platform_settings) == []


def test_a_run_that_executes_or_waits_is_left_alone(
    started: tuple[DagsterInstance, str], platform_settings: Settings
) -> None:
    instance, run_id = started
    with instance, exclusive.exclusive_run(Database(platform_settings.databases.ratings), run_id, lambda: None):
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
