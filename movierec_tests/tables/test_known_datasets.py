"""Datasets keep their numbers, whatever the names of their files."""

from __future__ import annotations

from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.known_datasets import DatasetRef, datasets_of, loaded_dataset
from movierec_assets.tables.loading import load_movies, load_ratings
from movierec_tests.conftest import Dataset

OURS = [f"{user},{movie},4.0,{1_000_000_000 + movie}" for user in (1, 2, 3, 4) for movie in range(user, user + 6)]
OTHER_FILMS = [f"{number},Other {number} (2001),Drama" for number in range(1, 41)]


def _load(database: Database, make: Dataset, ratings: list[str], name: str = "ours", **more: list[str]) -> DatasetRef:
    files = MovieLensFiles.at(make(ratings, name=name, **more))
    load_movies(database, files)
    load_ratings(database, files)
    found = loaded_dataset(database)
    assert found is not None
    return found


def test_before_anything_is_loaded_no_dataset_is(database: Database) -> None:
    assert loaded_dataset(database) is None
    assert datasets_of(database) == []


def test_appended_corrected_and_renamed_files_are_the_same_dataset(database: Database, make_dataset: Dataset) -> None:
    assert _load(database, make_dataset, OURS) == DatasetRef(1, "ours")
    assert _load(database, make_dataset, [*OURS, "5,1,4.0,1000000100"]) == DatasetRef(1, "ours")
    assert _load(database, make_dataset, [*OURS[6:], "2,9,1.0,1000000100"], name="moved") == DatasetRef(1, "moved")


def test_appended_ratings_are_part_of_what_is_known(database: Database, make_dataset: Dataset) -> None:
    _load(database, make_dataset, OURS)
    more = [f"{user},{movie},4.0,1000000100" for user in range(5, 40) for movie in (1, 2, 3)]
    _load(database, make_dataset, [*OURS, *more])
    ((_, contents),) = datasets_of(database)
    assert len(contents.pairs.hashes) == len(OURS) + len(more)


def test_going_to_another_dataset_and_back_finds_the_first_one_again(database: Database, make_dataset: Dataset) -> None:
    assert _load(database, make_dataset, OURS).id == 1
    assert _load(database, make_dataset, OURS, name="other", movies=OTHER_FILMS) == DatasetRef(2, "other")
    assert _load(database, make_dataset, OURS) == DatasetRef(1, "ours")


def test_recommendations_of_another_dataset_do_not_stay(database: Database, make_dataset: Dataset) -> None:
    def listed() -> list[int]:
        tables = ("user_recommendations", "trending_movies")
        return [int(database.scalar(f"SELECT count(*) FROM {SCHEMA}.{table}")) for table in tables]

    _load(database, make_dataset, OURS)
    with database.replace("user_recommendations") as table:
        table.write_rows(("user_id", "rank", "movie_id", "score", "model_version"), [(1, 1, 9, 0.5, 1)])
    with database.replace("trending_movies") as table:
        names = ("rank", "movie_id", "score", "likes", "expected", "since", "until")
        table.write_rows(names, [(1, 1, 2.0, 5, 1.5, "2001-01-01", "2001-01-29")])
    _load(database, make_dataset, [*OURS, "5,1,4.0,1000000100"])
    assert listed() == [1, 1]
    _load(database, make_dataset, OURS, name="other", movies=OTHER_FILMS)
    assert listed() == [0, 0]


def test_ratings_of_an_earlier_version_get_their_number_before_another_dataset_replaces_them(
    database: Database, make_dataset: Dataset
) -> None:
    _load(database, make_dataset, OURS)
    with database.transaction() as cursor:
        cursor.execute(f"UPDATE {SCHEMA}.loads SET dataset_id = NULL")
        cursor.execute(f"TRUNCATE {SCHEMA}.datasets RESTART IDENTITY CASCADE")
    # TRUNCATE ... CASCADE empties `loads` as well, so the record of the load is written again.
    _write_load_of_an_earlier_version(database)
    assert _load(database, make_dataset, OURS, name="other", movies=OTHER_FILMS) == DatasetRef(2, "other")
    assert _load(database, make_dataset, OURS) == DatasetRef(1, "ours")


def _write_load_of_an_earlier_version(database: Database) -> None:
    with database.transaction() as cursor:
        cursor.execute(
            f"INSERT INTO {SCHEMA}.loads (table_name, version, source, details) VALUES "
            "('ratings', 'earlier', '/somewhere/ours', '{}')"
        )
