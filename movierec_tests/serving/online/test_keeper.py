"""The keeper: what it publishes after each change, and what stays when something cannot be used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from movierec_assets.models.version_files import MODEL_FILE
from movierec_assets.serving.online import keeper as keeper_module
from movierec_assets.serving.online import stored
from movierec_assets.serving.online.keeper import Keeper
from movierec_assets.serving.online.snapshot import Snapshot
from movierec_assets.serving.recommendations import RecommendationService
from movierec_assets.settings import Settings
from movierec_assets.tables.database import SCHEMA, Load, record_load
from movierec_tests.defs.harness import Platform, new_app_users
from movierec_tests.full_disk import files_up_to
from movierec_tests.models.harness import CLOSED, MOVIES, USERS, lose_champion, move_alias
from movierec_tests.serving.online.loaded import load, load_movies, ours
from movierec_tests.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def platform(platform: Platform) -> Platform:
    """Films and ratings of a dataset, without a version or a snapshot."""
    shutil.rmtree(directory_of(platform), ignore_errors=True)
    shutil.rmtree(platform.registry.copy.directory, ignore_errors=True)
    load(platform)
    return platform


@pytest.fixture
def keeper(platform: Platform) -> Iterator[Keeper]:
    keeper = Keeper(platform.settings)
    yield keeper
    keeper.stop()


def directory_of(platform: Platform) -> Path:
    return stored.directory_of(platform.settings.state)


def published(platform: Platform) -> Snapshot:
    """The snapshot as a new worker reads it."""
    pointer = stored.read_pointer(directory_of(platform))
    assert pointer is not None
    reading = stored.read_snapshot(directory_of(platform), pointer)
    assert reading.problem is None
    return reading.snapshot


def version_of(platform: Platform) -> int | None:
    champion = published(platform).champion
    return None if champion is None else champion.version


def told(platform: Platform) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory_of(platform) / stored.KEEPER).read_text())
    return found


def until_users(platform: Platform, keeper: Keeper, version: str = "1") -> None:
    """Look until the states of users are made."""

    def made() -> bool:
        keeper.look()
        users = published(platform).users
        return users is not None and users.ratings_version == version

    wait_until(made, "states of users")


def parts_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir() if path.is_dir()}


def test_each_champion_is_published_with_its_catalogue_and_then_with_the_states_of_users(
    platform: Platform, keeper: Keeper
) -> None:
    for seed in (1, 2):
        move_alias(platform, ours(platform, seed=seed))
        keeper.look()
        found = published(platform)
        assert found.champion is not None
        assert (found.champion.version, found.champion.positive_threshold, found.users) == (seed, 4.0, None)
        assert found.catalogue.dataset == "ours"
        assert found.catalogue.movie_ids.tolist() == MOVIES
        until_users(platform, keeper)
        states = published(platform).users
        assert states is not None
        assert (states.version, states.user_ids.tolist()) == (seed, USERS)
        pointer = stored.read_pointer(directory_of(platform))
        assert pointer is not None
        assert parts_in(directory_of(platform)) == pointer.names
    assert published(platform).champion is not None


def test_what_is_published_recommends_as_the_champion_itself(platform: Platform, keeper: Keeper) -> None:
    move_alias(platform, ours(platform))
    until_users(platform, keeper)
    found = published(platform)
    assert found.champion is not None
    assert found.users is not None
    service = RecommendationService(platform.database, platform.registry)
    recommender = found.champion.recommender
    for row, user in enumerate(found.users.user_ids.tolist()):
        expected = service.for_user(user, 10)
        lists = recommender.scorer.recommend(
            found.users.vectors[row : row + 1],
            lambda _: found.users.recent,  # type: ignore[union-attr]
            found.users.rated[row],
            10,
            elapsed=np.array([1e9]),
        )
        scores = lists.scores[0][lists.items[0] >= 0].tolist()
        assert scores == pytest.approx([movie.score for movie in expected.movies], abs=1e-4)
        rated = recommender.ids.movie_ids[found.users.rated[row].indices].tolist()
        assert rated == sorted(
            movie
            for (movie,) in platform.database.rows(f"SELECT movie_id FROM {SCHEMA}.ratings WHERE user_id = %s", [user])
        )


@pytest.mark.parametrize("how", ["alias", "version", "model"])
def test_without_a_champion_the_catalogue_stays_and_the_reason_is_told(
    platform: Platform, keeper: Keeper, how: str
) -> None:
    number = ours(platform)
    move_alias(platform, number)
    keeper.look()
    lose_champion(platform, how, number)
    keeper.look()
    found = published(platform)
    assert (found.champion, found.users) == (None, None)
    assert found.why_none
    assert "champion" in found.why_none
    assert found.catalogue.movie_ids.tolist() == MOVIES


def test_before_anything_is_loaded_there_is_an_empty_snapshot(platform: Platform, keeper: Keeper) -> None:
    with platform.database.transaction() as cursor:
        cursor.execute(f"TRUNCATE {SCHEMA}.movies, {SCHEMA}.ratings, {SCHEMA}.loads")
    keeper.look()
    found = published(platform)
    assert (found.champion, len(found.catalogue.movie_ids), found.catalogue.dataset_id) == (None, 0, None)
    assert found.why_none


def test_another_dataset_takes_the_champion_away_until_its_own_is_loaded_again(
    platform: Platform, keeper: Keeper
) -> None:
    number = ours(platform)
    move_alias(platform, number)
    keeper.look()
    load(platform, "theirs", films="Another film")
    keeper.look()
    found = published(platform)
    assert (found.catalogue.dataset, found.champion) == ("theirs", None)
    assert found.catalogue.titles[0] == f"Another film {MOVIES[0]}"
    assert found.why_none
    assert "theirs" in found.why_none
    load(platform, "ours", "2")
    keeper.look()
    assert (published(platform).catalogue.dataset, version_of(platform)) == ("ours", number)


def test_between_the_two_loads_of_another_dataset_everything_stays(platform: Platform, keeper: Keeper) -> None:
    number = ours(platform)
    move_alias(platform, number)
    keeper.look()
    before = stored.read_pointer(directory_of(platform))
    load_movies(platform, "theirs", "1", "Another film")
    keeper.look()
    assert stored.read_pointer(directory_of(platform)) == before
    assert "Another dataset is being loaded" in told(platform)["problems"]["catalogue"]


def test_ratings_that_are_appended_bring_a_new_catalogue_and_new_states_for_the_same_champion(
    platform: Platform, keeper: Keeper
) -> None:
    move_alias(platform, ours(platform))
    until_users(platform, keeper)
    before = stored.read_pointer(directory_of(platform))
    with platform.database.transaction() as cursor:
        cursor.execute(f"INSERT INTO {SCHEMA}.rating_totals VALUES (%s, 4.5, 77)", [MOVIES[0]])
        record_load(cursor, "ratings", Load("2", "/data/ours", {}), 1)
    until_users(platform, keeper, "2")
    after = stored.read_pointer(directory_of(platform))
    assert before is not None
    assert after is not None
    assert (after.champion, after.catalogue == before.catalogue) == (before.champion, False)
    assert published(platform).catalogue.ratings[0] == 77


@pytest.mark.parametrize("fault", ["no files", "a NaN among the factors", "too few factors", "a damaged file"])
def test_a_new_champion_that_cannot_be_used_leaves_the_one_before(
    platform: Platform, keeper: Keeper, fault: str
) -> None:
    good = ours(platform, seed=1)
    move_alias(platform, good)
    keeper.look()
    before = stored.read_pointer(directory_of(platform))
    broken = ours(platform, seed=2)
    version = platform.registry.version(broken)
    file = platform.settings.state / "versions" / version.run_id / "artifacts" / MODEL_FILE
    with np.load(file) as found:
        arrays = dict(found)
    if fault == "no files":
        shutil.rmtree(file.parent)
    elif fault == "a damaged file":
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(bytes(content))
    else:
        if fault == "too few factors":
            arrays["movie_factors"] = arrays["movie_factors"][:, :2]
        else:
            arrays["movie_factors"][3, 1] = np.nan
        np.savez(file, **arrays)
    move_alias(platform, broken)
    keeper.look()
    assert stored.read_pointer(directory_of(platform)) == before
    assert told(platform)["alias"] == broken
    assert f"version {broken}, cannot be used" in told(platform)["problems"]["champion"]
    move_alias(platform, good)
    keeper.look()
    assert told(platform)["problems"] == {}


def test_a_full_disk_leaves_the_champion_before_and_the_next_one_is_served_when_there_is_room(
    platform: Platform, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "RETRY_SECONDS", 0.0)
    move_alias(platform, ours(platform, seed=1))
    until_users(platform, keeper)
    before, names = stored.read_pointer(directory_of(platform)), parts_in(directory_of(platform))
    second = ours(platform, seed=2)
    move_alias(platform, second)
    for _ in range(2):
        with files_up_to(600):
            keeper.look()
        assert stored.read_pointer(directory_of(platform)) == before
        assert version_of(platform) == 1
        assert parts_in(directory_of(platform)) == names, "nothing is left of what was not written"
        assert any("is full" in problem for problem in told(platform)["problems"].values())
    keeper.look()
    assert version_of(platform) == second
    assert told(platform)["problems"] == {}


def test_a_snapshot_whose_pointer_was_not_written_is_published_later(
    platform: Platform, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "RETRY_SECONDS", 0.0)
    move_alias(platform, ours(platform, seed=1))
    keeper.look()
    move_alias(platform, ours(platform, seed=2))
    publish = stored.publish

    def without_room(directory: Path, pointer: stored.Pointer) -> None:
        with files_up_to(1):
            publish(directory, pointer)

    monkeypatch.setattr(stored, "publish", without_room)
    keeper.look()
    assert version_of(platform) == 1
    monkeypatch.setattr(stored, "publish", publish)
    keeper.look()
    assert version_of(platform) == 2


def test_clients_are_not_told_where_the_files_of_an_unusable_champion_are(platform: Platform, keeper: Keeper) -> None:
    broken = ours(platform)
    shutil.rmtree(platform.settings.state / "versions" / platform.registry.version(broken).run_id / "artifacts")
    move_alias(platform, broken)
    for _ in range(2):
        keeper.look()
        why = published(platform).why_none
        assert why == f"The champion, version {broken}, cannot be used; the keeper's log says why."
    assert MODEL_FILE in told(platform)["problems"]["champion"]


@pytest.mark.parametrize("part", ["catalogue", "champion", "users"])
def test_parts_that_a_worker_could_not_read_are_made_again(platform: Platform, keeper: Keeper, part: str) -> None:
    move_alias(platform, ours(platform))
    until_users(platform, keeper)
    directory = directory_of(platform)
    pointer = stored.read_pointer(directory)
    damaged = max((directory / getattr(pointer, part)).glob("*.npy"), key=lambda file: file.stat().st_size)
    damaged.write_bytes(damaged.read_bytes()[:-4] + b"\xff\xff\xff\xff")
    (directory / stored.UNREADABLE).touch()
    keeper.look()
    until_users(platform, keeper)
    wait_until(lambda: published(platform).users is not None, "states of users")
    assert not (directory / stored.UNREADABLE).exists()
    assert parts_in(directory) == set(vars(stored.read_pointer(directory)).values()) - {None}


def test_with_mlflow_away_a_new_keeper_keeps_the_last_good_snapshot_and_tells(platform: Platform) -> None:
    number = ours(platform)
    move_alias(platform, number)
    first = Keeper(platform.settings)
    first.look()
    first.stop()
    before = stored.read_pointer(directory_of(platform))
    away = Keeper(platform.settings.model_copy(update={"mlflow_tracking_uri": CLOSED}))
    away.look()
    assert stored.read_pointer(directory_of(platform)) is not None
    assert version_of(platform) == number
    assert stored.read_pointer(directory_of(platform)) == before
    assert told(platform)["mlflow"]["answers"] is False
    assert told(platform)["database"]["answers"] is True
    load(platform, version="2")
    away.look()
    assert (published(platform).catalogue.dataset, version_of(platform)) == ("ours", number)
    assert stored.read_pointer(directory_of(platform)) != before
    load(platform, "theirs", films="Another film")
    away.look()
    found = published(platform)
    assert (found.catalogue.dataset, found.champion) == ("theirs", None)
    assert found.why_none
    assert "MLflow does not answer" in found.why_none
    away.stop()


def test_with_the_database_away_the_last_good_snapshot_stays(platform: Platform) -> None:
    move_alias(platform, ours(platform))
    first = Keeper(platform.settings)
    first.look()
    first.stop()
    before = stored.read_pointer(directory_of(platform))
    settings: Settings = platform.settings.model_copy(update={"database_url": "postgresql://x@127.0.0.1:9/x"})
    away = Keeper(settings)
    away.look()
    assert stored.read_pointer(directory_of(platform)) == before
    assert told(platform)["database"]["answers"] is False
    away.stop()


def test_states_of_users_are_made_again_when_ratings_were_posted_a_while_ago(
    platform: Platform, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    move_alias(platform, ours(platform))
    until_users(platform, keeper)
    with platform.database.transaction() as cursor:
        cursor.execute(
            f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating) VALUES (%s, %s, 5)", [USERS[0], MOVIES[0]]
        )
    keeper.look()
    keeper.look()
    assert not told(platform)["users_are_made"]
    monkeypatch.setattr(keeper_module, "USERS_SECONDS", -1.0)

    def newer() -> bool:
        keeper.look()
        users = published(platform).users
        return users is not None and users.watermark == 1

    wait_until(newer, "states with the rating that was posted")


def test_users_of_the_app_have_no_state(platform: Platform, keeper: Keeper) -> None:
    move_alias(platform, ours(platform))
    with platform.database.transaction() as cursor:
        (user,) = new_app_users(cursor)
        cursor.execute(
            f"INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating) VALUES (%s, %s, 5)", [user, MOVIES[0]]
        )
    until_users(platform, keeper)
    users = published(platform).users
    assert users is not None
    assert (users.user_ids.tolist(), users.watermark) == (USERS, 1)


def test_the_registry_is_listed_for_workers_after_each_change(platform: Platform, keeper: Keeper) -> None:
    first, second = ours(platform, seed=1), ours(platform, seed=2)
    keeper.look()  # starts a list without a champion
    move_alias(platform, first)
    file = directory_of(platform) / "registry.json"

    def listed() -> bool:
        keeper.look()
        return file.exists() and json.loads(file.read_text())["champion"] == first

    wait_until(listed, "the list of versions")
    assert [version["version"] for version in json.loads(file.read_text())["versions"]] == [second, first]
