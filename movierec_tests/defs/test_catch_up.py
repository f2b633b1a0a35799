"""The sensor that makes again what is older than its source: changes of files and settings."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import DagsterInstance

from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.defs import catch_up
from movierec_assets.defs.catch_up import Memory, dataset_file_sensor
from movierec_assets.defs.half_written import stamp_of
from movierec_assets.resources.configurable import RegistryResource
from movierec_assets.tables.app_ratings import post_rating
from movierec_assets.tables.database import Database
from movierec_assets.tables.loading import is_loaded
from movierec_tests.conftest import Dataset
from movierec_tests.defs.watch import RATINGS, Watch, derive, load


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def touch(path: Path, seconds: int) -> None:
    os.utime(path, (seconds, seconds))


def test_a_stamp_changes_with_time_size_and_place_and_with_nothing_else(make_dataset: Dataset) -> None:
    directory = make_dataset(RATINGS)
    files = MovieLensFiles.at(directory)
    stamps = [stamp_of(files)]
    assert stamp_of(files) == stamps[0]
    touch(files.movies, 1_000_000_000)
    stamps.append(stamp_of(files))
    files.ratings.write_text(files.ratings.read_text() + "2,1,4.0,964982703\n")
    stamps.append(stamp_of(files))
    stamps.append(stamp_of(MovieLensFiles.at(make_dataset(RATINGS, links=["1,2,3"]))))
    stamps.append(stamp_of(MovieLensFiles.at(make_dataset(RATINGS, name="elsewhere"))))
    assert len(set(stamps)) == 5


@pytest.mark.parametrize("name", ["ratings.csv", "movies.csv", "links.csv"])
def test_new_content_of_a_file_is_requested_again_until_it_is_loaded(
    database: Database, make_dataset: Dataset, instance: DagsterInstance, name: str
) -> None:
    directory = make_dataset(RATINGS, links=["1,2,3"])
    file, watch = directory / name, Watch(str(directory), database.url, instance)
    before = file.read_bytes()
    assert watch.look() == 1, "first look, nothing loaded"
    assert watch.look() == 1, "a request that started no run is made again"
    assert watch.requests[0].run_key == watch.requests[1].run_key, "and Dagster runs a key once"
    load(database, directory)
    derive(database, instance)
    assert watch.look() == 0, "unchanged"
    assert "is loaded, and everything is made from it" in watch.skipped
    touch(file, 1_000_000_000)
    assert watch.look() == 0, "touched"
    more = {"ratings.csv": b"2,1,4.0,964982703", "movies.csv": b"99,X,", "links.csv": b"2,3,4"}
    file.write_bytes(before + more[name])
    assert watch.look() == 1, "changed"
    load(database, directory)
    derive(database, instance)
    assert watch.look() == 0, "unchanged again"
    file.write_bytes(before)
    assert watch.look() == 1, "changed back"
    assert len({request.run_key for request in watch.requests}) == 3
    assert {request.job_name for request in watch.requests} == {"everything"}


def test_files_and_tables_that_did_not_change_are_compared_once(
    database: Database, make_dataset: Dataset, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[Path] = []

    def counted(database: Database, files: MovieLensFiles) -> bool:
        compared.append(files.directory)
        return is_loaded(database, files)

    monkeypatch.setattr(catch_up, "is_loaded", counted)
    first, second = make_dataset(RATINGS), make_dataset(RATINGS[:1], name="other")
    watch = Watch(str(first), database.url, instance)
    watch.look()
    watch.look()
    assert len(compared) == 1, "not loaded"
    load(database, first)
    derive(database, instance)
    watch.look()
    watch.look()
    assert (len(compared), watch.skipped) == (2, f"{first} is loaded, and everything is made from it.")
    load(database, second)
    assert watch.look() == 1, "somebody loaded another dataset"
    assert len(compared) == 3


def test_a_cursor_in_another_form_is_ignored(
    database: Database, make_dataset: Dataset, instance: DagsterInstance
) -> None:
    directory = make_dataset(RATINGS)
    watch = Watch(str(directory), database.url, instance)
    watch.cursor = stamp_of(MovieLensFiles.at(directory))
    assert watch.look() == 1
    for cursor in (None, "", json.dumps({"compared": "x"})):
        assert Memory.of(cursor) == Memory()
    assert Memory.of(Memory("x", True, "y", "z", 2.5).cursor()) == Memory("x", True, "y", "z", 2.5)
    of_the_release_before = json.dumps({"compared": "x", "loaded": True, "told": "y"})
    assert Memory.of(of_the_release_before) == Memory("x", True, "y")


def test_files_that_are_loaded_while_nothing_is_made_from_them_request_a_run(
    database: Database, make_dataset: Dataset, instance: DagsterInstance
) -> None:
    directory = make_dataset(RATINGS)
    load(database, directory)
    watch = Watch(str(directory), database.url, instance)
    assert watch.look() == 1
    (request,) = watch.requests
    assert request.job_name == "everything"
    assert request.tags["movierec/dataset"] == "tiny"
    assert "eligible_users was not made from the current load of ratings" in request.tags["movierec/why"]


def test_another_threshold_requests_a_run(
    database: Database, make_dataset: Dataset, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = make_dataset(RATINGS)
    load(database, directory)
    derive(database, instance)
    watch = Watch(str(directory), database.url, instance)
    assert watch.look() == 0
    monkeypatch.setenv("MOVIEREC_POSITIVE_THRESHOLD", "3.5")
    assert watch.look() == 1
    assert "positive threshold" in watch.requests[0].tags["movierec/why"]


def test_enough_ratings_of_the_app_request_a_run_and_fewer_are_shown(
    database: Database, make_dataset: Dataset, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIEREC_NEW_RATINGS_TO_TRAIN", "2")
    directory = make_dataset(RATINGS)
    load(database, directory)
    post(database, 1, 1, 3.0)
    derive(database, instance)
    watch = Watch(str(directory), database.url, instance)
    now = datetime.now(UTC)
    assert watch.look(now) == 0, "it was posted before positive_ratings was made"
    post(database, 1, 2, 3.0)
    assert watch.look(now) == 0
    assert "1 ratings were posted since; 2 start a training, or one that is 24 hours old." in watch.skipped
    assert watch.look(now + timedelta(hours=23)) == 0
    assert watch.look(now + timedelta(hours=25)) == 1, "old enough"
    post(database, 1, 1, 5.0)
    assert watch.look(now) == 1, "enough"
    assert watch.requests[0].run_key == watch.requests[1].run_key, "one cause until they are trained on"
    assert watch.requests[1].job_name == "everything"
    assert "positive_ratings was not made from 2 ratings of the app" in watch.requests[1].tags["movierec/why"]
    derive(database, instance)
    assert watch.look(now) == 0


def post(database: Database, user: int, movie: int, stars: float) -> None:
    with database.transaction() as cursor:
        post_rating(cursor, user, movie, stars)


def test_without_a_dataset_the_sensor_skips_with_the_reason(
    database: Database, tmp_path: Path, instance: DagsterInstance
) -> None:
    watch = Watch(str(tmp_path / "nothing here"), database.url, instance)
    assert watch.look() == 0
    assert "No dataset to watch" in watch.skipped
    assert "nothing here" in watch.skipped


def test_a_release_that_is_not_here_is_waited_for_and_not_downloaded(
    database: Database, tmp_path: Path, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIEREC_DATA_DIR", str(tmp_path))
    watch = Watch("ml-20m", database.url, instance)
    assert watch.look() == 0
    assert "No dataset to watch" in watch.skipped
    assert list(tmp_path.iterdir()) == []


def test_servers_that_do_not_answer_are_waited_for(
    database: Database, make_dataset: Dataset, instance: DagsterInstance
) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    watch = Watch(str(make_dataset(RATINGS)), nowhere, instance)
    assert watch.look() == 0
    assert "does not answer" in watch.skipped
    watch = Watch(str(make_dataset(RATINGS)), database.url, instance)
    watch._registry = RegistryResource(uri="http://127.0.0.1:1")
    assert watch.look() == 0
    assert "MLflow does not answer" in watch.skipped


def test_the_sensor_starts_two_jobs() -> None:
    assert {target.job_name for target in dataset_file_sensor.targets} == {"everything", "publish"}
