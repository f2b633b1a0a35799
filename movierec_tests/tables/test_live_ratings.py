"""One query for several users gives what the view `current_ratings` has."""

from __future__ import annotations

import select

import numpy as np
import pytest

from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.live_ratings import Found, LiveConnection, Question, found_in
from movierec_assets.tables.loading import load_movies, load_ratings
from movierec_tests.conftest import Dataset

USERS, MOVIES, START, ROWS = range(1, 9), range(1, 8), 964_982_703, 120


def _asked(database: Database, questions: list[Question]) -> list[Found]:
    connection = LiveConnection.open(database)
    try:
        connection.ask(questions)
        while (rows := connection.rows()) is None:
            select.select([connection.fileno()], [], [])
        return found_in(rows)
    finally:
        connection.close()


def _ratings_of(found: Found) -> list[tuple[int, float, int]]:
    return sorted(zip(*(column.tolist() for column in found.ratings), strict=True)) if found.ratings else []


@pytest.mark.parametrize("histories", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_the_latest_of_file_and_app_counts_as_in_the_view(
    database: Database, make_dataset: Dataset, seed: int, histories: bool
) -> None:
    random = np.random.default_rng(seed)
    files = MovieLensFiles.at(
        make_dataset(
            [
                f"{user},{movie},{random.integers(1, 11) / 2},{START + random.integers(6)}"
                for user in USERS
                for movie in MOVIES
                if random.random() < 0.5
            ]
            # somebody who posts nothing, and nobody
            + [f"{max(USERS) + 1},1,4.0,{START}"]
        )
    )
    load_movies(database, files)
    load_ratings(database, files)
    known = database.rows(f"SELECT movie_id FROM {SCHEMA}.movies ORDER BY 1")
    with database.transaction() as cursor:
        if not histories:
            # As in a database of an earlier version, whose ratings were loaded without them.
            cursor.execute(
                f"""DO $$ BEGIN EXECUTE (
                        SELECT format('ALTER TABLE {SCHEMA}.rating_histories DETACH PARTITION %s', inhrelid::regclass)
                        FROM pg_inherits WHERE inhparent = '{SCHEMA}.rating_histories'::regclass
                    ); END $$"""
            )
        for _ in range(ROWS):
            cursor.execute(
                f"""INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating, rated_at)
                    VALUES (%s, %s, %s, to_timestamp(%s))""",
                [
                    int(random.choice(USERS)),
                    int(random.choice(known)[0]),
                    None if random.random() < 0.3 else float(random.integers(1, 11)) / 2,
                    START + float(random.integers(12)) / 2,
                ],
            )
        cursor.execute(
            f"""WITH other AS (
                    INSERT INTO {SCHEMA}.datasets (name, movie_ids, titles, pairs)
                    VALUES ('other', '{{}}', '{{}}', '{{}}')
                    RETURNING dataset_id
                )
                UPDATE {SCHEMA}.app_ratings a SET dataset_id = o.dataset_id FROM other o WHERE rating_id %% 9 = 0""",
            [],
        )
    assert database.scalar(f"SELECT {SCHEMA}.has_histories()") == histories

    everybody = [*USERS, max(USERS) + 1, max(USERS) + 2]
    found = _asked(database, [Question(user, "", 0) for user in everybody])
    for user, each in zip(everybody, found, strict=True):
        expected = database.rows(
            f"""SELECT movie_id, rating, floor(extract(epoch FROM rated_at))::bigint
                FROM {SCHEMA}.current_ratings WHERE user_id = %s ORDER BY 1, 2, 3""",
            [user],
        )
        assert _ratings_of(each) == expected
    assert any(len(_ratings_of(each)) for each in found)

    (version,) = {each.ratings_version for each in found}
    assert version is not None
    pairs = zip(everybody, found, strict=True)
    unchanged = _asked(database, [Question(user, version, each.watermark) for user, each in pairs])
    assert [each.ratings for each in unchanged] == [None] * len(everybody), "nothing is newer than the caller's state"
    newer = _asked(database, [Question(1, version, found[0].watermark - 1), Question(1, version, None)])
    assert (_ratings_of(newer[0]), newer[1].ratings) == (_ratings_of(found[0]), None)
