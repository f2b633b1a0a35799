"""POST /events: what counts, what is refused, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from movierec_assets.serving.api.routes import events
from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.online.shown import ShownLog
from movierec_assets.tables.database import SCHEMA, Database, DatabaseUnavailableError
from movierec_assets.tables.recommendation_ids import new_id
from movierec_tests.waiting import wait_until


@pytest.fixture
def log(worker: Worker) -> Iterator[ShownLog]:
    asyncio.run(worker.shown.start())
    yield worker.shown
    asyncio.run(worker.shown.stop())


def event(name: str, movie: int, kind: str = "click") -> dict[str, Any]:
    return {"recommendation_id": name, "movie_id": movie, "kind": kind}


def show(log: ShownLog, *movies: int, user: int | None = 7) -> str:
    return log.put(user_id=user, movie_ids=movies, source="model", model_version=7)


def test_events_of_a_list_that_was_answered_a_moment_ago_are_written_with_their_user_and_position(
    log: ShownLog, client: httpx.Client, database: Database
) -> None:
    first, second = show(log, 30, 10, 20), show(log, 5, user=None)
    sent = [event(first, 10), event(first, 20, "impression"), event(second, 5, "dismiss")]
    answer = client.post("/events", json={"events": sent})
    assert (answer.status_code, answer.json()) == (202, {"accepted": 3, "refused": []})
    wait_until(lambda: log.written == 5, "the events")
    rows = database.rows(f"SELECT recommendation_id::text, user_id, movie_id, position, kind FROM {SCHEMA}.events")
    assert sorted(rows, key=str) == sorted(
        [(first, 7, 10, 2, "click"), (first, 7, 20, 3, "impression"), (second, None, 5, 1, "dismiss")], key=str
    )


def test_events_that_do_not_fit_are_refused_one_by_one_with_their_reason(log: ShownLog, client: httpx.Client) -> None:
    known = show(log, 30, 10)
    sent = [event(new_id(), 30), event(known, 30), event(known, 99), event("0" * 8 + known[8:], 30)]
    answer = client.post("/events", json={"events": sent})
    assert answer.status_code == 202
    assert answer.json() == {
        "accepted": 1,
        "refused": [
            {"index": 0, "reason": "unknown_recommendation"},
            {"index": 2, "reason": "movie_not_in_list"},
            {"index": 3, "reason": "unknown_recommendation"},
        ],
    }


def test_events_of_unknown_lists_only_are_not_found(log: ShownLog, client: httpx.Client) -> None:
    answer = client.post("/events", json={"events": [event(new_id(), 30)]})
    assert answer.status_code == 404
    assert "keeps lists for 90 days" in answer.json()["detail"]


def test_events_beyond_the_bound_of_the_queue_are_refused_and_counted(
    worker: Worker, database: Database, log: ShownLog, client: httpx.Client
) -> None:
    known = show(log, 1, 2, 3)
    wait_until(lambda: log.written == 1, "the list")
    full = ShownLog(database, queue_rows=2)  # nobody writes it
    worker.shown = full
    answer = client.post("/events", json={"events": [event(known, movie) for movie in (1, 2, 3)]})
    assert answer.json() == {"accepted": 2, "refused": [{"index": 2, "reason": "no_room"}]}
    assert (full.waiting, full.dropped) == (2, 1)
    worker.shown = log  # which is stopped at the end


def test_events_are_accepted_while_their_list_waits_and_while_the_database_is_away(
    worker: Worker, client: httpx.Client
) -> None:
    known = show(worker.shown, 30, 10)  # nobody writes it
    worker.queries = Away()
    answer = client.post("/events", json={"events": [event(known, 10)]})
    assert (answer.status_code, answer.json()["accepted"], worker.shown.waiting) == (202, 1, 2)
    unknown = client.post("/events", json={"events": [event(known, 30), event(new_id(), 10)]})
    assert unknown.status_code == 503, "it cannot be said that there is no such list"
    assert unknown.headers["retry-after"]
    assert worker.shown.waiting == 2, "nothing of a refused request counts"


def test_made_up_ids_keep_few_requests_waiting(
    log: ShownLog, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeping = 0
    most = 0

    async def sleep(seconds: float) -> None:
        nonlocal sleeping, most
        sleeping += 1
        most = max(most, sleeping)
        await asyncio.sleep(seconds)
        sleeping -= 1

    monkeypatch.setattr(events, "sleep", sleep)
    with ThreadPoolExecutor(20) as pool:
        made_up = [pool.submit(client.post, "/events", json={"events": [event(new_id(), 30)]}) for _ in range(20)]
        assert {each.result().status_code for each in made_up} == {404}
    assert 0 < most <= 8


class Away:
    """Queries while the database is away."""

    async def run(self, query: Callable[[Database], Any]) -> Any:
        raise DatabaseUnavailableError("away")


BAD_BODIES: list[tuple[dict[str, Any], str]] = [
    ({"events": []}, "body.events"),
    ({"events": [event(new_id(), 1)] * 1001}, "body.events"),
    ({"events": [event("x", 1)]}, "body.events.0.recommendation_id"),
    ({"events": [event(new_id(), 1, "buy")]}, "body.events.0.kind"),
    ({"events": [event(new_id(), 0)]}, "body.events.0.movie_id"),
    ({"events": [event(new_id(), 2**63)]}, "body.events.0.movie_id"),
    ({"events": [event(new_id(), 1) | {"position": 1}]}, "body.events.0.position"),
]


def test_a_body_that_does_not_fit_names_its_field(log: ShownLog, client: httpx.Client) -> None:
    for body, field in BAD_BODIES:
        answer = client.post("/events", json=body)
        assert answer.status_code == 422, field
        assert answer.json()["errors"][0]["field"] == field
    assert log.waiting == 0
