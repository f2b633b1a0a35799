"""What starts by itself: schedules, their switch, and the limits of the runs that they start."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    RunRequest,
    build_schedule_context,
)
from dagster._core.execution.retries import auto_reexecution_should_retry_run

from movierec_assets.definitions import build
from movierec_assets.defs.attempts import PAUSE, unfinished_runs
from movierec_assets.defs.automation import schedules
from movierec_assets.defs.run_limits import DAY_TAG, MAX_RETRIES, MAX_RUNTIME, POOL
from movierec_assets.settings import PROJECT_ROOT
from movierec_tests.defs.watch import launched

SCHEDULES = {
    "daily_feedback": ("feedback", "30 1 * * *"),
    "daily_refresh": ("refresh", "55 1 * * *"),
    "daily_train": ("train", "0 2 * * *"),
    "weekly_search": ("search", "0 3 * * 0"),
    "daily_backup": ("backup", "0 4 * * *"),
    "weekly_maintenance": ("maintenance", "30 5 * * 0"),
    "monthly_backtest": ("backtest", "0 6 1 * *"),
}
BY_HAND = {"promote_version", "rollback_champion"}


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def _statuses() -> set[Any]:
    repository = build().get_repository_def()
    found: set[Any] = {each.default_status for each in repository.schedule_defs}
    return found | {each.default_status for each in repository.sensor_defs}


def test_one_setting_switches_all_schedules_and_sensors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _statuses() == {DefaultScheduleStatus.STOPPED, DefaultSensorStatus.STOPPED}
    monkeypatch.setenv("MOVIEREC_AUTOMATION", "true")
    assert _statuses() == {DefaultScheduleStatus.RUNNING, DefaultSensorStatus.RUNNING}
    monkeypatch.delenv("MOVIEREC_AUTOMATION")
    assert _statuses() == {DefaultScheduleStatus.STOPPED, DefaultSensorStatus.STOPPED}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_starts_its_job(name: str, instance: DagsterInstance) -> None:
    schedule = build().resolve_schedule_def(name)
    assert (schedule.job_name, schedule.cron_schedule) == SCHEDULES[name]
    if name in ("daily_train", "monthly_backtest"):
        return  # they ask for more than the time
    context = build_schedule_context(instance=instance, scheduled_execution_time=datetime(2026, 1, 1, 2, tzinfo=UTC))
    (request,) = schedule.evaluate_tick(context).run_requests or []
    assert isinstance(request, RunRequest)
    assert request.tags[DAY_TAG] == "2026-01-01"


def test_schedules_follow_the_time_zone_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {schedule.execution_timezone for schedule in schedules("Asia/Tokyo")} == {"Asia/Tokyo"}
    monkeypatch.setenv("MOVIEREC_TIMEZONE", "Europe/Berlin")
    assert build().resolve_schedule_def("daily_train").execution_timezone == "Europe/Berlin"


# Limits of runs


def _jobs() -> list[Any]:
    return [job for job in build().get_repository_def().get_all_jobs() if not job.name.startswith("__")]


def test_every_job_has_a_longest_time_and_says_whether_it_starts_again_after_a_crash() -> None:
    for job in _jobs():
        assert int(job.run_tags[MAX_RUNTIME]) >= 3600, job.name
        assert (job.run_tags[MAX_RETRIES] == "0") == (job.name in BY_HAND), job.name


def test_every_job_is_in_the_pool_but_those_that_may_run_beside_others() -> None:
    for job in _jobs():
        pools = {pool for node in job.all_node_defs for pool in node.pools}
        alone = job.executor_def.name == "one_run_at_a_time"
        assert pools == ({POOL} if alone else set()), job.name
        assert (job.name in BY_HAND) <= (not alone)


def test_the_instance_starts_runs_of_the_pool_one_at_a_time() -> None:
    config = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    assert config["concurrency"]["pools"] == {"granularity": "run", "default_limit": 1}
    assert config["concurrency"]["runs"]["max_concurrent_runs"] > 1


@pytest.mark.parametrize(
    ("job", "reason", "again"),
    [("refresh", None, True), ("refresh", "STEP_FAILURE", False), ("rollback_champion", None, False)],
)
def test_only_a_crash_starts_a_run_again(job: str, reason: str | None, again: bool) -> None:
    """`report_run_failed` without a reason is what ends a run whose process was killed."""
    from dagster._core.events import RunFailureReason

    with DagsterInstance.ephemeral(
        settings={"run_retries": {"enabled": True, "max_retries": 0, "retry_on_asset_or_op_failure": False}}
    ) as instance:
        tags = build().resolve_job_def(job).run_tags
        run = instance.get_run_by_id(launched(instance, job, DagsterRunStatus.FAILURE, tags))
        assert run is not None
        found = auto_reexecution_should_retry_run(instance, run, RunFailureReason(reason) if reason else None)
        assert found is again


def test_a_crashed_run_counts_as_unfinished_until_it_was_started_again(instance: DagsterInstance) -> None:
    tags = {"dagster/will_retry": "true"}
    crashed = launched(instance, "refresh", DagsterRunStatus.FAILURE, tags)
    launched(instance, "refresh", DagsterRunStatus.FAILURE, {})
    job = build().resolve_job_def("refresh")
    instance.create_run_for_job(job, status=DagsterRunStatus.FAILURE, tags=tags)  # of the command line
    now = datetime.now(UTC)
    assert [run.run_id for run in unfinished_runs(instance, now)] == [crashed]
    assert unfinished_runs(instance, now + PAUSE) == [], "Dagster passed over it"
    instance.add_run_tags(crashed, {"dagster/auto_retry_run_id": "the next one"})
    assert unfinished_runs(instance, now) == []
