"""Automatic runs keep the loaded dataset, also when its files are gone, as after a restore on another machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance
from dagster._core.storage.tags import SCHEDULE_NAME_TAG

from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.tables.app_ratings import post_rating
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.loading import is_loaded
from movierec_tests.conftest import Dataset
from movierec_tests.datasets.test_judgement import rows_of
from movierec_tests.defs.harness import failures_of, metadata_of, own_platform, run
from movierec_tests.defs.watch import RATINGS, Watch, derive, load

LARGER = [*RATINGS, *(f"{user},1,4.0,964982703" for user in range(2, 9))]


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def test_the_sensor_loads_no_other_dataset_when_the_files_are_gone_and_loads_them_when_they_are_back(
    database: Database,
    make_dataset: Dataset,
    instance: DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    mine = make_dataset(RATINGS, name="mine").rename(data / "mine")
    monkeypatch.setenv("MOVIEREC_DATA_DIR", str(data))
    monkeypatch.setenv("MOVIEREC_NEW_RATINGS_TO_TRAIN", "1")
    load(database, mine)
    derive(database, instance)
    watch = Watch(None, database.url, instance)
    assert watch.look() == 0
    assert watch.skipped == f"{mine} is loaded, and everything is made from it."

    mine.rename(tmp_path / "mine")
    assert watch.look() == 0
    assert "mine is loaded, and its files are not on this machine" in watch.skipped
    make_dataset(LARGER, name="larger").rename(data / "larger")
    assert watch.look() == 0, "another dataset is there, and nobody chose it"
    assert "holds larger, which is not loaded without a choice" in watch.skipped

    with database.transaction() as cursor:
        post_rating(cursor, 1, 1, 5.0)
    assert watch.look() == 1, "what is loaded is learned from meanwhile"
    assert "ratings of the app" in watch.requests[-1].tags["movierec/why"]
    derive(database, instance)
    assert watch.look() == 0

    ratings = tmp_path / "mine" / "ratings.csv"
    ratings.write_text(ratings.read_text() + "2,1,4.0,964982703\n")
    (tmp_path / "mine").rename(mine)
    assert watch.look() == 1, "the files are back, with a new rating"
    assert watch.requests[-1].tags["movierec/dataset"] == "mine"
    load(database, mine)
    derive(database, instance)
    monkeypatch.setenv("MOVIEREC_DATASET", "larger")
    assert watch.look() == 1, "a person chose it"
    assert watch.requests[-1].tags["movierec/dataset"] == "larger"


def test_the_sensor_does_not_load_another_dataset_from_the_place_of_the_loaded_one(
    database: Database,
    make_dataset: Dataset,
    instance: DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("MOVIEREC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("MOVIEREC_DATASET", raising=False)
    rated = [f"{user},{movie},4.0,{964982703 + movie}" for user in range(1, 21) for movie in range(1, 11)]
    mine = make_dataset(rated, name="mine")
    load(database, mine)
    derive(database, instance)
    watch = Watch(None, database.url, instance)
    assert watch.look() == 0
    make_dataset([f"1{line}" for line in rated], name="mine")
    assert watch.look() == 0
    assert "holds another dataset now" in watch.skipped
    make_dataset([*rated, "1,11,4.0,964982720"], name="mine")
    assert watch.look() == 1, "the files are back, with a new rating"


@pytest.mark.slow
def test_a_nightly_refresh_without_the_files_leaves_the_ratings_and_a_choice_replaces_them(
    server_url: str, tmp_path: Path, make_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = make_dataset(rows_of(["2", "3.5", "4", "5"]), name="mine")
    with own_platform(server_url, tmp_path, mine) as platform:
        first = metadata_of(run("refresh"))
        monkeypatch.delenv("MOVIEREC_DATASET")
        shutil.rmtree(mine)
        (tmp_path / "data").mkdir()
        larger = make_dataset(LARGER, name="larger").rename(tmp_path / "data" / "larger")
        result = run("refresh", tags={SCHEDULE_NAME_TAG: "daily_refresh"})
        assert result.success, failures_of(result)
        shown = metadata_of(result)
        for asset in ("raw_movies", "raw_ratings"):
            assert (shown[asset]["dataset"], shown[asset]["reloaded"]) == ("mine", False)
            assert shown[asset]["dagster/row_count"] == first[asset]["dagster/row_count"]
        assert "larger, which is not loaded without a choice" in shown["raw_movies"]["why_this_dataset"]
        count = platform.database.scalar(f"SELECT count(*) FROM {SCHEMA}.ratings")
        assert count == first["raw_ratings"]["dagster/row_count"]

        monkeypatch.setenv("MOVIEREC_DATASET", "larger")
        assert metadata_of(run("refresh"))["raw_ratings"]["dataset"] == "larger"
        assert is_loaded(platform.database, MovieLensFiles.at(larger))
