"""Pages in Streamlit's own test runner, with an API that really answers, and the states in which it does not.

`open_page` runs a page. `served_api` is the address of an API with the small dataset and its champion; a test that
needs another state names another address with `at`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from movierec_assets.serving.api.app import create_app
from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.app import app_pages, look, session
from movierec_assets.serving.online.registry_view import RegistryView
from movierec_assets.serving.online.snapshot import NOTHING, Snapshot
from movierec_assets.settings import Settings
from movierec_tests.databases import own_database
from movierec_tests.serving.api.conftest import running, served, small_url, snapshot, worker_with

__all__ = ["small_url", "snapshot"]

NO_VERSION = "No version was promoted yet."
NOWHERE = "http://127.0.0.1:9"
OpenPage = Callable[..., AppTest]


@pytest.fixture(scope="session")
def worker(small_url: str, snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """The parts of the API; a test may write ratings of users that no other test looks at."""
    with own_database(small_url) as url:
        settings = Settings(database_url=url, state_dir=tmp_path_factory.mktemp("state"), api_access_log=False)
        yield worker_with(settings, snapshot)


@pytest.fixture(scope="session")
def served_api(worker: Worker) -> Iterator[str]:
    """Address of an API with the small dataset and its champion."""
    with address_of(worker) as address:
        yield address


@pytest.fixture(scope="session")
def api_without_champion(worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an API on the same data, before the first training."""
    settings = worker.settings.model_copy(update={"state_dir": tmp_path_factory.mktemp("untrained")})
    none = replace(worker.current.snapshot, champion=None, why_none=NO_VERSION)
    RegistryView(0.0, None, NO_VERSION, []).write(settings)
    with address_of(worker_with(settings, none)) as address:
        yield address


@pytest.fixture(scope="session")
def empty_api(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an API on a database without ratings."""
    with own_database(server_url) as url:
        settings = Settings(database_url=url, state_dir=tmp_path_factory.mktemp("empty"), api_access_log=False)
        RegistryView(0.0, None, NO_VERSION, []).write(settings)
        with address_of(worker_with(settings, NOTHING)) as address:
            yield address


@pytest.fixture(scope="session")
def api_with_keys(worker: Worker) -> Iterator[str]:
    """Address of an API that answers nobody without a key."""
    settings = worker.settings.model_copy(update={"api_reader_keys": "always"})
    with address_of(worker_with(settings, worker.current.snapshot)) as address:
        yield address


@contextmanager
def dagster_saying(body: bytes) -> Iterator[str]:
    """Address of a server that answers every question to Dagster with `body`."""

    class Server(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@contextmanager
def address_of(worker: Worker) -> Iterator[str]:
    """Serve a worker, with its log of lists."""
    asyncio.run(worker.shown.start())
    try:
        with served(create_app(worker.settings, running(worker))) as client:
            yield str(client.base_url).rstrip("/")
    finally:
        asyncio.run(worker.shown.stop())


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenPage]:
    """Runs a page by its name: `open_page("for_you", at=served_api, user="5")`; keywords are of the URL."""

    def opened(name: str, *, at: str, **query: str | list[str]) -> AppTest:
        monkeypatch.setenv("MOVIEREC_APP_API_URL", at)
        forget()
        page = AppTest.from_file(str(app_pages.file_of(name)), default_timeout=60)
        for part, value in query.items():
            page.query_params[part] = value
        return page.run()

    yield opened
    forget()


def forget() -> None:
    """Forget answers and the API of earlier tests."""
    session.api.clear()
    st.cache_data.clear()


def with_tables(page: AppTest) -> AppTest:
    """The page with the data of all charts opened."""
    for key in [key for key in page.session_state._state.filtered_state if key.startswith(look.DATA_OF)]:
        page.session_state[key] = True
    return page.run()


def words(page: AppTest) -> str:
    """Everything that a page says, as text with markup."""
    kinds = ("html", "markdown", "caption", "info", "success", "warning", "error", "text", "header")
    said = [each for kind in kinds for each in page.get(kind)]
    texts = [str(getattr(each, "value", "") or getattr(each.proto, "body", "")) for each in said]
    return "\n".join([*texts, *(f"{each.label} {each.value}" for each in page.metric)])
