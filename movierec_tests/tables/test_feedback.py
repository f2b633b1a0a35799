"""Figures of lists that were shown: late events, likes within a week, and days that are settled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest

from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.day_partitions import make_days
from movierec_assets.tables.feedback import Feedback, days_to_sum, feedback, replace_day
from movierec_assets.tables.recommendation_ids import new_id, time_of
from movierec_assets.tables.shown import EventKind, ShownEvent, ShownList, Source, make_days_of, write
from movierec_tests.defs.harness import load_films, new_app_users

DAY = date(2026, 3, 10)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


class Log:
    """Writes lists and events as of any time."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def show(
        self,
        user: int | None,
        movies: Sequence[int],
        at: datetime = NOON,
        source: Source = "model",
        version: int | None = 1,
    ) -> ShownList:
        made = ShownList(new_id(int(at.timestamp() * 1000)), user, None, version, source, None, movies)
        self._write([made], [])
        return made

    def event(self, shown: ShownList, movie: int, kind: EventKind, after: timedelta = timedelta(minutes=1)) -> None:
        at = time_of(shown.recommendation_id) + after
        place = list(shown.movie_ids).index(movie) + 1
        self._write([], [ShownEvent(shown.recommendation_id, at, shown.user_id, movie, place, kind)])

    def rate(self, user: int, movie: int, stars: float | None, at: datetime) -> None:
        self.database.rows(
            f"""INSERT INTO {SCHEMA}.app_ratings (user_id, movie_id, rating, rated_at) VALUES (%s, %s, %s, %s)
                RETURNING 1""",
            [user, movie, stars, at],
        )

    def _write(self, lists: list[ShownList], events: list[ShownEvent]) -> None:
        with self.database.transaction() as cursor:
            make_days_of(cursor, lists, events)
            write(cursor, lists, events)


@pytest.fixture
def log(database: Database) -> Log:
    return Log(database)


def counts(rows: Sequence[Feedback]) -> dict[tuple[str, int, int], tuple[int, ...]]:
    return {
        (row.source, row.model_version, row.position): (
            *(row.shown, row.users, row.impressions, row.clicked, row.dismissed, row.liked),
        )
        for row in rows
    }


def test_each_movie_of_a_list_counts_once_by_source_version_and_position(log: Log) -> None:
    first, again = log.show(1, [10, 20]), log.show(1, [20, 10])
    other = log.show(2, [10], version=2)
    nobody = log.show(None, [30], source="popular", version=None)
    for _ in range(3):
        log.event(first, 10, "click")
    log.event(first, 10, "impression")
    log.event(again, 20, "impression")
    log.event(again, 10, "dismiss")
    log.event(other, 10, "click")
    log.event(nobody, 30, "click")
    log.show(1, [10, 20], NOON + timedelta(days=1))  # of another day
    # shown, users, impressions, clicked, dismissed, liked
    assert counts(feedback(log.database, DAY, DAY, 4.0)) == {
        ("model", 1, 1): (2, 1, 2, 1, 0, 0),
        ("model", 1, 2): (2, 1, 0, 0, 1, 0),
        ("model", 2, 1): (1, 1, 0, 1, 0, 0),
        ("popular", 0, 1): (1, 1, 0, 1, 0, 0),
    }
    together = counts(feedback(log.database, DAY, DAY, 4.0, by_version=False, by_position=False))
    assert together == {("model", 0, 0): (5, 2, 2, 2, 1, 0), ("popular", 0, 0): (1, 1, 0, 1, 0, 0)}


def test_events_within_a_week_count_for_the_day_of_the_list(log: Log) -> None:
    shown = log.show(1, [10, 20, 30])
    log.event(shown, 10, "click", timedelta(days=6, hours=23))
    log.event(shown, 20, "click", timedelta(days=7))
    found = counts(feedback(log.database, DAY, DAY, 4.0))
    assert [found["model", 1, place][3] for place in (1, 2, 3)] == [1, 0, 0]


def test_a_like_after_the_list_and_within_a_week_counts_for_that_user_and_movie(log: Log) -> None:
    load_films(log.database, range(1, 9))
    with log.database.transaction() as cursor:
        someone, other = new_app_users(cursor, 2)
    log.show(someone, range(1, 7))
    hour = timedelta(hours=1)
    log.rate(someone, 1, 4.0, NOON + hour)
    log.rate(someone, 2, 3.5, NOON + hour)  # no like
    log.rate(someone, 3, 5.0, NOON - hour)  # before
    log.rate(someone, 4, 5.0, NOON + timedelta(days=7))  # too late
    log.rate(other, 5, 5.0, NOON + hour)
    log.rate(someone, 6, 5.0, NOON + hour)
    log.rate(someone, 6, None, NOON + 2 * hour)  # withdrawn later
    found = counts(feedback(log.database, DAY, DAY, 4.0))
    assert [found["model", 1, place][5] for place in range(1, 7)] == [1, 0, 0, 0, 0, 1]
    assert counts(feedback(log.database, DAY, DAY, 3.5))["model", 1, 2][5] == 1


def test_shares_have_intervals_over_users_where_there_are_enough(log: Log) -> None:
    for user in range(1, 13):
        shown = log.show(user, [10])
        if user % 3 == 0:
            log.event(shown, 10, "click")
    (row,) = feedback(log.database, DAY, DAY, 4.0)
    assert row.click is not None
    assert row.click.low < row.clicked / row.shown == 4 / 12 < row.click.high
    assert row.like is not None
    assert row.like.low == 0 < row.like.high


def test_a_day_is_summed_up_again_until_a_week_after_its_end(log: Log) -> None:
    database, now = log.database, datetime.now(UTC)
    today = now.date()
    days = [today - timedelta(back) for back in (20, 9, 8, 7, 1, 0)] + [today + timedelta(1)]
    with database.transaction() as cursor:
        make_days(cursor, days)
    assert [day for day in days_to_sum(database, now) if day in days] == days[:-1]
    shown = log.show(1, [10], datetime.combine(days[0], datetime.min.time(), UTC))
    for day in days[:-1]:
        replace_day(database, day, feedback(database, days[0], days[0], 4.0))
    assert [day for day in days_to_sum(database, now) if day in days] == [day for day in days[:-1] if day > days[2]]
    log.event(shown, 10, "click")
    replace_day(database, days[0], feedback(database, days[0], days[0], 4.0))
    rows = database.rows(f"SELECT clicked, click_low FROM {SCHEMA}.served_feedback WHERE day = %s", [days[0]])
    assert rows == [(1, None)]
