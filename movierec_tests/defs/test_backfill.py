"""A backfill of the asset `backtest`, launched as by Dagster's pages, in a real instance with a code server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dagster import AssetKey, DagsterRunStatus, RunsFilter
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    BACKFILL_ID_TAG,
)

from movierec_assets.recsys.backtest import Month
from movierec_assets.tables.backtests import Backtests, months_of_likes
from movierec_assets.tables.known_datasets import loaded_dataset
from movierec_tests.defs.daemon import Daemon, daemon_of
from movierec_tests.defs.harness import Platform
from movierec_tests.first_day import FirstDay
from movierec_tests.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def module_platform(first_day: FirstDay, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with first_day.copied(tmp_path_factory.mktemp("backfill")) as platform:
        yield platform


@pytest.fixture
def platform(module_platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """The platform after its first run."""
    module_platform.enter(monkeypatch)
    return module_platform


def test_a_backfill_of_months_in_a_row_is_one_run_that_makes_all_of_them(platform: Platform) -> None:
    likes = months_of_likes(platform.database, 4.0)
    assert likes is not None
    last = min(likes[1], Month.last_complete())
    months = [last.later(-2), last.later(-1), last]
    names = [str(month) for month in months]
    with daemon_of() as daemon:
        backfill = daemon.request_backfill("backtest", names)
        daemon.advance_backfills()
        (run,) = daemon.instance.get_runs(RunsFilter(tags={BACKFILL_ID_TAG: backfill}))
        assert run.status is DagsterRunStatus.QUEUED
        ends = ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG
        assert [run.tags[end] for end in ends] == [names[0], names[-1]]
        assert _status(daemon, backfill) is BulkActionStatus.REQUESTED
        daemon.launch_queued_runs()
        daemon.until(run.run_id, DagsterRunStatus.SUCCESS)

        def ended() -> bool:
            daemon.advance_backfills()
            return _status(daemon, backfill) is not BulkActionStatus.REQUESTED

        wait_until(ended, "the end of the backfill")
        assert _status(daemon, backfill) is BulkActionStatus.COMPLETED_SUCCESS
        assert daemon.instance.get_materialized_partitions(AssetKey("backtest")) == set(names)
        assert len(daemon.instance.get_runs(RunsFilter(tags={BACKFILL_ID_TAG: backfill}))) == 1
    kept = Backtests(platform.database, loaded_dataset(platform.database), 4.0).figures(platform.champion().recipe)
    assert last in {month for month, _ in kept} <= set(months)


def _status(daemon: Daemon, backfill: str) -> BulkActionStatus:
    found = daemon.instance.get_backfill(backfill)
    assert found is not None
    return found.status
