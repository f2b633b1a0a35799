"""A champion is served over its own dataset, and over no other."""

from __future__ import annotations

import pytest

from movierec_assets.datasets.identity import PairSketch
from movierec_assets.models.champion import load_champion
from movierec_assets.models.errors import OtherDatasetError
from movierec_assets.models.version import DATASET, DATASET_ID, POSITIVE_THRESHOLD
from movierec_assets.tables.database import SCHEMA, Database, Load, record_load
from movierec_assets.tables.known_datasets import recognize, recognize_loaded
from movierec_tests.defs.harness import Platform
from movierec_tests.models.harness import MOVIES, move_alias, register

pytestmark = pytest.mark.slow

NAMES = ("movie_id", "title", "year", "genres", "imdb_id", "tmdb_id")


@pytest.fixture
def platform(platform: Platform) -> Platform:
    """Films, ratings and a champion without a record of its dataset."""
    move_alias(platform, register(platform))
    return platform


def _load(database: Database, name: str) -> None:
    """Record that the tables were loaded from a dataset of this name."""
    with database.transaction() as cursor:
        dataset = recognize(cursor, name, PairSketch(range(100)))
        record_load(cursor, "ratings", Load(name, f"/data/{name}", {}), dataset.id)


def _other_films(database: Database) -> None:
    with database.replace("movies") as table:
        table.write_rows(NAMES, [(movie, f"Another film {movie}", 1999, [], None, None) for movie in MOVIES])


def _tag(platform: Platform, **tags: str) -> None:
    for name, value in tags.items():
        platform.registry.set_tag(1, name, value)


def test_a_champion_of_the_loaded_dataset_is_served_by_its_own_definition_of_a_like(platform: Platform) -> None:
    _load(platform.database, "ours")
    _tag(platform, **{DATASET_ID: "1", DATASET: "ours", POSITIVE_THRESHOLD: "3"})
    served = load_champion(platform.registry, platform.database)
    assert (served.version.number, served.positive_threshold) == (1, 3.0)
    assert set(served.recommender.ids.movie_ids.tolist()) <= set(MOVIES)


def test_a_champion_of_another_dataset_is_refused_with_both_names_and_the_remedy(platform: Platform) -> None:
    _load(platform.database, "ours")
    _other_films(platform.database)
    _load(platform.database, "theirs")
    _tag(platform, **{DATASET_ID: "1", DATASET: "ours"})
    with pytest.raises(OtherDatasetError, match=r"trained on ours \(dataset 1\), and theirs \(dataset 2\)") as refused:
        load_champion(platform.registry, platform.database)
    assert "movierec run --job train" in str(refused.value)


def test_movies_of_one_dataset_beside_ratings_of_another_are_refused(platform: Platform) -> None:
    _load(platform.database, "ours")
    _tag(platform, **{DATASET_ID: "1", DATASET: "ours"})
    load_champion(platform.registry, platform.database)
    _other_films(platform.database)  # and then the process was killed
    with pytest.raises(OtherDatasetError):
        load_champion(platform.registry, platform.database)


def test_a_champion_of_an_earlier_version_is_recognized_by_its_likes_or_refused(platform: Platform) -> None:
    database = platform.database
    likes = platform.registry.load(platform.registry.version(1))
    with database.transaction() as cursor:
        cursor.execute(f"TRUNCATE {SCHEMA}.ratings")
        for row, user in enumerate(likes.ids.user_ids.tolist()):
            for movie in likes.ids.movie_ids[likes.seen[row].indices].tolist():
                cursor.execute(f"INSERT INTO {SCHEMA}.ratings VALUES (%s, %s, 4.5, 0, now())", [user, movie])
        cursor.execute(
            f"INSERT INTO {SCHEMA}.loads (table_name, version, source, details) "
            "VALUES ('ratings', '1', '/x/old', '{}')"
        )
    recognize_loaded(database)
    served = load_champion(platform.registry, database)
    assert str(served.version.dataset) == "old (dataset 1)"
    assert str(platform.registry.version(1).dataset) == "old (dataset 1)"
    stranger = register(platform, seed=99)
    move_alias(platform, stranger)
    with database.transaction() as cursor:
        cursor.execute(f"UPDATE {SCHEMA}.datasets SET pairs = ARRAY[1, 2, 3]::bigint[]")
    with pytest.raises(OtherDatasetError, match="trained on an unknown dataset, and old"):
        load_champion(platform.registry, database)
