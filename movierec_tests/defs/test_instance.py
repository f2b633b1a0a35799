"""dagster.yaml in a real instance: a night with a clock change and a crash, and a run that takes too long."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dagster import DagsterRunStatus

from movierec_assets.defs.run_limits import DAY_TAG, MAX_RUNTIME, POOL
from movierec_assets.resources import exclusive
from movierec_tests.defs.daemon import Daemon, daemon_of
from movierec_tests.defs.harness import Platform, own_platform

pytestmark = pytest.mark.slow

QUEUED, STARTED, SUCCESS, FAILURE = (
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.SUCCESS,
    DagsterRunStatus.FAILURE,
)
EVENING = datetime(2026, 3, 29, 0, 45, tzinfo=UTC)  # 01:45 in Berlin
MORNING = datetime(2026, 3, 29, 6, tzinfo=UTC)  # 08:00; the machine slept, and 02:00 did not exist


@pytest.fixture(scope="module")
def module_platform(server_url: str, tmp_path_factory: pytest.TempPathFactory, demo: Path) -> Iterator[Platform]:
    with own_platform(server_url, tmp_path_factory.mktemp("instance"), demo) as platform:
        yield platform


@pytest.fixture
def platform(module_platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    module_platform.enter(monkeypatch)
    monkeypatch.setenv("MOVIEREC_AUTOMATION", "true")
    monkeypatch.setenv("MOVIEREC_TIMEZONE", "Europe/Berlin")
    monkeypatch.setattr(exclusive, "_GRACE_SECONDS", -3600.0)
    return module_platform


def test_after_a_crash_the_refresh_of_a_night_runs_again_and_one_training_follows(platform: Platform) -> None:
    with daemon_of() as daemon:
        daemon.tick_schedules(EVENING)
        assert daemon.instance.get_runs() == []
        daemon.tick_schedules(MORNING)
        (refresh,) = daemon.runs("refresh")
        assert (refresh.status, refresh.tags[DAY_TAG]) == (QUEUED, "2026-03-29")
        assert refresh.run_op_concurrency is not None
        assert refresh.run_op_concurrency.all_pools == {POOL}
        assert daemon.runs("train") == [], "it waits"
        again = _killed_while_it_waits_for_another_run(platform, daemon, refresh.run_id)
        daemon.tick_sensors()
        assert daemon.runs("train") == [], "a crashed refresh that runs again is waited for"
        daemon.launch_queued_runs()
        daemon.until(again, SUCCESS)
        for _ in range(2):
            daemon.tick_sensors()
            daemon.tick_schedules(MORNING)
        (train,) = daemon.runs("train")
        assert (train.status, train.tags[DAY_TAG]) == (QUEUED, "2026-03-29")
        assert len(daemon.runs("refresh")) == 2
        assert daemon.runs("everything") == [], "everything that is stale is left to the training"


def _killed_while_it_waits_for_another_run(platform: Platform, daemon: Daemon, run_id: str) -> str:
    """Kill the process of a queued run; returns the run that replaces it, which is queued."""
    with exclusive.exclusive_run(platform.database, "another", lambda: None):
        daemon.launch_queued_runs()
        daemon.until(run_id, STARTED)
        os.kill(daemon.process_of(run_id), signal.SIGKILL)
        daemon.instance.event_log_storage.get_logs_for_run(run_id)
        while not exclusive.end_dead_runs(daemon.instance, platform.database, platform.registry):
            pass  # Postgres has not noticed yet that the connection is closed
    daemon.until(run_id, FAILURE)
    for _ in range(2):
        daemon.start_crashed_runs_again()
    job = daemon.instance.get_run_by_id(run_id)
    assert job is not None
    first, again = daemon.runs(job.job_name)
    assert first.run_id == run_id
    assert (again.status, again.tags[DAY_TAG]) == (QUEUED, first.tags[DAY_TAG])
    assert again.tags[MAX_RUNTIME] == first.tags[MAX_RUNTIME]
    return again.run_id
