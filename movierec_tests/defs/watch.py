"""The sensor `dataset_file_sensor`, run at given times, and the runs that it requests.

Belongs here: helpers that the tests of the sensor share. Does not: claims.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dagster import (
    AssetMaterialization,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    RunRequest,
    RunsFilter,
    SensorResult,
    SkipReason,
    build_sensor_context,
)
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.utils import make_new_run_id

from movierec_assets.database_urls import DatabaseUrls
from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.definitions import build
from movierec_assets.defs import catch_up
from movierec_assets.defs.attempts import ended
from movierec_assets.defs.sources import sources_of
from movierec_assets.resources.configurable import DatasetResource, PostgresResource, RegistryResource
from movierec_assets.resources.provenance import FINGERPRINT, POSITIVES, SOURCES, SPLIT, SPLIT_PARTS
from movierec_assets.tables.database import Database
from movierec_assets.tables.loading import load_movies, load_ratings

RATINGS = ["1,1,4.0,964982703", "1,2,4.5,964982704"]
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Watch:
    """The sensor, evaluated at given times, with the cursor that the daemon would keep."""

    def __init__(self, choice: str | None, database_url: str, instance: DagsterInstance) -> None:
        self._dataset = DatasetResource(choice=choice)
        self._postgres = PostgresResource(url=database_url)
        self._registry = RegistryResource(uri=DatabaseUrls(database_url).mlflow)
        self._instance = instance
        self.cursor: str | None = None
        self.quiet = timedelta(0)
        self.requests: list[RunRequest] = []
        self.skipped = ""
        self.errors: list[str] = []

    def look(self, now: datetime = NOW) -> int:
        """Evaluate the sensor; returns the number of requested runs."""
        context = build_sensor_context(instance=self._instance, cursor=self.cursor)
        context.log.addHandler(ErrorLog(self.errors))
        found = catch_up.evaluate(context, self._dataset, self._postgres, self._registry, now, self.quiet)
        if isinstance(found, SkipReason):
            self.skipped = str(found.skip_message)
            return 0
        assert isinstance(found, SensorResult)
        self.cursor = found.cursor
        self.skipped = str(found.skip_reason.skip_message) if found.skip_reason else ""
        requests = list(found.run_requests or [])
        self.requests += requests
        return len(requests)


class ErrorLog(logging.Handler):
    def __init__(self, kept: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._kept = kept

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append(record.getMessage())


def load(database: Database, directory: Path) -> None:
    files = MovieLensFiles.at(directory)
    load_movies(database, files)
    load_ratings(database, files)


def derive(database: Database, instance: DagsterInstance) -> None:
    """Record that everything was made from the loaded tables, as a run does."""
    made_from = {**sources_of(database), "positive_threshold": 4.0}
    records: dict[str, dict[str, Any]] = {
        "eligible_users": {SOURCES: made_from},
        "positive_ratings": {SOURCES: made_from, FINGERPRINT: "p"},
        **{part: {SPLIT: "s", POSITIVES: "p"} for part in SPLIT_PARTS},
        "als_model": {SPLIT: "s", "model_version": 1},
        "champion_model": {"challenger_version": 1},
        "user_recommendations": {SOURCES: made_from},
    }
    for asset, metadata in records.items():
        instance.report_runless_asset_event(AssetMaterialization(asset, metadata=metadata))


def create(instance: DagsterInstance, request: RunRequest, status: DagsterRunStatus) -> str:
    """Create the run that was requested, as the daemon does."""
    job = build().resolve_job_def(str(request.job_name))
    return instance.create_run_for_job(job, status=status, tags=dict(request.tags)).run_id


def launched(instance: DagsterInstance, job: str, status: DagsterRunStatus, tags: Mapping[str, str]) -> str:
    """A run that the daemon launched on the code server, without a process."""
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("movierec_assets"), "__repository__")
    run = DagsterRun(
        job, make_new_run_id(), status=status, tags=tags, remote_job_origin=RemoteJobOrigin(repository, job)
    )
    return instance.add_run(run).run_id


def fail(instance: DagsterInstance, run_id: str) -> datetime:
    """End a run that did not succeed; returns when that was."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.report_run_failed(run)
    (record,) = instance.get_run_records(RunsFilter(run_ids=[run_id]))
    return ended(record)
