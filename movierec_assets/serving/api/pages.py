"""The schema and its page for people.

Belongs here: /openapi.json, /docs and their headers. Does not: what the page shows (`docs_page`).
"""

from __future__ import annotations

from functools import cache, lru_cache

import orjson
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from movierec_assets.serving.api.docs_page import POLICY, page_of
from movierec_assets.serving.api.guard import require_parameters


def pages(app: FastAPI) -> list[Route]:
    """Routes that need no key, because they hold nothing about anybody."""

    @cache
    def schema() -> bytes:
        return orjson.dumps(app.openapi())

    @lru_cache(8)
    def page(address: str) -> bytes:
        return page_of(app.openapi(), address).encode()

    async def show_schema(request: Request) -> Response:
        require_parameters(request.scope, frozenset())
        return Response(schema(), media_type="application/json")

    async def show_page(request: Request) -> Response:
        require_parameters(request.scope, frozenset())
        address = str(request.base_url).rstrip("/")
        return Response(page(address), media_type="text/html", headers={"Content-Security-Policy": POLICY})

    async def go_to_page(request: Request) -> Response:
        require_parameters(request.scope, frozenset())
        return RedirectResponse("/docs")

    return [
        Route("/openapi.json", show_schema, include_in_schema=False),
        Route("/docs", show_page, include_in_schema=False),
        Route("/", go_to_page, include_in_schema=False),
    ]
