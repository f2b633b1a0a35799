"""The application of one worker: its routes and what surrounds them.

Belongs here: assembling. Does not: routes (`routes`), layers (`observe`, `admission`, `body_limit`, ...), and
processes.
"""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute

from movierec_assets import __version__
from movierec_assets.serving.api import routes as subjects
from movierec_assets.serving.api.access_log import AccessLog
from movierec_assets.serving.api.admission import Admission, Admitted
from movierec_assets.serving.api.body_limit import BodyLimit
from movierec_assets.serving.api.cors import Cors
from movierec_assets.serving.api.express import Express
from movierec_assets.serving.api.guard import guarded
from movierec_assets.serving.api.head import Head
from movierec_assets.serving.api.keys import KeyRing
from movierec_assets.serving.api.metrics import Metrics
from movierec_assets.serving.api.observe import Observe
from movierec_assets.serving.api.pages import pages
from movierec_assets.serving.api.problems import answer_problems
from movierec_assets.serving.api.schema import DESCRIPTION, TAGS, TITLE, DocumentedApi
from movierec_assets.serving.api.worker import Worker
from movierec_assets.settings import Settings

_BUSIEST = "recommend"
"""Routes are tried one after the other."""
_LOOK_SECONDS = 5.0


RunParts = Callable[[Settings], AbstractAsyncContextManager[Worker]]
"""Starts the parts of a worker, and stops them at the end."""


def create_app(settings: Settings, parts: RunParts, routes: Sequence[APIRoute] | None = None) -> DocumentedApi:
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
    keys, metrics, log = KeyRing(), Metrics(), AccessLog()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with parts(settings) as worker:
            app.state.worker = worker
            keys.queries = worker.queries
            looking = asyncio.create_task(_look(app))
            try:
                yield
            finally:
                looking.cancel()
                log.flush()

    app = DocumentedApi(
        title=TITLE,
        description=DESCRIPTION,
        version=__version__,
        openapi_tags=TAGS,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.metrics, app.state.admission = metrics, Admitted()
    own = [guarded(route, readers_need_keys=settings.readers_need_keys) for route in routes or all_routes()]
    app.router.routes.extend(own)
    app.router.routes.extend(pages(app))
    answer_problems(app)
    # The last one is the outermost.
    app.add_middleware(Express, routes=own)
    app.add_middleware(BodyLimit, limit=settings.api_body_limit)
    app.add_middleware(
        Admission,
        keys=keys,
        admitted=app.state.admission,
        at_once=settings.api_concurrency,
        per_minute=settings.api_rate_limit,
    )
    app.add_middleware(Head)
    app.add_middleware(Observe, seen=(metrics.seen, log) if settings.api_access_log else (metrics.seen,))
    if settings.cors_origins:
        app.add_middleware(Cors, origins=settings.cors_origins)
    return app


async def _look(app: FastAPI) -> None:
    """Take what the worker counts by itself, so that any other worker can add it up."""
    while True:
        app.state.metrics.look(app.state.worker, app.state.admission.running)
        await asyncio.sleep(_LOOK_SECONDS)


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
