"""The champion's copy on the local disk follows the alias, and the alias is found without MLflow's client."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from movierec_assets.models import registry_lookup
from movierec_assets.models.errors import RegistryUnavailableError
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import CHAMPION, MODEL_NAME
from movierec_assets.serving.recommendations import Answer, RecommendationService
from movierec_tests.defs.harness import Platform
from movierec_tests.models.harness import BETTER, USERS, carry_out, move_alias, register
from movierec_tests.models.server import mlflow_server

pytestmark = pytest.mark.slow


@pytest.fixture
def platform(platform: Platform) -> Platform:
    """Ratings, no version and no copy."""
    shutil.rmtree(platform.registry.copy.directory, ignore_errors=True)
    return platform


def _copies(platform: Platform) -> list[str]:
    return sorted(path.name.split("-")[0] for path in platform.registry.copy.directory.iterdir())


def _answer(platform: Platform) -> Answer:
    """The answer of a new process."""
    registry = ModelRegistry.of(platform.settings)
    return RecommendationService(platform.database, registry).for_user(USERS[0], 5, "latest")


def test_each_promotion_leaves_a_copy_that_answers_without_the_artifacts(platform: Platform) -> None:
    first, second = register(platform, seed=1), register(platform, seed=2)
    for number in (first, second):
        carry_out(platform, number, BETTER)
        assert _copies(platform) == [str(number)]
        version = platform.champion()
        copied, loaded = platform.registry.copy.read(version), platform.registry.load(version)
        assert copied is not None
        for name, array in loaded.to_arrays().items():
            assert (copied.to_arrays()[name] == array).all(), name
    expected = _answer(platform)
    assert expected.model_version == second
    shutil.rmtree(platform.settings.state / "versions" / platform.champion().run_id)
    assert _answer(platform) == expected


def test_after_the_alias_was_moved_in_mlflow_the_next_reader_brings_the_copy(platform: Platform) -> None:
    first, second = register(platform, seed=1), register(platform, seed=2)
    carry_out(platform, second, BETTER)
    before = _answer(platform)
    move_alias(platform, first)
    after = _answer(platform)
    assert (before.model_version, after.model_version) == (second, first)
    assert [movie.score for movie in after.movies] != [movie.score for movie in before.movies]
    assert _copies(platform) == [str(first)]


@pytest.mark.parametrize(
    "damage", ["cut short", "changed inside", "a file is missing", "no manifest", "another format"]
)
def test_a_damaged_copy_is_made_again(platform: Platform, damage: str) -> None:
    carry_out(platform, register(platform), BETTER)
    expected = _answer(platform)
    (directory,) = platform.registry.copy.directory.iterdir()
    if damage == "cut short":
        os.truncate(directory / "movie_factors.npy", 200)
    elif damage == "changed inside":
        content = bytearray((directory / "movie_factors.npy").read_bytes())
        content[-8] ^= 0xFF
        (directory / "movie_factors.npy").write_bytes(content)
    elif damage == "a file is missing":
        (directory / "titles.npy").unlink()
    elif damage == "no manifest":
        (directory / "manifest.json").unlink()
    else:
        (directory / "manifest.json").write_text('{"format": 0}')
    assert platform.registry.copy.read(platform.champion()) is None
    assert _answer(platform) == expected
    assert platform.registry.copy.read(platform.champion()) is not None


def test_where_no_copy_can_be_written_answers_come_from_the_artifacts(platform: Platform) -> None:
    platform.registry.copy.directory.write_text("a file where the directory should be")
    try:
        carry_out(platform, register(platform), BETTER)
        assert _answer(platform).model_version == 1
    finally:
        platform.registry.copy.directory.unlink()


def test_a_version_of_the_same_number_from_another_run_is_not_taken_for_the_copied_one(platform: Platform) -> None:
    carry_out(platform, register(platform, seed=1), BETTER)
    before = _answer(platform)
    platform.registry.client.delete_registered_model(MODEL_NAME)
    carry_out(platform, register(platform, seed=2), BETTER)
    after = _answer(platform)
    assert before.model_version == after.model_version == 1
    assert [movie.score for movie in after.movies] != [movie.score for movie in before.movies]


def _compare_with_client(registry: ModelRegistry, uri: str) -> bool:
    """Compare the version found without MLflow's client with the client's; False when there was none."""
    found, of_client = registry_lookup.by_alias(uri, MODEL_NAME, CHAMPION), registry._by_alias_of_client(CHAMPION)
    assert (found is None) == (of_client is None)
    if found is None or of_client is None:
        return False
    assert (found.number, found.run_id, found.source, found.tags) == (
        of_client.number,
        of_client.run_id,
        of_client.source,
        of_client.tags,
    )
    assert found.created is not None
    assert of_client.created is not None
    assert abs(found.created - of_client.created) < timedelta(milliseconds=10)
    return True


def test_the_alias_is_found_as_by_mlflows_client_in_its_tables_and_at_its_server(
    platform: Platform, tmp_path: Path
) -> None:
    registry = platform.registry
    with mlflow_server(platform.settings.mlflow_uri, tmp_path) as server:
        uris = (platform.settings.mlflow_uri, server)

        def there(expected: bool) -> None:
            assert [_compare_with_client(registry, uri) for uri in uris] == [expected, expected]

        there(False)  # no model
        first, second = register(platform, seed=1, threshold=3.5), register(platform, seed=2)
        there(False)  # no alias
        move_alias(platform, first)
        there(True)
        move_alias(platform, second)
        there(True)
        registry.client.delete_model_version(MODEL_NAME, str(second))
        there(False)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "postgresql+psycopg2://u:secret@127.0.0.1:9/x_mlflow"])
def test_with_mlflow_away_an_answer_is_refused_in_a_sentence(platform: Platform, uri: str) -> None:
    service = RecommendationService(platform.database, ModelRegistry.of(platform.settings, uri))
    with pytest.raises(RegistryUnavailableError, match=r"MLflow does not answer at .*127\.0\.0\.1:9"):
        service.for_user(USERS[0], 5)


def test_other_stores_are_asked_by_mlflows_client(platform: Platform) -> None:
    for uri in ("sqlite:///x.db", "http://127.0.0.1:9", "postgresql+psycopg2://u@127.0.0.1:9/x"):
        with pytest.raises(registry_lookup.LookupUnsupportedError):
            registry_lookup.by_alias(uri, MODEL_NAME, CHAMPION)
