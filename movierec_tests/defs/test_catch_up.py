"""The sensor that makes anew what is older than what it is made from."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetKey,
    AssetMaterialization,
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorResult,
    SkipReason,
    build_sensor_context,
)

from movierec_assets.datasets.movielens import MovieLensFiles
from movierec_assets.definitions import build
from movierec_assets.defs import catch_up
from movierec_assets.defs.attempts import PAUSE, ended
from movierec_assets.defs.catch_up import CAUSE_TAG, Memory, dataset_file_sensor, stamp_of
from movierec_assets.defs.registry_operations import note_rejection
from movierec_assets.defs.sources import sources_of
from movierec_assets.defs.staleness import GRACE
from movierec_assets.models.decisions import Promotions
from movierec_assets.models.version import CHAMPION
from movierec_assets.resources.configurable import DatasetResource, PostgresResource, RegistryResource
from movierec_assets.resources.provenance import FINGERPRINT, POSITIVES, SOURCES, SPLIT, SPLIT_PARTS
from movierec_assets.settings import DatabaseUrls
from movierec_assets.tables.database import Database
from movierec_assets.tables.loading import is_loaded, load_movies, load_ratings
from movierec_tests.conftest import Dataset
from movierec_tests.defs.harness import Platform, failed_checks, failures_of, metadata_of, own_platform, run

RATINGS = ["1,1,4.0,964982703", "1,2,4.5,964982704"]
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Watch:
    """The sensor, look by look, with its cursor kept as the daemon keeps it."""

    def __init__(self, choice: str, database_url: str, instance: DagsterInstance) -> None:
        self._dataset = DatasetResource(choice=choice)
        self._postgres = PostgresResource(url=database_url)
        self._registry = RegistryResource(uri=DatabaseUrls(database_url).mlflow)
        self._instance = instance
        self.cursor: str | None = None
        self.requests: list[RunRequest] = []
        self.skipped = ""
        self.errors: list[str] = []

    def look(self, now: datetime = NOW) -> int:
        """How many runs are requested."""
        context = build_sensor_context(instance=self._instance, cursor=self.cursor)
        context.log.addHandler(_Errors(self.errors))
        found = catch_up.look(context, self._dataset, self._postgres, self._registry, now)
        if isinstance(found, SkipReason):
            self.skipped = str(found.skip_message)
            return 0
        assert isinstance(found, SensorResult)
        self.cursor = found.cursor
        self.skipped = str(found.skip_reason.skip_message) if found.skip_reason else ""
        requests = list(found.run_requests or [])
        self.requests += requests
        return len(requests)


class _Errors(logging.Handler):
    def __init__(self, kept: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._kept = kept

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append(record.getMessage())


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def _load(database: Database, directory: Path) -> None:
    files = MovieLensFiles.at(directory)
    load_movies(database, files)
    load_ratings(database, files)


def _derive(database: Database, instance: DagsterInstance) -> None:
    """Record that everything was made from what is loaded, as a run does."""
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


@pytest.mark.parametrize("name", ["ratings.csv", "movies.csv", "links.csv"])
def test_new_content_of_a_file_is_requested_again_until_it_is_loaded(
    database: Database, make_dataset: Dataset, instance: DagsterInstance, name: str
) -> None:
    directory = make_dataset(RATINGS, links=["1,2,3"])
    file, watch = directory / name, Watch(str(directory), database.url, instance)
    before = file.read_bytes()
    assert watch.look() == 1, "first look, nothing loaded"
    assert watch.look() == 1, "a request that came to nothing is made again"
    assert watch.requests[0].run_key == watch.requests[1].run_key, "and Dagster runs a key once"
    _load(database, directory)
    _derive(database, instance)
    assert watch.look() == 0, "unchanged"
    assert "is loaded, and everything is made from it" in watch.skipped
    _touch(file, 1_000_000_000)
    assert watch.look() == 0, "touched"
    more = {"ratings.csv": b"2,1,4.0,964982703", "movies.csv": b"99,X,", "links.csv": b"2,3,4"}
    file.write_bytes(before + more[name])
    assert watch.look() == 1, "changed"
    _load(database, directory)
    _derive(database, instance)
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
    _load(database, first)
    _derive(database, instance)
    watch.look()
    watch.look()
    assert (len(compared), watch.skipped) == (2, f"{first} is loaded, and everything is made from it.")
    _load(database, second)
    assert watch.look() == 1, "somebody loaded another dataset"
    assert len(compared) == 3


def test_a_cursor_of_an_earlier_version_says_nothing(
    database: Database, make_dataset: Dataset, instance: DagsterInstance
) -> None:
    directory = make_dataset(RATINGS)
    watch = Watch(str(directory), database.url, instance)
    watch.cursor = stamp_of(MovieLensFiles.at(directory))
    assert watch.look() == 1
    for cursor in (None, "", json.dumps({"compared": "x"})):
        assert Memory.of(cursor) == Memory()
    assert Memory.of(Memory("x", True, "y").cursor()) == Memory("x", True, "y")


def test_files_that_are_loaded_while_nothing_is_made_from_them_request_a_run(
    database: Database, make_dataset: Dataset, instance: DagsterInstance
) -> None:
    directory = make_dataset(RATINGS)
    _load(database, directory)
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
    _load(database, directory)
    _derive(database, instance)
    watch = Watch(str(directory), database.url, instance)
    assert watch.look() == 0
    monkeypatch.setenv("MOVIEREC_POSITIVE_THRESHOLD", "3.5")
    assert watch.look() == 1
    assert "positive threshold" in watch.requests[0].tags["movierec/why"]


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


def test_the_sensor_is_on_from_the_start_and_starts_two_jobs() -> None:
    assert dataset_file_sensor.default_status is DefaultSensorStatus.RUNNING
    assert {target.job_name for target in dataset_file_sensor.targets} == {"everything", "publish"}


# Runs


def _create(instance: DagsterInstance, request: RunRequest, status: DagsterRunStatus) -> str:
    """Create the run that was requested, as the daemon does."""
    job = build().resolve_job_def(str(request.job_name))
    return instance.create_run_for_job(job, status=status, tags=dict(request.tags)).run_id


def _fail(instance: DagsterInstance, run_id: str) -> datetime:
    """End a run that did not succeed; returns when that was."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.report_run_failed(run)
    (record,) = instance.get_run_records(RunsFilter(run_ids=[run_id]))
    return ended(record)


def test_a_failed_run_is_tried_again_after_pauses_then_told_once_and_forgotten_with_a_new_cause(
    database: Database, make_dataset: Dataset, instance: DagsterInstance
) -> None:
    directory = make_dataset(RATINGS)
    watch = Watch(str(directory), database.url, instance)
    now, runs = datetime.now(UTC), []
    for pause in (PAUSE, 2 * PAUSE):
        assert watch.look(now) == 1
        runs.append(_create(instance, watch.requests[-1], DagsterRunStatus.NOT_STARTED))
        assert watch.look(now) == 0
        assert watch.skipped == f"Waiting for the end of everything {runs[-1][:8]}."
        end = _fail(instance, runs[-1])
        assert watch.look(end + 0.9 * pause) == 0
        assert "tried again after" in watch.skipped
        now = end + pause
    assert watch.look(now) == 1
    runs.append(_create(instance, watch.requests[-1], DagsterRunStatus.STARTED))
    later = _fail(instance, runs[-1]) + timedelta(days=1)
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
    run_id = _create(instance, watch.requests[-1], DagsterRunStatus.NOT_STARTED)
    _load(database, directory)
    end = _fail(instance, run_id)
    assert watch.look(end + 0.9 * PAUSE) == 0
    assert "eligible_users was not made from the current load" in watch.skipped
    assert "tried again after" in watch.skipped
    assert watch.look(end + PAUSE) == 1
    assert len({request.tags[CAUSE_TAG] for request in watch.requests}) == 2


def test_a_refresh_that_succeeded_leaves_the_rest_to_the_training_and_one_that_broke_off_does_not(
    database: Database, make_dataset: Dataset, instance: DagsterInstance
) -> None:
    directory = make_dataset(RATINGS)
    _load(database, directory)
    _derive(database, instance)
    watch = Watch(str(directory), database.url, instance)
    made_from = {**sources_of(database), "ratings": "another"}
    positives = AssetMaterialization("positive_ratings", metadata={SOURCES: made_from, FINGERPRINT: "p"})
    instance.report_runless_asset_event(positives)
    job = build().resolve_job_def("refresh")
    now = _fail(instance, instance.create_run_for_job(job, status=DagsterRunStatus.STARTED).run_id)
    part = frozenset({AssetKey("raw_movies")})
    instance.create_run_for_job(job, status=DagsterRunStatus.SUCCESS, asset_selection=part)
    assert watch.look(now) == 1
    whole = instance.create_run_for_job(job, status=DagsterRunStatus.SUCCESS)
    (record,) = instance.get_run_records(RunsFilter(run_ids=[whole.run_id]))
    assert watch.look(ended(record) + 0.9 * GRACE) == 0
    assert "left to `daily_train`" in watch.skipped
    assert watch.look(ended(record) + GRACE) == 1


# A platform on which runs break off


@pytest.fixture(scope="module")
def _platform(server_url: str, tmp_path_factory: pytest.TempPathFactory, demo: Path) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("catching up")
    shutil.copytree(demo, directory / "growing")
    with own_platform(server_url, directory, directory / "growing") as platform:
        yield platform


@pytest.fixture
def platform(_platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A platform with ratings in a file that nobody has loaded yet."""
    _platform.enter(monkeypatch)
    _append(Path(str(_platform.settings.dataset)) / "ratings.csv")
    return _platform


@pytest.fixture
def watch(platform: Platform) -> Iterator[Watch]:
    with DagsterInstance.get() as real:
        yield Watch(str(platform.settings.dataset), platform.settings.databases.ratings, real)


def _append(ratings: Path) -> None:
    """Let a user like three films more."""
    lines = ratings.read_text().splitlines()
    rated = {tuple(line.split(",")[:2]) for line in lines}
    latest = max(int(line.rsplit(",", 1)[1]) for line in lines[1:])
    films = [film for film in range(1, 500) if ("1", str(film)) not in rated][:3]
    with ratings.open("a") as file:
        file.writelines(f"1,{film},4.5,{latest + 1 + place}\n" for place, film in enumerate(films))


LOADED = ("raw_movies", "raw_ratings")
# The level that is stale, and the assets that were made before. Eligible users have a test of their own below.
BREAKS = {
    "files": (),
    "positive_ratings": (*LOADED, "eligible_users"),
    "split_matrices": (*LOADED, "eligible_users", "positive_ratings"),
    "als_model": (*LOADED, "eligible_users", "positive_ratings", *SPLIT_PARTS),
    "decision": (*LOADED, "eligible_users", "positive_ratings", *SPLIT_PARTS, "als_model"),
}


@pytest.mark.slow
@pytest.mark.parametrize("level", BREAKS)
def test_after_a_run_that_broke_off_at_any_level_the_next_whole_run_makes_everything_anew(
    platform: Platform, watch: Watch, level: str
) -> None:
    if BREAKS[level]:
        assert run("everything", *BREAKS[level]).success
    now = datetime.now(UTC)
    assert watch.look(now) == 1
    assert watch.requests[0].job_name == "everything"
    if level == "decision":
        assert "which was not evaluated" in watch.requests[0].tags["movierec/why"]
    elif level != "files":
        assert level.split("_", maxsplit=1)[0] in watch.requests[0].tags["movierec/why"]
    result = run("everything")  # what `movierec run` does, without a tag
    assert result.success, failures_of(result)
    assert watch.look(now) == 0
    assert "everything is made from it" in watch.skipped


@pytest.mark.slow
def test_a_run_that_broke_off_after_the_ratings_is_requested_once_and_leaves_nothing_stale(
    platform: Platform, watch: Watch
) -> None:
    assert run("everything", *LOADED).success
    now = datetime.now(UTC)
    assert watch.look(now) == 1
    (request,) = watch.requests
    assert request.job_name == "everything"
    assert "eligible_users" in request.tags["movierec/why"]
    with DagsterInstance.get() as instance:
        created = _create(instance, request, DagsterRunStatus.NOT_STARTED)
        assert watch.look(now) == 0, "one run for one cause"
        end = _fail(instance, created)
        assert watch.look(end + 0.9 * PAUSE) == 0, "not at once"
        assert watch.look(end + PAUSE) == 1
        again = watch.requests[-1]
        assert again.tags == request.tags
        assert again.run_key != request.run_key
        job = build().resolve_job_def("everything")
        result = job.execute_in_process(instance=instance, tags=dict(again.tags), raise_on_error=False)
    assert result.success, failures_of(result)
    assert watch.look(end + PAUSE) == 0
    assert "everything is made from it" in watch.skipped


@pytest.mark.slow
def test_after_a_rejected_challenger_only_the_recommendations_are_written(
    platform: Platform, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    if platform.registry.by_alias(CHAMPION) is None:
        assert run("everything").success
        _append(Path(str(platform.settings.dataset)) / "ratings.csv")
    monkeypatch.setenv("MOVIEREC_MAX_POPULARITY_SHARE", "0.000001")
    stopped = run("everything")
    assert "not_only_popular_movies" in failed_checks(stopped)
    assert "user_recommendations" not in metadata_of(stopped)
    now = datetime.now(UTC)
    assert watch.look(now) == 1, "before rejected_challengers has looked"
    with DagsterInstance.get() as instance:
        note_rejection(Promotions(platform.registry, platform.database), instance, stopped.run_id)
    assert watch.look(now) == 1, "and afterwards"
    assert [request.job_name for request in watch.requests] == ["publish", "publish"]
    assert watch.requests[0].run_key == watch.requests[1].run_key
    with DagsterInstance.get() as instance:
        job = build().resolve_job_def("publish")
        assert job.execute_in_process(instance=instance, tags=dict(watch.requests[0].tags)).success
    assert watch.look(now) == 0
    assert "everything is made from it" in watch.skipped


@pytest.mark.slow
def test_a_file_that_does_not_fit_is_tried_three_times_and_given_up_with_the_reason(
    platform: Platform, watch: Watch
) -> None:
    ratings = Path(str(platform.settings.dataset)) / "ratings.csv"
    good = ratings.read_text()
    header, *lines = [line.split(",") for line in good.splitlines()]
    doubled = [[user, movie, f"{2 * float(stars):g}", at] for user, movie, stars, at in lines]
    ratings.write_text("\n".join(map(",".join, [header, *doubled])) + "\n")
    job, now = build().resolve_job_def("everything"), datetime.now(UTC)
    try:
        with DagsterInstance.get() as instance:
            for _ in range(3):
                assert watch.look(now) == 1
                tags = dict(watch.requests[-1].tags)
                assert not job.execute_in_process(instance=instance, tags=tags, raise_on_error=False).success
                now += timedelta(hours=1)
        assert watch.look(now) == watch.look(now) == 0
        (told,) = watch.errors
        assert "`everything` was run 3 times for it without success" in told
        assert "not tried again until the dataset's files change" in told
        assert f"{ratings}: " in told
        assert "is this a 1 to 10 scale? Divide by two." in told
    finally:
        ratings.write_text(good)
    assert watch.look(now) == 1, "other files are a new beginning"
