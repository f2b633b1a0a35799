"""dagster.yaml in a real instance: two missed nights with a clock change, a run that takes too long, and a crash."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import DagsterRunStatus

from movierec_assets.defs.run_limits import DAY_TAG, MAX_RUNTIME, POOL
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
    return module_platform


def test_after_two_missed_nights_and_a_crash_there_is_one_refresh_and_one_training(platform: Platform) -> None:
    with daemon_of() as daemon:
        daemon.tick_schedules(FRIDAY)
        assert daemon.instance.get_runs() == []
        daemon.tick_schedules(SUNDAY)
        for job in ("search", "maintenance"):
            (other,) = daemon.runs(job)
            daemon.instance.report_run_canceled(other)
        (feedback,), (backup,), (refresh,) = map(daemon.runs, ("feedback", "backup", "refresh"))
        assert (refresh.status, refresh.tags[DAY_TAG]) == (QUEUED, "2026-03-29")
        assert refresh.run_op_concurrency is not None
        assert refresh.run_op_concurrency.all_pools == {POOL}
        assert daemon.runs("train") == [], "it waits"
        with exclusive.exclusive_run(platform.database, "a run of the command line", lambda: None):
            _ended_after_its_longest_time(daemon, feedback.run_id, refresh.run_id)
            daemon.until(backup.run_id, SUCCESS)
            again = _killed(platform, daemon, refresh.run_id)
        now = datetime.now(UTC)
        daemon.tick_sensors(now)
        assert daemon.runs("train") == [], "a crashed refresh that runs again is waited for"
        daemon.until(again, SUCCESS, between=daemon.launch_queued_runs)
        for minutes in (1, 2):
            daemon.tick_sensors(now + timedelta(minutes=minutes))
            daemon.tick_schedules(SUNDAY)
        (train,) = daemon.runs("train")
        assert (train.status, train.tags[DAY_TAG]) == (QUEUED, "2026-03-29")
        assert len(daemon.runs("refresh")) == 2
        assert daemon.runs("everything") == [], "everything that is stale is left to the training"


def _ended_after_its_longest_time(daemon: Daemon, run_id: str, next_run_id: str) -> None:
    """Launch the first run of the pool, which waits for a lock, and let its limit end it; the next one stays queued."""
    for _ in range(2):
        daemon.launch_queued_runs()
    daemon.until(run_id, STARTED)
    daemon.until(next_run_id, QUEUED)
    daemon.instance.add_run_tags(run_id, {MAX_RUNTIME: "1"})

    def ended() -> bool:
        daemon.end_overdue_runs()
        run = daemon.instance.get_run_by_id(run_id)
        return run is not None and run.is_finished

    wait_until(ended, "the end of a run that takes too long")
    daemon.until(run_id, FAILURE)


def _killed(platform: Platform, daemon: Daemon, run_id: str) -> str:
    """Kill the process of a run that waits for a lock; returns the run that replaces it, which is queued."""
    daemon.launch_queued_runs()
    daemon.until(run_id, STARTED)
    os.kill(daemon.process_of(run_id), signal.SIGKILL)
    # Postgres may notice a little later that the connection is closed.
    wait_until(lambda: bool(exclusive.end_dead_runs(daemon.instance, platform.database, platform.registry)))
    daemon.until(run_id, FAILURE)
    for _ in range(2):
        daemon.start_crashed_runs_again()
    first, again = daemon.runs("refresh")
    assert first.run_id == run_id
    assert (again.status, again.tags[DAY_TAG]) == (QUEUED, first.tags[DAY_TAG])
    assert again.tags[MAX_RUNTIME] == first.tags[MAX_RUNTIME]
    return again.run_id
