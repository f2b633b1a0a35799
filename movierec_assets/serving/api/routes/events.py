"""What people did with movies of a list.

Belongs here: the route, and which events are accepted. Does not: the log (`serving.online.shown`).

An event is checked against the list that it names, so that figures hold nothing that was not shown. Many events come
in one request, from clients that cannot repair them: one that does not fit is refused by itself, with its reason.
"""

from __future__ import annotations

from asyncio import Semaphore, sleep
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from movierec_assets.serving.api.fields import Body, Id
from movierec_assets.serving.api.problems import not_found
from movierec_assets.serving.api.roles import READER, allow_user
from movierec_assets.serving.api.worker import Worker, worker_of
from movierec_assets.tables.recommendation_ids import is_id, time_of
from movierec_assets.tables.shown import EventKind, KeptList, ShownEvent, lists_of

router = APIRouter(tags=["feedback"])

MAX_EVENTS = 1000
_RECENT = timedelta(seconds=5)
_PAUSES = (0.2, 0.4, 0.6)
"""Seconds between looks for a recent list: another worker may not have written it yet."""
_waiters = Semaphore(8)
"""Requests that wait so at a time; others are answered without, because ids can be made up."""

_UNKNOWN: Literal["unknown_recommendation"] = "unknown_recommendation"
_NOT_LISTED: Literal["movie_not_in_list"] = "movie_not_in_list"
_NO_ROOM: Literal["no_room"] = "no_room"


class Event(Body):
    """What somebody did with one movie of a list."""

    recommendation_id: Annotated[
        str,
        Field(
            pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
            description="`recommendation_id` of the answer that holds the movie.",
            examples=["01a21c3c-7d64-79c6-80e2-c41d218abfac"],
        ),
    ]
    movie_id: Annotated[Id, Field(description="A movie of that answer.", examples=[318])]
    kind: Annotated[
        EventKind,
        Field(
            description="`impression`: the movie was on the screen. `click`: somebody opened it. `dismiss`: somebody "
            "does not want it.",
            examples=["click"],
        ),
    ]


class Events(Body):
    """Events of any lists; the same one sent twice counts once."""

    events: Annotated[list[Event], Field(min_length=1, max_length=MAX_EVENTS)]


class RefusedEvent(BaseModel):
    """An event that does not count."""

    index: Annotated[int, Field(description="Place in the request, from 0.", examples=[1])]
    reason: Annotated[
        Literal["unknown_recommendation", "movie_not_in_list", "no_room"],
        Field(
            description="`unknown_recommendation`: no list has this id, or it is older than the log. "
            "`movie_not_in_list`: the list has no such movie. `no_room`: the database has not taken events for a "
            "while; send it again."
        ),
    ]


class AcceptedEvents(BaseModel):
    """How many events will be written, and which will not."""

    accepted: Annotated[
        int,
        Field(
            description="Number of events that will be written; those of users who are erased by then are not kept.",
            examples=[2],
        ),
    ]
    refused: Annotated[list[RefusedEvent], Field(description="Events that do not count, one by one.")]


@router.post("/events", status_code=202, responses={404: {"description": "No event names a known list."}}, **READER)
async def log_events(request: Request, body: Events) -> AcceptedEvents:
    """Log what people did with recommended movies: up to 1,000 events in one request.

    The position of each movie is that of the list as it was answered. 404 when no event names a known list.
    """
    worker = worker_of(request)
    lists = await _lists_of(worker, {event.recommendation_id for event in body.events})
    if not lists:
        raise not_found(
            "No list has any of these ids. Send the recommendation_id of an answer; the log keeps lists for "
            f"{worker.settings.served_days} days."
        )
    for user_id in {each.user_id for each in lists.values()}:
        allow_user(request, user_id)
    found, refused = _checked(body.events, lists)
    room = worker.shown.put_events([event for _, event in found])
    refused += [RefusedEvent(index=index, reason=_NO_ROOM) for index, _ in found[room:]]
    return AcceptedEvents(accepted=room, refused=refused)


async def _lists_of(worker: Worker, names: set[str]) -> dict[str, KeptList]:
    """Lists by id, as far as there are any: of this worker, of the table, or else of other workers in a moment."""
    found = worker.shown.find(names)
    missing = {name for name in names if is_id(name)} - found.keys()
    if not missing:
        return found
    found |= await _read(worker, missing)
    missing = _recent(missing - found.keys())
    if not missing or _waiters.locked():
        return found
    async with _waiters:
        for pause in _PAUSES:
            await sleep(pause)
            found |= await _read(worker, missing)
            missing = _recent(missing - found.keys())
            if not missing:
                break
    return found


async def _read(worker: Worker, names: set[str]) -> dict[str, KeptList]:
    wanted = sorted(names)
    return await worker.queries.run(lambda database: lists_of(database, wanted))


def _recent(names: set[str]) -> set[str]:
    """Ids of lists that may not be written yet."""
    now = datetime.now(UTC)
    return {name for name in names if now - _RECENT < time_of(name) < now + _RECENT}


def _checked(
    events: Sequence[Event], lists: Mapping[str, KeptList]
) -> tuple[list[tuple[int, ShownEvent]], list[RefusedEvent]]:
    """Events that fit their lists, with their places in the request, and the others."""
    found: list[tuple[int, ShownEvent]] = []
    refused: list[RefusedEvent] = []
    at = datetime.now(UTC)
    for index, event in enumerate(events):
        shown = lists.get(event.recommendation_id)
        if shown is None:
            refused.append(RefusedEvent(index=index, reason=_UNKNOWN))
        elif event.movie_id not in shown.movie_ids:
            refused.append(RefusedEvent(index=index, reason=_NOT_LISTED))
        else:
            position = shown.movie_ids.index(event.movie_id) + 1
            found.append(
                (
                    index,
                    ShownEvent(event.recommendation_id, at, shown.user_id, event.movie_id, position, event.kind),
                )
            )
    return found, refused
