"""A worker on a real Postgres, and the application that answers with it over a real socket.

A test that writes has a copy of the loaded database of its own: `client`. Tests may replace parts of `worker` before
they ask for `client`, and `current.snapshot` at any time.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from movierec_assets.serving.api.__main__ import server_config
from movierec_assets.serving.api.app import RunParts, create_app
from movierec_assets.serving.api.dagster_client import DagsterClient
from movierec_assets.serving.api.guard import ROUTE
from movierec_assets.serving.api.schema import DocumentedApi
from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.online.current import CurrentSnapshot
from movierec_assets.serving.online.live import LiveReader
from movierec_assets.serving.online.shown import ShownLog
from movierec_assets.serving.online.snapshot import Snapshot
from movierec_assets.settings import Settings
from movierec_assets.tables.database import Database
from movierec_tests.databases import own_database
from movierec_tests.serving.api.small import load_small, snapshot_of
from movierec_tests.waiting import PATIENCE

_Result = TypeVar("_Result")


@pytest.fixture(scope="session")
def small_url(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """libpq URL of a database with the small dataset, to be copied; nothing may stay connected to it."""
    directory = tmp_path_factory.mktemp("small")

    def make(ratings: list[str], movies: list[str] | None = None, *, name: str = "small") -> Path:
        (directory / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *ratings]) + "\n", "utf-8")
        (directory / "movies.csv").write_text("\n".join(["movieId,title,genres", *(movies or [])]) + "\n", "utf-8")
        return directory

    with own_database(server_url) as url:
        load_small(Database(url), make)
        yield url


@pytest.fixture(scope="session")
def snapshot(small_url: str) -> Snapshot:
    """Catalogue and champion of the small dataset."""
    return snapshot_of(Database(small_url))


@pytest.fixture
def database(small_url: str) -> Iterator[Database]:
    """A copy of the small database, of this test's own."""
    with own_database(small_url) as url:
        yield Database(url)


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    """Settings of the worker."""
    return Settings(database_url=database.url, state_dir=tmp_path / "state", api_access_log=False)


@pytest.fixture
def worker(settings: Settings, snapshot: Snapshot) -> Worker:
    """The parts of a worker, not yet started."""
    return worker_with(settings, snapshot)


def worker_with(settings: Settings, snapshot: Snapshot) -> Worker:
    """Parts on the database of the settings; Dagster does not answer."""
    database = Database(settings.databases.ratings)
    current = CurrentSnapshot()
    current.snapshot = snapshot
    nowhere = DagsterClient("http://127.0.0.1:9")
    return Worker(
        settings,
        current,
        LiveReader(database),
        ThreadQueries(database),
        ThreadQueries(database),
        shown=ShownLog(database),
        dagster=nowhere,
    )


@pytest.fixture
def client(worker: Worker) -> Iterator[httpx.Client]:
    """A client of the application over a real socket."""
    with served(create_app(worker.settings, running(worker))) as client:
        yield client


def running(worker: Worker) -> RunParts:
    """These parts, as they are."""

    @asynccontextmanager
    async def parts(_: Settings) -> AsyncIterator[Worker]:
        yield worker

    return parts


class _PromptServer(uvicorn.Server):
    """Looks for its end every 10 ms, not every 100."""

    async def main_loop(self) -> None:
        """Serve until the end is asked for."""
        tick = 0
        while not await self.on_tick(tick):
            tick += 1
            await asyncio.sleep(0.01)


@contextmanager
def served(app: ASGIApp, settings: Settings | None = None) -> Iterator[httpx.Client]:
    """Serve an application from a thread, on a free port, as by these settings; yields a client of it."""
    listening = socket.create_server(("127.0.0.1", 0))
    declared = Declared(app)
    server = _PromptServer(server_config(declared, settings or Settings()))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the application did not start"
        time.sleep(0.005)
    port = listening.getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
    assert not declared.others, "statuses that routes gave and the schema lacks"


class Declared:
    """Passes requests on, and notes the statuses that the schema of the application does not declare.

    Attributes
    ----------
    others : set of (str, str, int)
        Method, route and status.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.others = set[tuple[str, str, int]]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start" and ROUTE in scope and isinstance(self._app, DocumentedApi):
                path, method, status = scope[ROUTE], scope["method"], message["status"]
                operations = _paths(self._app).get(path)  # routes of one test are not in the schema of all
                if operations is not None and str(status) not in operations[method.lower()]["responses"]:
                    self.others.add((method, path, status))
            await send(message)

        await self._app(scope, receive, noting)


_known_paths: dict[frozenset[str], dict[str, Any]] = {}


def _paths(app: DocumentedApi) -> dict[str, Any]:
    """Operations of an application, made once for all with the same routes: it takes a while."""
    routes = frozenset(str(route) for route in app.router.routes)
    if routes not in _known_paths:
        _known_paths[routes] = app.openapi()["paths"]
    return _known_paths[routes]


class ThreadQueries:
    """Runs queries in threads, with a connection each."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._threads = ThreadPoolExecutor(4)

    async def run(self, query: Callable[[Database], _Result]) -> _Result:
        """The result of a function of the database."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, query, self._database)
