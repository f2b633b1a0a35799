"""A way past the router for the routes that are called most.

Belongs here: finding a route by its whole path. Does not: guards (`guard`), and ready routes (`ready_route`).

The router and the layers of FastAPI around it cost a third of a list of movies. Routes without parameters in their path
are found here by a look into a dict; everything else goes on to the router.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from movierec_assets.serving.api.ready_route import ReadyRoute


class Express:
    """Calls ready routes with fixed paths; their exceptions are answered further out.

    Parameters
    ----------
    app : ASGI application
    routes : iterable of APIRoute
        With their guards; only those that are ready routes are called.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[APIRoute]) -> None:
        self._app = app
        self._routes: dict[tuple[str, str], ASGIApp] = {
            (method, route.path): route.app
            for route in routes
            if isinstance(route, ReadyRoute) and "{" not in route.path
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to its route, or to the router."""
        if scope["type"] == "http":
            route = self._routes.get((scope["method"], scope["path"]))
            if route is not None:
                scope["path_params"] = {}
                await route(scope, receive, send)
                return
        await self._app(scope, receive, send)
