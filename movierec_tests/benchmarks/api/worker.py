"""A worker with the floor route: the body model of `/recommend`, the same layers, and ready bytes.

Belongs here: what answers are compared with. Does not: measuring (`rates`).

    python -m movierec_tests.benchmarks.api.worker DESCRIPTOR
"""

from __future__ import annotations

import sys

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from movierec_assets.serving.api.__main__ import main
from movierec_assets.serving.api.app import all_routes
from movierec_assets.serving.api.ready_route import ReadyRoute
from movierec_assets.serving.api.recommendation_bodies import RecommendBody
from movierec_assets.serving.api.roles import READER

_MOVIES = b",".join(b'{"movie_id":%d,"title":"%s"}' % (number, b"x" * 110) for number in range(11))
READY = b'{"movies":[' + _MOVIES + b"]}"
"""1.5 KB of JSON, as long as ten recommended movies."""

router = APIRouter()
ready = APIRouter(route_class=ReadyRoute)


@router.post("/floor", **READER)
async def floor(body: RecommendBody) -> Response:
    """Ready bytes, by a plain route of FastAPI."""
    return Response(READY, media_type="application/json")


@ready.post("/ready-floor", **READER)
async def ready_floor(request: Request, body: RecommendBody) -> bytes:
    """Ready bytes, by the class of route that `/recommend` has."""
    return READY


if __name__ == "__main__":
    own = [route for route in (*router.routes, *ready.routes) if isinstance(route, APIRoute)]
    main(int(sys.argv[1]), [*own, *all_routes()])
