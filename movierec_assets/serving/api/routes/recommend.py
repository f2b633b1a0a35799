"""Lists of movies for somebody.

Belongs here: the routes. Does not: answers (`serving.online.answering`), bodies (`serving.api.recommendation_bodies`).
"""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from movierec_assets.serving.api.fields import ListLength, TrueOrFalse, UserPath
from movierec_assets.serving.api.problems import Problem, missing, out_of_range
from movierec_assets.serving.api.ready_route import ReadyRoute
from movierec_assets.serving.api.recommendation_bodies import BatchBody, BatchOut, ListOut, RecommendBody, Scenario
from movierec_assets.serving.api.roles import READER, allow_user
from movierec_assets.serving.api.worker import Worker, worker_of
from movierec_assets.serving.online.answer_json import answer_json
from movierec_assets.serving.online.answering import UnknownIdError, answered, answered_all, known_of
from movierec_assets.serving.online.answers import Answer
from movierec_assets.serving.online.ranker import Ranker
from movierec_assets.serving.online.requests import Request as ListRequest
from movierec_assets.serving.online.requests import RequestError
from movierec_assets.serving.titles import TitleError

_MOST_TITLES = 100
"""Of a batch; each takes up to 2 ms to find."""

router = APIRouter(tags=["recommendations"])
_UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"description": "No user, movie or genre has this id or name."}}
_ready = APIRouter(tags=["recommendations"], route_class=ReadyRoute)


@_ready.post("/recommend", response_model=ListOut, responses=_UNKNOWN, **READER)
async def recommend(request: Request, body: RecommendBody) -> bytes:
    """A list of movies for a user, for somebody who likes some movies, or for nobody in particular.

    The ratings of the user count as they are at this moment. The answer says which movies are listed, why, and by which
    version of the model. Movies that were filtered out or seen never fill a list up; `why_fewer` says what is missing.
    """
    return await _list_of(request, body, "body")


@_ready.post("/recommend/batch", response_model=BatchOut, responses=_UNKNOWN, **READER)
async def recommend_batch(request: Request, body: BatchBody) -> bytes:
    """Up to 100 lists at once, optionally with no movie twice among them. They hold up to 100 titles together."""
    worker = worker_of(request)
    for each in body.requests:
        allow_user(request, each.user_id)
    if sum(len(each.liked_titles) for each in body.requests) > _MOST_TITLES:
        raise out_of_range("body.requests", f"They have more than {_MOST_TITLES} titles together; send fewer at once.")
    ranker = worker.ranker
    wanted = [
        each.request(await _by_title(worker, each, f"body.requests.{number}"))
        for number, each in enumerate(body.requests)
    ]
    try:
        answers = await answered_all(
            wanted,
            ranker,
            worker.live,
            worker.queries,
            distinct=body.distinct,
            answer=partial(_timed, request),
        )
    except (UnknownIdError, RequestError) as error:
        raise _problem(error, "body") from None
    shown = [
        _shown(worker, ranker, each, answer, of)
        for each, answer, of in zip(wanted, answers, body.requests, strict=True)
    ]
    return b'{"answers":[%b]}' % b",".join(shown)


@router.get("/users/{user_id}/recommendations", response_model=ListOut, **READER)
async def recommend_to_user(
    request: Request,
    user_id: UserPath,
    n: ListLength = 10,
    scenario: Annotated[Scenario | None, Query(description="Where the list is shown, for the log.")] = None,
    explain: Annotated[bool, Query(description="Whether each movie has reasons."), TrueOrFalse] = False,
    shown: Annotated[
        bool, Query(description="`false` where the user does not see the list: it is not in the log."), TrueOrFalse
    ] = True,
) -> Response:
    """The list of a user, as `POST /recommend` gives it without filters."""
    body = RecommendBody(user_id=user_id, n=n, scenario=scenario, explain=explain, shown=shown)
    return Response(await _list_of(request, body, "path"), media_type="application/json")


async def _list_of(request: Request, body: RecommendBody, part: str) -> bytes:
    """The list of one request, as JSON; `part` of the request names the user."""
    worker = worker_of(request)
    allow_user(request, body.user_id)
    ranker = worker.ranker
    wanted = body.request(await _by_title(worker, body, part))
    try:
        known = await known_of(wanted, ranker, worker.live, worker.queries)
        answer = _timed(request, wanted, ranker, known)
    except (UnknownIdError, RequestError) as error:
        raise _problem(error, part) from None
    return _shown(worker, ranker, wanted, answer, body)


def _timed(request: Request, *arguments: Any) -> Answer:
    """`answered`, with its time among the metrics."""
    began = time.perf_counter()
    answer = answered(*arguments)
    request.app.state.metrics.answered(answer.source, time.perf_counter() - began, answer.fold_in_seconds)
    return answer


def _shown(worker: Worker, ranker: Ranker, request: ListRequest, answer: Answer, body: RecommendBody) -> bytes:
    """An answer as JSON; its list is logged where it is shown."""
    if not body.shown:
        return answer_json(answer, ranker.catalogued)
    recommendation_id = worker.shown.put(
        user_id=request.user_id,
        movie_ids=answer.movie_ids,
        source=answer.source,
        model_version=answer.model_version,
        dataset_id=ranker.snapshot.catalogue.dataset_id,
        scenario=body.scenario,
    )
    return answer_json(answer, ranker.catalogued, recommendation_id)


async def _by_title(worker: Worker, body: RecommendBody, part: str) -> tuple[int, ...]:
    """Ids of the movies that are named by their titles in a part of the request."""
    if not body.liked_titles:
        return ()
    search = await worker.search.of(worker.ranker.catalogued)
    try:
        return tuple(search.movie_id(title) for title in body.liked_titles)
    except TitleError as error:
        raise missing(f"{part}.liked_titles", str(error)) from None


def _problem(error: UnknownIdError | RequestError, part: str) -> Problem:
    refusal = missing if isinstance(error, UnknownIdError) else out_of_range
    return refusal(f"{part}.{error.field}", str(error))


router.routes.extend(_ready.routes)
