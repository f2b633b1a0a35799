"""A worker with the floor route: the body model of `/recommend`, the same layers, and ready bytes.

Belongs here: a route that no answer of this application can be faster than. Does not: measuring (`rates`).

    python -m movierec_tests.benchmarks.api.worker DESCRIPTOR
"""

from __future__ import annotations

import sys

from fastapi import APIRouter, Response
from fastapi.routing import APIRoute

from movierec_assets.serving.api.__main__ import main
from movierec_assets.serving.api.app import all_routes
from movierec_assets.serving.api.fields import Body, Id
from movierec_assets.serving.api.roles import READER

router = APIRouter()
_MOVIES = b",".join(b'{"movie_id":%d,"title":"%s"}' % (number, b"x" * 110) for number in range(11))
READY = b'{"movies":[' + _MOVIES + b"]}"
"""1.5 KB of JSON, as long as ten recommended movies."""


class RecommendRequest(Body):
    user_id: Id
    n: int = 10


@router.post("/floor", **READER)
async def floor(body: RecommendRequest) -> Response:
    """Ready bytes."""
    return Response(READY, media_type="application/json")


if __name__ == "__main__":
    main(int(sys.argv[1]), [*(route for route in router.routes if isinstance(route, APIRoute)), *all_routes()])
