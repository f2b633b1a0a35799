"""Counts of the app's ratings, which are kept for as long as they are costly."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.serving.online import app_counts
from movierec_assets.serving.online.app_counts import MOST_SECONDS, SHARE, AppCountsKept
from movierec_assets.tables.app_ratings import AppCounts, counts_of_app, post_rating
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.loading import load_movies, load_ratings
from movierec_tests.conftest import Dataset
from movierec_tests.waiting import PATIENCE

FILMS = [f"{number},Film {number} (1999),Drama" for number in (1, 2, 3)]
RATINGS = [f"{user},{movie},4.0,1000000000" for user in (1, 2, 3) for movie in (1, 2)]


class _Clock:
    """A clock on which each look at it takes `step` seconds."""

    def __init__(self) -> None:
        self.now, self.step = 100.0, 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def _load(database: Database, make: Dataset) -> None:
    files = MovieLensFiles.at(make(RATINGS, FILMS, name="ours"))
    load_movies(database, files)
    load_ratings(database, files)


def _post(database: Database, user: int, movie: int) -> None:
    with database.transaction() as cursor:
        post_rating(cursor, user, movie, 5.0)


def test_ratings_are_counted_with_their_people_and_those_of_today(database: Database, make_dataset: Dataset) -> None:
    _load(database, make_dataset)
    assert counts_of_app(database) == AppCounts(0, 0, 0)
    for user, movie in ((1, 3), (1, 2), (2, 3)):
        _post(database, user, movie)
    with database.transaction() as cursor:
        cursor.execute(
            f"UPDATE {SCHEMA}.app_ratings SET rated_at = now() - interval '2 days' WHERE user_id = 1 AND movie_id = 3"
        )
    assert counts_of_app(database) == AppCounts(3, 2, 2)


def test_counts_are_kept_twenty_times_as_long_as_counting_took(database: Database, make_dataset: Dataset) -> None:
    _load(database, make_dataset)
    clock = _Clock()
    kept = AppCountsKept(clock)
    clock.step = 2.0
    assert kept.of(database, "today").ratings == 0
    clock.step = 0.0
    _post(database, 1, 3)
    clock.now += SHARE * 2.0 - 1.0
    assert kept.of(database, "today").ratings == 0
    assert kept.of(database, "tomorrow").ratings == 1, "about something else, they are counted"
    assert kept.of(database, "today").ratings == 1


def test_counts_are_not_kept_for_longer_than_a_minute(database: Database, make_dataset: Dataset) -> None:
    _load(database, make_dataset)
    clock = _Clock()
    kept = AppCountsKept(clock)
    clock.step = 500.0
    kept.of(database, "today")
    clock.step = 0.0
    _post(database, 1, 3)
    clock.now += MOST_SECONDS - 1.0
    assert kept.of(database, "today").ratings == 0
    clock.now += 1.0
    assert kept.of(database, "today").ratings == 1


def test_while_one_thread_counts_again_others_have_the_counts_from_before(
    database: Database, make_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    _load(database, make_dataset)
    kept = AppCountsKept(_Clock())
    kept.of(database, "today")
    counting, enough = Event(), Event()

    def slow(database: Database) -> AppCounts:
        counting.set()
        assert enough.wait(PATIENCE)
        return counts_of_app(database)

    monkeypatch.setattr(app_counts, "counts_of_app", slow)
    _post(database, 1, 3)
    with ThreadPoolExecutor(1) as pool:
        later = pool.submit(kept.of, database, "today")
        assert counting.wait(PATIENCE)
        assert kept.of(database, "today").ratings == 0
        enough.set()
        assert later.result().ratings == 1


def test_counts_that_cost_nothing_are_of_now(database: Database, make_dataset: Dataset) -> None:
    _load(database, make_dataset)
    kept = AppCountsKept(_Clock())
    for count in (1, 2):
        _post(database, count, 3)
        assert kept.of(database, "today").ratings == count
