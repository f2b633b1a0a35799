"""The application of one worker: its routes and what surrounds them.

Belongs here: assembling. Does not: routes (`routes`), layers (`observe`, `admission`, `body_limit`), and processes.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol, runtime_checkable

from fastapi import FastAPI
from fastapi.routing import APIRoute

from movierec_assets import __version__
from movierec_assets.serving.api import routes
from movierec_assets.serving.api.body_limit import BodyLimit
from movierec_assets.serving.api.guard import guarded
from movierec_assets.serving.api.observe import Observe
from movierec_assets.serving.api.problems import answer_problems
from movierec_assets.serving.api.worker import Worker

_BUSIEST = "recommend"
"""Routes are tried one after the other."""


@runtime_checkable
class Part(Protocol):
    """A part of a worker that runs beside the requests."""

    async def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End, and wait until it is done."""


def create_app(worker: Worker) -> FastAPI:
    """The application that answers with the parts of a worker; it starts and stops them.

    Raises
    ------
    ValueError
        When a route declares no role.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as started:
            for part in (worker.queries, worker.live, worker.current, worker.shown, worker.dagster):
                if isinstance(part, Part):
                    await part.start()
                    started.push_async_callback(part.stop)
            yield

    app = FastAPI(
        title="Movie recommendations", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    app.state.worker = worker
    settings = worker.settings
    app.router.routes.extend(guarded(route, readers_need_keys=settings.readers_need_keys) for route in all_routes())
    answer_problems(app)
    app.add_middleware(BodyLimit, limit=settings.api_body_limit)
    app.add_middleware(Observe)
    return app


def all_routes() -> list[APIRoute]:
    """Routes of all modules of `routes`, those with fixed paths before those with parameters."""
    modules = sorted(
        (module.name for module in pkgutil.iter_modules(routes.__path__)), key=lambda name: name != _BUSIEST
    )
    found = [
        route
        for name in modules
        for route in importlib.import_module(f"{routes.__name__}.{name}").router.routes
        if isinstance(route, APIRoute)
    ]
    return sorted(found, key=lambda route: ["{" in part for part in route.path.split("/")])
