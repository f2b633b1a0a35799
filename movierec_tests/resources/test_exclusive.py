"""One run at a time, and the end of runs whose process is gone."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from functools import partial
from typing import cast

import pytest
from dagster import DagsterInstance, DagsterRunStatus, SkipReason, build_sensor_context
from dagster._core.utils import make_new_run_id

from movierec_assets.definitions import build
from movierec_assets.defs.automation import dead_runs
from movierec_assets.models.errors import RegistryUnavailableError
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.resources import exclusive
from movierec_assets.resources.configurable import PostgresResource, RegistryResource
from movierec_assets.settings import Settings
from movierec_assets.tables.database import SCHEMA, Database
from movierec_tests.waiting import PATIENCE, wait_until


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


# Postgres is restarted under a run: its sessions end, and new ones are answered.


def end_sessions(database: Database) -> None:
    """End all other sessions of a database, as a restart of its server does."""
    database.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def is_taken(database: Database, name: str = "run") -> bool:
    """Whether a session holds a lock; it is not taken to find out, because a run would see that as another run."""
    held = "locktype = 'advisory' AND granted AND (classid::bigint << 32 | objid::bigint) = hashtextextended(%s, 0)"
    return bool(database.scalar(f"SELECT count(*) FROM pg_locks WHERE {held}", [f"{SCHEMA}.{name}"]))


def test_a_run_takes_its_locks_again_after_a_restart_of_postgres(database: Database) -> None:
    with exclusive.exclusive_run(database, "one", lambda: None) as locks:
        assert not locks.interrupted()
        for _ in range(3):
            end_sessions(database)
            for name in ("run", "run.one"):
                wait_until(lambda name=name: is_taken(database, name), f"the lock {name}")  # type: ignore[misc]
            locks.require()
        assert locks.interrupted()
    assert not is_taken(database)
    assert not is_taken(database, "run.one")


def test_a_run_stops_when_another_one_began_after_a_restart_of_postgres(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exclusive, "_LOOK_SECONDS", 1.0)  # the other one is faster
    with exclusive.exclusive_run(database, "one", lambda: None) as locks:
        end_sessions(database)
        with database.connect() as other:
            other.autocommit = True
            assert exclusive._try_lock(other, "run")
            wait_until(lambda: locks._lost, "the loss")
            with pytest.raises(exclusive.LocksLostError, match="another run began"):
                locks.require()
            assert not is_taken(database, "run.one"), "it counts as dead when its process ends"


def test_a_run_that_waits_leaves_the_lock_to_the_one_that_executes_when_postgres_is_restarted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exclusive, "_HEAD_START_SECONDS", 2.0)
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with exclusive.exclusive_run(database, "second", waiting.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with exclusive.exclusive_run(database, "first", lambda: None) as locks:
        thread.start()
        assert waiting.wait(PATIENCE)
        end_sessions(database)
        wait_until(lambda: is_taken(database, "run.second"), "the second's new session")
        order.append("first")
        locks.require()
    thread.join(PATIENCE)
    assert order == ["first", "second"]


@pytest.fixture
def started(platform_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> tuple[DagsterInstance, str]:
    """A run that is started in Dagster, without a process."""
    monkeypatch.setattr(exclusive, "_GRACE_SECONDS", -3600.0)  # old enough, even if the clocks differ
    monkeypatch.setattr(exclusive, "_CONFIRM_SECONDS", 0.0)
    instance = DagsterInstance.get()
    job = build().resolve_job_def("refresh")
    run = instance.create_run_for_job(job, run_id=make_new_run_id(), status=DagsterRunStatus.STARTED)
    return instance, run.run_id


def end_dead_runs(instance: DagsterInstance, settings: Settings) -> list[str]:
    return exclusive.end_dead_runs(instance, Database(settings.databases.ratings))


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


def test_a_run_whose_session_ended_just_now_is_left_alone(
    started: tuple[DagsterInstance, str], platform_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance, run_id = started
    database = Database(platform_settings.databases.ratings)
    monkeypatch.setattr(exclusive, "_LOOK_SECONDS", 2.0)
    again = partial(wait_until, lambda: is_taken(database, f"run.{run_id}"), "the lock, again")
    monkeypatch.setattr(exclusive, "_wait_for_locks", again)
    with instance, exclusive.exclusive_run(database, run_id, lambda: None):
        end_sessions(database)
        assert end_dead_runs(instance, platform_settings) == []


def test_a_run_that_died_before_the_clock_was_set_back_is_marked_failed(
    started: tuple[DagsterInstance, str], platform_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance, run_id = started
    monkeypatch.setattr(exclusive, "_GRACE_SECONDS", 30.0)
    database = Database(platform_settings.databases.ratings)
    with instance:
        assert exclusive.end_dead_runs(instance, database, datetime(2001, 1, 1, tzinfo=UTC)) == [run_id]


def test_an_mlflow_run_ends_after_its_dagster_run_although_mlflow_was_away_then(
    started: tuple[DagsterInstance, str], platform_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance, run_id = started
    registry = ModelRegistry.of(platform_settings)
    experiment = registry.ensure_experiment()

    def started_by(tags: dict[str, str]) -> str:
        return str(registry.client.create_run(experiment, tags=tags).info.run_id)

    def status(mlflow_run: str) -> str:
        return str(registry.client.get_run(mlflow_run).info.status)

    def tick() -> str:
        context = build_sensor_context(instance)
        skipped = dead_runs(context, postgres=PostgresResource(), registry=RegistryResource())
        return str(cast("SkipReason", skipped).skip_message)

    own, elsewhere, search = (
        started_by({"dagster_run_id": run_id}),
        started_by({"dagster_run_id": "x"}),
        started_by({}),
    )
    with instance:
        exclusive.end_left_mlflow_runs(instance, registry)
        assert (status(own), status(elsewhere)) == ("RUNNING", "RUNNING")
        with monkeypatch.context() as away:
            away.setattr(RegistryResource, "open", _unavailable)
            with pytest.raises(RegistryUnavailableError):
                tick()
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status == DagsterRunStatus.FAILURE
        assert status(own) == "RUNNING"
        assert own in tick()
        assert status(own) == "FAILED"
        assert "Ended" not in tick()
    assert status(search) == "RUNNING", "no step of a run started it"
    assert status(elsewhere) == "RUNNING", "its Dagster may be another one, with the same MLflow server"


def _unavailable(_: RegistryResource) -> ModelRegistry:
    raise RegistryUnavailableError("MLflow is away")
