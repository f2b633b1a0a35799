"""The sensor that makes again what is older than its source: runs that fail or succeed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from dagster import (
    AssetKey,
    AssetMaterialization,
    DagsterInstance,
    DagsterRunStatus,
    RunsFilter,
)

from movierec_assets.definitions import build
from movierec_assets.defs.attempts import PAUSE, ended
from movierec_assets.defs.catch_up import CAUSE_TAG
from movierec_assets.defs.sources import sources_of
from movierec_assets.defs.staleness import GRACE
from movierec_assets.resources.provenance import FINGERPRINT, SOURCES
from movierec_assets.tables.database import Database
from movierec_tests.conftest import Dataset
from movierec_tests.defs.watch import RATINGS, Watch, create, derive, fail, load


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def test_a_failed_run_is_tried_again_after_pauses_then_reported_once_and_not_counted_for_a_new_cause(
    database: Database, make_dataset: Dataset, instance: DagsterInstance
) -> None:
    directory = make_dataset(RATINGS)
    watch = Watch(str(directory), database.url, instance)
    now, runs = datetime.now(UTC), []
    for pause in (PAUSE, 2 * PAUSE):
        assert watch.look(now) == 1
        runs.append(create(instance, watch.requests[-1], DagsterRunStatus.NOT_STARTED))
        assert watch.look(now) == 0
        assert watch.skipped == f"Waiting for the end of everything {runs[-1][:8]}."
        end = fail(instance, runs[-1])
        assert watch.look(end + 0.9 * pause) == 0
        assert "tried again after" in watch.skipped
        now = end + pause
    assert watch.look(now) == 1
    runs.append(create(instance, watch.requests[-1], DagsterRunStatus.STARTED))
    later = fail(instance, runs[-1]) + timedelta(days=1)
    assert (watch.look(later), watch.look(later)) == (0, 0)
    assert all(run_id in watch.skipped for run_id in runs)
    assert "run `everything` by hand" in watch.skipped
    assert watch.errors == [watch.skipped]
    assert len({request.run_key for request in watch.requests}) == 3
    assert len({request.tags[CAUSE_TAG] for request in watch.requests}) == 1
    make_dataset([*RATINGS, "2,1,4.0,964982703"])
    assert watch.look(later) == 1, "the file was put right"


def test_a_run_that_fails_after_it_loaded_the_file_is_not_tried_again_at_once(
    database: Database, make_dataset: Dataset, instance: DagsterInstance
) -> None:
    directory = make_dataset(RATINGS)
    watch = Watch(str(directory), database.url, instance)
    assert watch.look() == 1
    run_id = create(instance, watch.requests[-1], DagsterRunStatus.NOT_STARTED)
    load(database, directory)
    end = fail(instance, run_id)
    assert watch.look(end + 0.9 * PAUSE) == 0
    assert "eligible_users was not made from the current load" in watch.skipped
    assert "tried again after" in watch.skipped
    assert watch.look(end + PAUSE) == 1
    assert len({request.tags[CAUSE_TAG] for request in watch.requests}) == 2


def test_a_refresh_that_succeeded_leaves_the_rest_to_the_training_and_one_that_failed_does_not(
    database: Database, make_dataset: Dataset, instance: DagsterInstance
) -> None:
    directory = make_dataset(RATINGS)
    load(database, directory)
    derive(database, instance)
    watch = Watch(str(directory), database.url, instance)
    made_from = {**sources_of(database), "ratings": "another"}
    positives = AssetMaterialization("positive_ratings", metadata={SOURCES: made_from, FINGERPRINT: "p"})
    instance.report_runless_asset_event(positives)
    job = build().resolve_job_def("refresh")
    now = fail(instance, instance.create_run_for_job(job, status=DagsterRunStatus.STARTED).run_id)
    part = frozenset({AssetKey("raw_movies")})
    instance.create_run_for_job(job, status=DagsterRunStatus.SUCCESS, asset_selection=part)
    assert watch.look(now) == 1
    whole = instance.create_run_for_job(job, status=DagsterRunStatus.SUCCESS)
    (record,) = instance.get_run_records(RunsFilter(run_ids=[whole.run_id]))
    assert watch.look(ended(record) + 0.9 * GRACE) == 0
    assert "left to `daily_train`" in watch.skipped
    assert watch.look(ended(record) + GRACE) == 1
