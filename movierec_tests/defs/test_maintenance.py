"""The weekly maintenance removes what nothing needs, and goes on after a step that failed."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus, instance_for_test
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RemoteInstigatorOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, TickData, TickStatus
from dagster._core.test_utils import create_run_for_test

from movierec_assets.alerts.causes import Cause
from movierec_assets.alerts.storage import update
from movierec_assets.database_urls import DatabaseUrls
from movierec_assets.definitions import build
from movierec_assets.defs.maintenance import old_files, purge_ticks
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import PROVENANCE
from movierec_assets.resources.configurable import RegistryResource
from movierec_assets.settings import Settings
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.insights import write_insight
from movierec_tests.defs.harness import Platform, failures_of, run
from movierec_tests.models.harness import FIRST, carry_out, register

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def _file(path: Path, days: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    at = (NOW - timedelta(days=days)).timestamp()
    for each in (path, path.parent):
        os.utime(each, (at, at))
    return path


def test_old_logs_and_unfinished_files_are_found_and_nothing_else(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    old = [
        _file(tmp_path / "dagster" / "old-run" / "compute_logs" / "a.err", 31).parent.parent,
        _file(tmp_path / "logs" / "everything-20260101-000000-abc.log", 31),
        _file(tmp_path / "storage" / ".train_matrix.npz.0123", 2),
    ]
    os.utime(old[0], ((NOW - timedelta(days=31)).timestamp(),) * 2)
    _file(tmp_path / "dagster" / "young-run" / "compute_logs" / "a.err", 29)
    _file(tmp_path / "logs" / "refresh-20260430-000000-abc.log", 1)
    _file(tmp_path / "logs" / "servers" / "api.log", 400)
    _file(tmp_path / "storage" / ".test_matrix.npz.4567", 0.5)
    _file(tmp_path / "storage" / "train_matrix.npz", 400)
    _file(tmp_path / "mlartifacts" / "models" / "m-1" / "recommender.npz", 400)
    assert sorted(old_files(settings, NOW)) == sorted(old)
    assert list(old_files(Settings(state_dir=tmp_path / "nothing yet"), NOW)) == []
    elsewhere = Settings(state_dir=tmp_path, storage_url="memory://matrices")
    assert sorted(old_files(elsewhere, NOW)) == sorted(old[:2])


def test_ticks_older_than_the_instance_keeps_them_are_removed_also_of_sensors_that_are_gone() -> None:
    retention = {"retention": {"sensor": {"purge_after_days": {"skipped": 3, "success": 30}}}}
    with instance_for_test(overrides=retention) as instance:
        repository = build().get_repository_def()
        assert not repository.has_sensor_def("gone")
        state = InstigatorState(_origin("gone"), InstigatorType.SENSOR, InstigatorStatus.DECLARED_IN_CODE)
        instance.add_instigator_state(state)
        for status, days in ((TickStatus.SKIPPED, 2), (TickStatus.SKIPPED, 4), (TickStatus.SUCCESS, 4)):
            at = (NOW - timedelta(days=days)).timestamp()
            data = TickData(
                *(state.instigator_origin_id, "gone", InstigatorType.SENSOR, status, at),
                run_ids=[] if status is TickStatus.SUCCESS else None,
                selector_id=state.selector_id,
            )
            instance.create_tick(data)
        purge_ticks(instance, NOW)
        left = instance.get_ticks(state.instigator_origin_id, state.selector_id)
        assert sorted((tick.status.value, (NOW.timestamp() - tick.timestamp) / 86400) for tick in left) == [
            ("SKIPPED", 2),
            ("SUCCESS", 4),
        ]


def _origin(name: str) -> RemoteInstigatorOrigin:
    from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin

    return RemoteInstigatorOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__"), name)


def _old_runs(platform: Platform, version: int) -> tuple[list[str], list[str]]:
    """Runs that ended 100 days ago: of which an alert, a version, or a decision about a version tells; and others."""
    with DagsterInstance.get() as instance:
        runs = [create_run_for_test(instance, "train", status=DagsterRunStatus.SUCCESS).run_id for _ in range(6)]
        with Database(DatabaseUrls.libpq(platform.settings.databases.dagster)).transaction() as cursor:
            cursor.execute("UPDATE runs SET update_timestamp = update_timestamp - interval '100 days'")
    of_alert, of_version, of_decision, of_gone_version, _, latest_of_its_job = runs
    cause = Cause("run:als_model", "run", "train failed", "a reason", "a remedy", of_alert, "als_model")
    update(platform.database, [cause], [], NOW)
    platform.registry.set_tag(version, PROVENANCE, json.dumps({"dagster_run_id": of_version}))
    carry_out(platform, version, FIRST, of_decision)
    with platform.database.transaction() as cursor:
        cursor.execute(
            f"""INSERT INTO {SCHEMA}.promotion_decisions
                    (model_version, outcome, promoted, reason, numbers, dagster_run_id, decided_by, state)
                VALUES (%s, 'kept', false, 'Not better.', '{{}}', %s, 'test', 'done')""",
            [version + 100, of_gone_version],
        )
    named = [of_alert, of_version, of_decision, latest_of_its_job]
    return named, [run_id for run_id in runs if run_id not in named]


class _Unreachable(RegistryResource):
    def open(self) -> ModelRegistry:
        raise ConnectionError("MLflow is away")


@pytest.mark.slow
def test_the_job_does_all_its_steps_and_the_others_after_one_that_failed(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIEREC_KEEP_DAYS", "1")
    number = register(platform)
    for version in (number, number + 100):
        write_insight(platform.database, "evaluation", {}, version)
    with platform.database.transaction() as cursor:
        cursor.execute(f"UPDATE {SCHEMA}.insights SET made_at = now() - interval '2 days'")
    named, unnamed = _old_runs(platform, number)
    log = _file(platform.settings.state / "logs" / "refresh-20200101-000000-abc.log", 400)
    done = run("maintenance")
    assert done.success, failures_of(done)
    assert not log.exists()
    assert platform.registry.find(number) is not None, "it is young"
    assert platform.database.rows(f"SELECT version FROM {SCHEMA}.insights") == [(str(number),)]
    with DagsterInstance.get() as instance:
        assert {run_id for run_id in (*named, *unnamed) if instance.has_run(run_id)} == set(named)
    analyzed = "SELECT last_analyze IS NOT NULL FROM pg_stat_user_tables WHERE schemaname = %s AND relname = 'ratings'"
    assert platform.database.scalar(analyzed, [SCHEMA])
    again = run("maintenance", resources={"registry": _Unreachable()})
    assert sorted(failures_of(again)) == ["remove_old_models", "remove_old_runs"]
    assert {event.step_key for event in again.all_events if event.is_step_success} == {
        *("remove_old_files", "remove_old_ticks", "drop_old_days", "vacuum_databases"),
    }
