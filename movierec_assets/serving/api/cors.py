"""Pages of other origins: which may call the API.

Belongs here: answers to what browsers ask before a call. Does not: the origins (`settings`).
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from movierec_assets.serving.api.observe import SECURITY_HEADERS
from movierec_assets.serving.api.problems import Problem, response


class Cors(CORSMiddleware):
    """Lets pages of some origins call, and gives its own answers the headers that all answers have.

    Parameters
    ----------
    app : ASGI application
    origins : sequence of str
        As in "https://films.example".
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After", "Location", "Idempotency-Replayed"],
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """204, or 403 for an origin, a method or headers that are not allowed."""
        found = super().preflight_response(request_headers)
        if found.status_code == 200:
            answer = Response(status_code=204)
        else:
            what = bytes(found.body).decode().removeprefix("Disallowed CORS ")
            detail = f"Pages may not call with this {what}; MOVIEREC_API_CORS_ORIGINS names the origins that may call."
            answer = response(Problem(403, "Not allowed", detail), None)
        kept = ("content-length", "content-type")
        answer.headers.update({name: value for name, value in found.headers.items() if name not in kept})
        for name, value in SECURITY_HEADERS:
            answer.headers.setdefault(name.decode(), value.decode())
        return answer
