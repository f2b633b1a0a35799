"""Files of a dataset that somebody still writes are left alone."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import DagsterInstance
from hypothesis import given
from hypothesis import strategies as st

from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.defs import half_written
from movierec_assets.defs.half_written import (
    QUIET,
    QUIET_IN_A_LINE,
    being_written,
    ends_with_a_line,
    stamp_of,
    wait_until_complete,
)
from movierec_assets.tables.database import Database
from movierec_tests.conftest import Dataset
from movierec_tests.defs.watch import RATINGS, Watch

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
CUT = "3,1,4.0,9649"


@pytest.fixture
def files(make_dataset: Dataset) -> MovieLensFiles:
    """Files whose last change was an hour ago."""
    found = MovieLensFiles.at(make_dataset(RATINGS))
    for path in found.directory.iterdir():
        written(path, NOW - timedelta(hours=1))
    return found


def written(path: Path, at: datetime) -> None:
    os.utime(path, (at.timestamp(), at.timestamp()))


def test_files_that_did_not_change_for_a_while_are_complete(files: MovieLensFiles) -> None:
    assert being_written(files, NOW, NOW) is None, "seen for the first time, and an hour old"
    for path in (files.ratings, files.movies):
        written(path, NOW - QUIET / 2)
        assert "may still be written: it changed 10 s ago" in str(being_written(files, NOW, NOW))
        assert being_written(files, NOW, NOW + QUIET / 2) is None
        written(path, NOW - timedelta(hours=1))


def test_a_file_that_ends_within_a_line_is_waited_for_longer(files: MovieLensFiles) -> None:
    with files.ratings.open("a") as file:
        file.write(CUT)
    written(files.ratings, NOW)
    assert not ends_with_a_line(files.ratings)
    assert being_written(files, NOW, NOW + QUIET) is not None
    assert being_written(files, NOW, NOW + QUIET_IN_A_LINE) is None, "files without a last line end exist"


def test_a_time_in_the_future_is_that_of_another_clock(files: MovieLensFiles) -> None:
    written(files.ratings, NOW + timedelta(days=1))
    assert being_written(files, NOW, NOW + QUIET / 2) is not None
    assert being_written(files, NOW, NOW + QUIET) is None


@given(st.binary(max_size=20))
def test_only_the_last_byte_of_a_text_file_counts(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "ends.csv"
    path.write_bytes(content)
    assert ends_with_a_line(path) == (not content or content[-1:] in (b"\n", b"\r"))


def test_a_file_that_grows_is_requested_once_and_complete(database: Database, files: MovieLensFiles) -> None:
    with DagsterInstance.ephemeral() as instance:
        watch = Watch(str(files.directory), database.url, instance)
        watch.quiet = QUIET
        for second in range(0, 300, 30):
            with files.ratings.open("a") as file:
                file.write(f"{second + 10},1,4.0,964982703\n")
            written(files.ratings, NOW + timedelta(seconds=second))
            assert watch.look(NOW + timedelta(seconds=second + 5)) == 0
            assert "may still be written" in watch.skipped
        assert watch.look(NOW + timedelta(seconds=270 + 20)) == 1
        assert watch.look(NOW + timedelta(seconds=270 + 50)) == 1
        assert len({request.run_key for request in watch.requests}) == 1


def test_a_scheduled_run_waits_for_the_writer(files: MovieLensFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(half_written, "_LOOK_SECONDS", 0.02)
    with files.ratings.open("a") as file:
        file.write(CUT)
    cut, waits = stamp_of(files), threading.Event()

    def finish() -> None:
        assert waits.wait(60)
        with files.ratings.open("a") as file:
            file.write("82703\n")
        written(files.ratings, NOW - timedelta(days=1000))

    writer = threading.Thread(target=finish)
    writer.start()
    found = wait_until_complete(lambda: files, lambda _: waits.set(), timedelta(seconds=30))
    writer.join()
    assert stamp_of(found) != cut
    assert files.ratings.read_text().endswith("82703\n")
