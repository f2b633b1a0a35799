"""What starts runs: schedules, and the sensor that watches the dataset's files."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dagster import (
    DagsterInstance,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    RunRequest,
    SensorResult,
    SkipReason,
    build_schedule_context,
    build_sensor_context,
)

from movierec_assets.datasets.movielens import MovieLensFiles
from movierec_assets.definitions import build
from movierec_assets.defs.automation import dataset_file_sensor, schedules, stamp_of, unfinished_mlflow_runs
from movierec_assets.resources.configurable import DatasetResource, PostgresResource
from movierec_assets.resources.database import Database
from movierec_assets.resources.loading import load_movies, load_ratings
from movierec_tests.conftest import Dataset

RATINGS = ["1,1,4.0,964982703", "1,2,4.5,964982704"]


class Watch:
    """The sensor, look by look, with its cursor kept as the daemon keeps it."""

    def __init__(self, choice: str, database: Database) -> None:
        self._resources = {"dataset": DatasetResource(choice=choice), "postgres": PostgresResource(url=database.url)}
        self._cursor: str | None = None
        self.keys: list[str] = []
        self.skipped = ""

    def look(self) -> int:
        """How many runs are requested."""
        with DagsterInstance.ephemeral() as instance:
            context = build_sensor_context(instance=instance, cursor=self._cursor, resources=self._resources)
            found = dataset_file_sensor(context)
        if isinstance(found, SkipReason):
            self.skipped = str(found.skip_message)
            return 0
        assert isinstance(found, SensorResult)
        self._cursor = found.cursor
        requests = list(found.run_requests or [])
        self.keys += [str(request.run_key) for request in requests]
        return len(requests)


def _load(database: Database, directory: Path) -> None:
    files = MovieLensFiles.at(directory)
    load_movies(database, files)
    load_ratings(database, files)


def _touch(path: Path, seconds: int) -> None:
    os.utime(path, (seconds, seconds))


# Changes of files


def test_a_stamp_changes_with_time_size_and_place_and_with_nothing_else(make_dataset: Dataset) -> None:
    directory = make_dataset(RATINGS)
    files = MovieLensFiles.at(directory)
    stamps = [stamp_of(files)]
    assert stamp_of(files) == stamps[0]
    _touch(files.movies, 1_000_000_000)
    stamps.append(stamp_of(files))
    files.ratings.write_text(files.ratings.read_text() + "2,1,4.0,964982703\n")
    stamps.append(stamp_of(files))
    stamps.append(stamp_of(MovieLensFiles.at(make_dataset(RATINGS, links=["1,2,3"]))))
    stamps.append(stamp_of(MovieLensFiles.at(make_dataset(RATINGS, name="elsewhere"))))
    assert len(set(stamps)) == 5


# The sensor


@pytest.mark.parametrize("name", ["ratings.csv", "movies.csv", "links.csv"])
def test_the_sensor_requests_one_run_for_each_new_content_of_a_file(
    database: Database, make_dataset: Dataset, name: str
) -> None:
    directory = make_dataset(RATINGS, links=["1,2,3"])
    file, watch = directory / name, Watch(str(directory), database)
    before = file.read_bytes()
    assert watch.look() == 1, "first look, nothing loaded"
    _load(database, directory)
    assert watch.look() == 0, "unchanged"
    assert "has not changed" in watch.skipped
    _touch(file, 1_000_000_000)
    assert watch.look() == 0, "touched"
    assert watch.look() == 0, "still"
    file.write_bytes(
        before + {"ratings.csv": b"2,1,4.0,964982703", "movies.csv": b"99,X,", "links.csv": b"2,3,4"}[name]
    )
    assert watch.look() == 1, "changed"
    _load(database, directory)
    assert watch.look() == 0, "unchanged again"
    file.write_bytes(before)
    assert watch.look() == 1, "changed back"
    assert len(set(watch.keys)) == 3, "a key that Dagster has seen never runs again"


def test_files_that_are_loaded_already_request_nothing_at_the_first_look(
    database: Database, make_dataset: Dataset
) -> None:
    directory = make_dataset(RATINGS)
    _load(database, directory)
    assert Watch(str(directory), database).look() == 0


def test_another_dataset_than_the_loaded_one_requests_a_run(database: Database, make_dataset: Dataset) -> None:
    _load(database, make_dataset(RATINGS))
    assert Watch(str(make_dataset(RATINGS[:1], name="other")), database).look() == 1


def test_a_requested_run_says_which_dataset_it_is_for(database: Database, make_dataset: Dataset) -> None:
    resources = {
        "dataset": DatasetResource(choice=str(make_dataset(RATINGS))),
        "postgres": PostgresResource(url=database.url),
    }
    with DagsterInstance.ephemeral() as instance:
        found = dataset_file_sensor(build_sensor_context(instance=instance, resources=resources))
    assert isinstance(found, SensorResult)
    (request,) = found.run_requests or []
    assert request.tags["movierec/dataset"] == "tiny"


def test_without_a_dataset_the_sensor_skips_with_the_reason(database: Database, tmp_path: Path) -> None:
    watch = Watch(str(tmp_path / "nothing here"), database)
    assert watch.look() == 0
    assert "No dataset to watch" in watch.skipped
    assert "nothing here" in watch.skipped


def test_a_release_that_is_not_here_is_waited_for_and_not_downloaded(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIEREC_DATA_DIR", str(tmp_path))
    watch = Watch("ml-20m", database)
    assert watch.look() == 0
    assert "No dataset to watch" in watch.skipped
    assert list(tmp_path.iterdir()) == []


def test_both_sensors_are_on_from_the_start() -> None:
    assert dataset_file_sensor.default_status is DefaultSensorStatus.RUNNING
    assert unfinished_mlflow_runs.default_status is DefaultSensorStatus.RUNNING
    assert dataset_file_sensor.job_name == "everything"


# Schedules


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
