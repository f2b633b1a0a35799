"""Runs that nothing needs leave Dagster's database with their event logs; everything that people ask for stays."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from dagster import AssetKey, DagsterInstance, DagsterRunStatus, Definitions, RunsFilter, asset, define_asset_job, job
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, ROOT_RUN_ID_TAG
from dagster._core.test_utils import create_run_for_test

from movierec_assets.defs import old_runs
from movierec_assets.defs.old_runs import remove_old_runs, runs_shown


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as own:
        yield own


@asset
def figures() -> None:
    """An asset."""


@job
def nothing() -> None:
    """A job without assets."""


MADE = Definitions([figures], jobs=[define_asset_job("make", [figures])]).resolve_job_def("make")


def made(instance: DagsterInstance) -> str:
    return str(MADE.execute_in_process(instance=instance).run_id)


def done(instance: DagsterInstance, job_name: str = "other", **tags: str) -> str:
    """A run that has ended."""
    return str(create_run_for_test(instance, job_name, status=DagsterRunStatus.SUCCESS, tags=tags).run_id)


def left(instance: DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def quiet(_: str) -> None:
    """Log nothing."""


def now() -> datetime:
    return datetime.now(UTC)


def test_old_runs_go_with_their_events_and_young_unfinished_and_latest_ones_stay(instance: DagsterInstance) -> None:
    old = [nothing.execute_in_process(instance=instance).run_id for _ in range(3)]
    needed, unfinished = done(instance), create_run_for_test(instance, "other", status=DagsterRunStatus.STARTED).run_id
    before = now()
    latest_of_its_job = done(instance, "rare")
    young = nothing.execute_in_process(instance=instance).run_id
    assert instance.all_logs(old[0])

    said: list[str] = []
    assert remove_old_runs(instance, {needed}, before, said.append) == 3
    assert said == ["Removed 3 of 3 old runs with their event logs"]
    assert left(instance) == {needed, unfinished, latest_of_its_job, young}
    assert not any(instance.all_logs(run_id) for run_id in old)
    assert remove_old_runs(instance, set(), now(), said.append) == 1, "nothing needs it any more"
    assert left(instance) == {unfinished, latest_of_its_job, young}


def test_the_first_attempt_stays_while_a_later_one_does(instance: DagsterInstance) -> None:
    first = done(instance)
    again = {ROOT_RUN_ID_TAG: first, PARENT_RUN_ID_TAG: first}
    second, third = done(instance, **again), done(instance, **again)
    assert instance.get_runs(limit=1)[0].run_id == third, "the latest of its job"
    assert remove_old_runs(instance, set(), now(), quiet) == 1
    assert left(instance) == {first, third}
    assert instance.get_runs(RunsFilter(tags={ROOT_RUN_ID_TAG: first})), "Dagster's page of a run asks for them"
    done(instance)
    assert remove_old_runs(instance, set(), now(), quiet) == 2
    assert second not in left(instance)


def test_a_removal_is_bounded_and_the_next_one_goes_on(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(old_runs, "REMOVED_AT_ONCE", 2)
    monkeypatch.setattr(old_runs, "_PAGE", 2)
    runs = [done(instance) for _ in range(6)]
    kept = set(runs[:2])
    assert remove_old_runs(instance, kept, now(), quiet) == 2
    assert left(instance) == {*kept, *runs[4:]}, "the oldest first"
    assert [remove_old_runs(instance, kept, now(), quiet) for _ in range(2)] == [1, 0]


def test_the_latest_materializations_of_an_asset_stay_with_their_history(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(old_runs, "SHOWN", 2)
    runs = [made(instance) for _ in range(4)]
    latest = instance.get_latest_materialization_event(AssetKey("figures"))
    assert runs_shown(instance) == set(runs[2:])
    assert remove_old_runs(instance, runs_shown(instance), now(), quiet) == 2
    assert [run.run_id for run in instance.get_runs(RunsFilter(job_name="make"))] == runs[:1:-1]
    assert instance.get_latest_materialization_event(AssetKey("figures")) == latest
    assert len(instance.fetch_materializations(AssetKey("figures"), limit=9).records) == 2
