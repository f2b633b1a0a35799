"""dagster.yaml in a real instance: two missed nights with a clock change, a run that takes too long, and a crash."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import DagsterRunStatus

from movierec_assets.defs.run_limits import DAY_TAG, MAX_RUNTIME
from movierec_assets.resources import exclusive
from movierec_tests.defs.daemon import Daemon, daemon_of
from movierec_tests.defs.harness import Platform, own_platform
from movierec_tests.waiting import wait_until

pytestmark = pytest.mark.slow

QUEUED, STARTED, SUCCESS, FAILURE = (
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.SUCCESS,
    DagsterRunStatus.FAILURE,
)
FRIDAY = datetime(2026, 3, 27, 18, tzinfo=UTC)
SUNDAY = datetime(2026, 3, 29, 6, tzinfo=UTC)  # 08:00 in Berlin, where 02:00 did not exist


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
    monkeypatch.setattr(exclusive, "_CONFIRM_SECONDS", 0.0)
    return module_platform


def test_after_two_missed_nights_and_a_crash_there_is_one_refresh_and_one_training(platform: Platform) -> None:
    with daemon_of() as daemon:
        daemon.tick_schedules(FRIDAY)
        assert daemon.instance.get_runs() == []
        daemon.tick_schedules(SUNDAY)
        (refresh,), (backup,), (feedback,) = map(daemon.runs, ("refresh", "backup", "feedback"))
        assert (refresh.status, refresh.tags[DAY_TAG]) == (QUEUED, "2026-03-29")
        assert daemon.runs("train") == [], "it waits"
        with exclusive.exclusive_run(platform.database, "a run of the command line", lambda: None):
            for _ in range(2):
                daemon.launch_queued_runs()
            daemon.until(feedback.run_id, QUEUED)
            daemon.until(backup.run_id, SUCCESS)
            second = _killed(platform, daemon, refresh.run_id)
            daemon.launch_queued_runs()
            again = _ended_after_its_longest_time(daemon, second)
        for job in ("feedback", "search", "maintenance"):
            (other,) = daemon.runs(job)
            assert other.status is QUEUED, "the refresh is first"
            daemon.instance.report_run_canceled(other)
        now = datetime.now(UTC)
        daemon.tick_sensors(now)
        assert daemon.runs("train") == [], "a crashed refresh that runs again is waited for"
        daemon.launch_queued_runs()
        daemon.until(again, SUCCESS)
        for minutes in (1, 2):
            daemon.tick_sensors(now + timedelta(minutes=minutes))
            daemon.tick_schedules(SUNDAY)
        (train,) = daemon.runs("train")
        assert (train.status, train.tags[DAY_TAG]) == (QUEUED, "2026-03-29")
        assert len(daemon.runs("refresh")) == 3
        assert daemon.runs("everything") == [], "everything that is stale is left to the training"


def _killed(platform: Platform, daemon: Daemon, run_id: str) -> str:
    """Kill the process of a refresh that waits for a lock; returns the run that replaces it, which is queued."""
    daemon.until(run_id, STARTED)
    os.kill(daemon.process_of(run_id), signal.SIGKILL)
    # Postgres may notice a little later that the connection is closed.
    wait_until(lambda: bool(exclusive.end_dead_runs(daemon.instance, platform.database)))
    return _started_again(daemon, run_id)


def _ended_after_its_longest_time(daemon: Daemon, run_id: str) -> str:
    """Let a limit end a refresh that waits for a lock; returns the run that replaces it, which is queued."""
    daemon.until(run_id, STARTED)
    daemon.instance.add_run_tags(run_id, {MAX_RUNTIME: "1"})

    def ended() -> bool:
        daemon.end_overdue_runs()
        run = daemon.instance.get_run_by_id(run_id)
        return run is not None and run.is_finished

    wait_until(ended, "the end of a run that takes too long")
    return _started_again(daemon, run_id)


def _started_again(daemon: Daemon, run_id: str) -> str:
    daemon.until(run_id, FAILURE)
    for _ in range(2):
        daemon.start_crashed_runs_again()
    *_, failed, again = daemon.runs("refresh")
    assert failed.run_id == run_id
    assert (again.status, again.tags[DAY_TAG]) == (QUEUED, failed.tags[DAY_TAG])
    return again.run_id
