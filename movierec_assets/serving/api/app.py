"""The application of one worker: its routes and what surrounds them.

Belongs here: assembling. Does not: routes (`routes`), layers (`observe`, `admission`, `body_limit`), and processes.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute

from movierec_assets import __version__
from movierec_assets.serving.api import routes as subjects
from movierec_assets.serving.api.admission import Admission
from movierec_assets.serving.api.body_limit import BodyLimit
from movierec_assets.serving.api.guard import guarded
from movierec_assets.serving.api.keys import KeyRing
from movierec_assets.serving.api.observe import Observe
from movierec_assets.serving.api.problems import answer_problems
from movierec_assets.serving.api.worker import Worker
from movierec_assets.settings import Settings

_BUSIEST = "recommend"
"""Routes are tried one after the other."""


RunParts = Callable[[Settings], AbstractAsyncContextManager[Worker]]
"""Starts the parts of a worker, and stops them at the end."""


def create_app(settings: Settings, parts: RunParts, routes: Sequence[APIRoute] | None = None) -> FastAPI:
    """The application of one worker; its parts run from its start to its end.

    Parameters
    ----------
    settings : Settings
    parts : function
        Gives the parts of the worker, see `parts.running_worker`.
    routes : sequence of APIRoute, optional
        In place of `all_routes`.

    Raises
    ------
    ValueError
        When a route declares no role.
    """
    keys = KeyRing()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with parts(settings) as worker:
            app.state.worker = worker
            keys.queries = worker.queries
            yield

    app = FastAPI(
        title="Movie recommendations",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.router.routes.extend(
        guarded(route, readers_need_keys=settings.readers_need_keys) for route in routes or all_routes()
    )
    answer_problems(app)
    app.add_middleware(BodyLimit, limit=settings.api_body_limit)
    app.add_middleware(Admission, keys=keys, at_once=settings.api_concurrency, per_minute=settings.api_rate_limit)
    app.add_middleware(Observe)
    return app


def all_routes() -> list[APIRoute]:
    """Routes of all modules of `routes`, those with fixed paths before those with parameters."""
    modules = sorted(
        (module.name for module in pkgutil.iter_modules(subjects.__path__)), key=lambda name: name != _BUSIEST
    )
    found = [
        route
        for name in modules
        for route in importlib.import_module(f"{subjects.__name__}.{name}").router.routes
        if isinstance(route, APIRoute)
    ]
    return sorted(found, key=lambda route: ["{" in part for part in route.path.split("/")])
