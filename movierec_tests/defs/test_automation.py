"""What starts runs by the clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from dagster import (
    DagsterInstance,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    RunRequest,
    build_schedule_context,
)

from movierec_assets.definitions import build
from movierec_assets.defs.automation import canceled_mlflow_runs, dead_runs, schedules, unfinished_mlflow_runs


def test_sensors_that_tidy_up_are_on_from_the_start() -> None:
    for sensor in (unfinished_mlflow_runs, canceled_mlflow_runs, dead_runs):
        assert sensor.default_status is DefaultSensorStatus.RUNNING


@pytest.mark.parametrize(
    ("name", "job", "cron"), [("daily_refresh", "refresh", "55 1 * * *"), ("daily_train", "train", "0 2 * * *")]
)
def test_a_schedule_starts_its_job_every_day(name: str, job: str, cron: str) -> None:
    schedule = build().resolve_schedule_def(name)
    assert (schedule.cron_schedule, schedule.job_name) == (cron, job)
    assert schedule.default_status is DefaultScheduleStatus.RUNNING
    with DagsterInstance.ephemeral() as instance:
        context = build_schedule_context(
            instance=instance, scheduled_execution_time=datetime(2026, 1, 1, 2, tzinfo=UTC)
        )
        (request,) = schedule.evaluate_tick(context).run_requests or []
    assert isinstance(request, RunRequest)


def test_schedules_follow_the_time_zone_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {schedule.execution_timezone for schedule in schedules("Asia/Tokyo")} == {"Asia/Tokyo"}
    monkeypatch.setenv("MOVIEREC_TIMEZONE", "Europe/Berlin")
    assert build().resolve_schedule_def("daily_train").execution_timezone == "Europe/Berlin"
