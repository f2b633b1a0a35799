"""After a run that ended early, the sensor requests a run that completes it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import (
    DagsterInstance,
    DagsterRunStatus,
)

from movierec_assets.defs.attempts import PAUSE
from movierec_assets.defs.rejections import note_rejection
from movierec_assets.models.decisions import Promotions
from movierec_assets.resources.provenance import SPLIT_PARTS
from movierec_tests.defs.graph import APART, GRAPH
from movierec_tests.defs.harness import Platform, failed_checks, failures_of, metadata_of, run
from movierec_tests.defs.watch import Watch, create, fail
from movierec_tests.first_day import FirstDay


@pytest.fixture(scope="module")
def module_platform(first_day: FirstDay, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("catching up")
    shutil.copytree(first_day.files, directory / "growing")
    with first_day.copied(directory, directory / "growing") as platform:
        yield platform


@pytest.fixture
def platform(module_platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A platform with ratings in a file that are not loaded yet."""
    module_platform.enter(monkeypatch)
    _append(Path(str(module_platform.settings.dataset)) / "ratings.csv")
    return module_platform


@pytest.fixture
def watch(platform: Platform) -> Iterator[Watch]:
    with DagsterInstance.get() as real:
        yield Watch(str(platform.settings.dataset), platform.settings.databases.ratings, real)


def _append(ratings: Path) -> None:
    """Append three likes of a user."""
    lines = ratings.read_text().splitlines()
    rated = {tuple(line.split(",")[:2]) for line in lines}
    latest = max(int(line.rsplit(",", 1)[1]) for line in lines[1:])
    films = [film for film in range(1, 500) if ("1", str(film)) not in rated][:3]
    with ratings.open("a") as file:
        file.writelines(f"1,{film},4.5,{latest + 1 + index}\n" for index, film in enumerate(films))


LOADED = ("raw_movies", "raw_ratings")
# The next assets of a run that breaks off later and later, and the level that is stale after them.
STEPS = {
    LOADED: "eligible_users",
    ("eligible_users",): "positive_ratings",
    ("positive_ratings",): "split_matrices",
    SPLIT_PARTS: "als_model",
    ("next_movies", "als_model"): "decision",
}


@pytest.mark.slow
def test_after_a_run_that_failed_at_any_level_a_run_is_requested_that_makes_everything_again(
    platform: Platform, watch: Watch
) -> None:
    now = datetime.now(UTC)
    assert watch.look(now) == 1, "new ratings"
    assert watch.requests.pop().job_name == "everything"
    for assets, level in STEPS.items():
        assert run("everything", *assets).success
        assert watch.look(now) == 1, level
        assert watch.requests[-1].job_name == "everything"
        if level != "decision":
            assert level.split("_", maxsplit=1)[0] in watch.requests[-1].tags["movierec/why"]
    assert "which was not evaluated" in watch.requests[-1].tags["movierec/why"]
    assert len({request.tags["movierec/cause"] for request in watch.requests}) == len(STEPS)
    result = run("everything")  # what `movierec run` does, without a tag
    assert result.success, failures_of(result)
    assert set(metadata_of(result)) == GRAPH.keys() - APART, "all levels, wherever the run before it ended"
    assert watch.look(now) == 0
    assert "everything is made from it" in watch.skipped


@pytest.mark.slow
def test_a_run_that_failed_after_the_ratings_is_requested_once_and_leaves_nothing_stale(
    platform: Platform, watch: Watch
) -> None:
    assert run("everything", *LOADED).success
    now = datetime.now(UTC)
    assert watch.look(now) == 1
    (request,) = watch.requests
    assert request.job_name == "everything"
    assert "eligible_users" in request.tags["movierec/why"]
    with DagsterInstance.get() as instance:
        created = create(instance, request, DagsterRunStatus.NOT_STARTED)
        assert watch.look(now) == 0, "one run for one cause"
        end = fail(instance, created)
        assert watch.look(end + 0.9 * PAUSE) == 0, "not at once"
        assert watch.look(end + PAUSE) == 1
        again = watch.requests[-1]
        assert again.tags == request.tags
        assert again.run_key != request.run_key
    result = run("everything", tags=again.tags)
    assert result.success, failures_of(result)
    assert watch.look(end + PAUSE) == 0
    assert "everything is made from it" in watch.skipped


@pytest.mark.slow
def test_after_a_rejected_challenger_only_the_recommendations_are_written(
    platform: Platform, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    assert run("publish", tags=watch.requests[0].tags).success
    assert watch.look(now) == 0
    assert "everything is made from it" in watch.skipped


@pytest.mark.slow
def test_a_file_with_wrong_ratings_is_tried_three_times_and_given_up_with_the_reason(
    platform: Platform, watch: Watch
) -> None:
    ratings = Path(str(platform.settings.dataset)) / "ratings.csv"
    good = ratings.read_text()
    header, *lines = [line.split(",") for line in good.splitlines()]
    doubled = [[user, movie, f"{2 * float(stars):g}", at] for user, movie, stars, at in lines]
    ratings.write_text("\n".join(map(",".join, [header, *doubled])) + "\n")
    now = datetime.now(UTC)
    try:
        for _ in range(3):
            assert watch.look(now) == 1
            assert not run("everything", tags=watch.requests[-1].tags).success
            now += timedelta(hours=1)
        assert watch.look(now) == watch.look(now) == 0
        (error,) = watch.errors
        assert "`everything` was run 3 times for it without success" in error
        assert "not tried again until the dataset's files change" in error
        assert f"{ratings}: " in error
        assert "is this a 1 to 10 scale? Divide by two." in error
    finally:
        ratings.write_text(good)
    assert watch.look(now) == 1, "other files are tried"
