"""The log of what was shown: nothing waits, nothing is lost or doubled, and what is dropped is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from movierec_assets.serving.online.shown import ShownLog
from movierec_assets.tables.database import SCHEMA, Database
from movierec_assets.tables.recommendation_ids import is_id, new_id, time_of
from movierec_assets.tables.shown import KeptList, ShownEvent, lists_of
from movierec_tests.waiting import PATIENCE


@contextmanager
def started(log: ShownLog) -> Iterator[ShownLog]:
    asyncio.run(log.start())
    try:
        yield log
    finally:
        asyncio.run(log.stop(PATIENCE))


def put(log: ShownLog, user: int | None = 7, *movies: int) -> str:
    return log.put(user_id=user, movie_ids=movies or (3, 1, 2), source="model", model_version=4, dataset_id=1)


def test_ids_are_distinct_in_the_order_of_time_and_name_their_time() -> None:
    before = datetime.now(UTC)
    ids = [new_id() for _ in range(10_000)]
    assert len(set(ids)) == len(ids)
    assert all(map(is_id, ids))
    moments = [time_of(each) for each in ids]
    assert moments == sorted(moments)
    assert before - timedelta(milliseconds=1) <= moments[0] <= moments[-1] <= datetime.now(UTC)
    assert sorted(ids, key=time_of) == sorted(ids, key=lambda each: each[:13])


@pytest.mark.parametrize(
    "text", ["", "x", new_id().upper() + "\n", new_id()[:-1], f"{new_id()}0", "ffffffff-ffff-7fff-bfff-ffffffffffff"]
)
def test_other_texts_are_no_ids(text: str) -> None:
    assert not is_id(text)


def test_lists_and_events_arrive_as_they_were_put(database: Database) -> None:
    with started(ShownLog(database)) as log:
        first = log.put(
            user_id=None, movie_ids=np.array([9, 8], np.int32), source="popular", scenario='a "b",\\c\n\0\ud800'
        )
        second = put(log, 7)
        at = datetime.now(UTC)
        assert log.put_events([ShownEvent(second, at, 7, 1, 2, "click")]) == 1
    assert (log.written, log.waiting, log.dropped) == (3, 0, 0)
    rows = database.rows(
        f"""SELECT recommendation_id::text, at, user_id, dataset_id, model_version, source, scenario, movie_ids
            FROM {SCHEMA}.served"""
    )
    assert sorted(rows) == sorted(
        [
            (first, time_of(first), None, None, None, "popular", 'a "b",\\c\n?', [9, 8]),
            (second, time_of(second), 7, 1, 4, "model", None, [3, 1, 2]),
        ]
    )
    assert database.rows(
        f"SELECT recommendation_id::text, at, user_id, movie_id, position, kind FROM {SCHEMA}.events"
    ) == [(second, at, 7, 1, 2, "click")]
    assert lists_of(database, [first, second, new_id()]) == {
        first: KeptList(None, [9, 8]),
        second: KeptList(7, [3, 1, 2]),
    }


def test_rows_beyond_the_bound_are_dropped_and_counted_exactly(database: Database) -> None:
    log = ShownLog(database, queue_rows=10)
    ids = [put(log) for _ in range(25)]
    events = [ShownEvent(ids[0], datetime.now(UTC), 7, 1, 2, "click")] * 3
    assert log.put_events(events) == 0
    assert (log.waiting, log.dropped) == (10, 18)
    with started(log):
        pass
    assert (log.written, log.waiting, log.dropped) == (10, 0, 18)
    assert set(lists_of(database, ids)) == set(ids[:10])
    put(log)
    assert log.dropped == 19
