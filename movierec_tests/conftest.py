"""A real Postgres for the whole session, and separate databases for tests that write.

An embedded server runs in a directory in memory. Databases are copied from templates with all schemas, so a test starts
with empty tables, an empty Dagster instance and an empty MLflow in a fraction of a second.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from movierec_assets.garbage import collect_rarely
from movierec_assets.host.environment import variables
from movierec_assets.host.provision import provision
from movierec_assets.postgres import cluster as postgres_cluster
from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_assets.recsys.native.library import SWITCH
from movierec_assets.settings import Settings, get_settings
from movierec_assets.tables.database import Database
from movierec_tests.databases import own_database, own_databases
from movierec_tests.first_day import demo_files, first_day
from movierec_tests.memory_directory import memory_directory

__all__ = ["demo_files", "first_day"]

TEMPLATE = "template_movierec"
SETTINGS = ("MOVIEREC_", "DAGSTER_", "MLFLOW_", "TTY_")
TERMINAL = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE")

Dataset = Callable[..., Path]

# A crash of the machine may destroy the server of the tests, and its log is in memory.
_SERVER_SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_wal_size": "256MB"}

# On a loaded machine, examples are slow, and so is generating them.
hypothesis.settings.register_profile("movierec", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("movierec")


SHARE_A_RUN = {
    "cli/test_cli.py": "command",
    "defs/test_backtest.py": "two runs",
    "defs/test_bad_input.py": "bad input",
    "defs/test_feedback.py": "two runs",
    "defs/test_provenance.py": "provenance",
    "defs/test_readers.py": "two runs",
    "defs/test_whole_run.py": "two runs",
    "defs/test_whole_run_in_mlflow.py": "two runs",
    "host/test_api.py": "api",
    "journeys/test_kill_rounds.py": "kill rounds",
    "serving/online/test_keeper.py": "keeper",
}
"""Modules whose tests share a run of the platform, which takes half a minute and is made once on each worker. Tests of
the app share one API and one browser."""


def _settings() -> list[str]:
    return [name for name in os.environ if name.startswith(SETTINGS) and name != SWITCH]


def pytest_configure() -> None:
    """Tests, fixtures of a session and the processes they start see no setting of the person who runs them, nor of
    that person's terminal."""
    for name in [*_settings(), *TERMINAL]:
        os.environ.pop(name, None)
    collect_rarely()
    # In the background of a script Ctrl-C is ignored. Dagster then ignores SIGTERM as well, and so do child processes.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep tests that share a run on one worker, and hand out all others one by one."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            *_, room, module = nodeid.partition("::")[0].split("/")
            return "app" if room == "app" else SHARE_A_RUN.get(f"{room}/{module}", nodeid)

    return Scheduling(config, log) if config.getoption("dist") == "loadscope" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the fast tests first, so that failures show early, then the longest, so that no worker runs one alone."""

    def order(item: pytest.Item) -> tuple[bool, bool]:
        return item.get_closest_marker("slow") is not None, "journeys" not in item.nodeid

    items.sort(key=order)


def pytest_collection_finish() -> None:
    """No garbage collection looks at the libraries and tests that were imported: each took half a second for them."""
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Neither a test nor any fixture of it, of its module or of the session sees a setting that a command left in this
    process: with the URL of a database of another test, a whole platform worked on that one."""
    for name in _settings():
        del os.environ[name]


@pytest.fixture(autouse=True)
def _no_settings_of_fixtures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test sees no setting that a fixture of its module set for itself."""
    for name in _settings():
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """libpq URL of the session's Postgres, at the template database with everything provisioned."""
    saved = dict(os.environ)
    with ExitStack() as held:
        directory = held.enter_context(memory_directory(tmp_path_factory.mktemp("server")))
        # A directory name that breaks wrong quoting in shells and URLs.
        state = directory / "Ann's $5 films 100% é"
        server = EmbeddedPostgres(state, TEMPLATE)
        held.callback(server.destroy, force=True)  # its data may be outside the directory
        with pytest.MonkeyPatch.context() as patched:
            for name, value in _SERVER_SETTINGS.items():
                patched.setitem(postgres_cluster.SERVER_SETTINGS, name, value)
            url = held.enter_context(server.lease())
            settings = Settings(state_dir=state, database_url=url)
            os.environ.update(variables(settings))
            try:
                provision(settings)
            finally:
                os.environ.clear()
                os.environ.update(saved)
        gc.freeze()  # with MLflow, which `provision` imports
        yield url


@pytest.fixture
def database_url(server_url: str) -> Iterator[str]:
    """libpq URL of databases of the test's own: ratings (schema in place), and Dagster's and MLflow's beside it."""
    with own_databases(server_url) as url:
        yield url


@pytest.fixture
def database(request: pytest.FixtureRequest, server_url: str) -> Iterator[Database]:
    """The ratings database of this test, with empty tables; that of its platform, when it has one."""
    if "database_url" in request.fixturenames:
        yield Database(request.getfixturevalue("database_url"))
        return
    with own_database(server_url) as url:
        yield Database(url)


@pytest.fixture
def platform_settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a platform for this test, set in the environment of this process and its children."""
    monkeypatch.setenv("MOVIEREC_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("MOVIEREC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MOVIEREC_DATABASE_URL", database_url)
    for name, value in variables(get_settings()).items():
        monkeypatch.setenv(name, value)
    return get_settings()


@pytest.fixture
def make_dataset(tmp_path: Path) -> Dataset:
    """Write a small directory in MovieLens layout from lines without headers."""

    def make(
        ratings: list[str],
        movies: list[str] | None = None,
        *,
        name: str = "tiny",
        links: list[str] | None = None,
    ) -> Path:
        directory = tmp_path / name
        directory.mkdir(exist_ok=True)
        films = movies or [f"{number},Film {number} (19{number % 90 + 10}),Drama|Comedy" for number in range(1, 41)]
        for file, header, lines in (
            ("ratings.csv", "userId,movieId,rating,timestamp", ratings),
            ("movies.csv", "movieId,title,genres", films),
            ("links.csv", "movieId,imdbId,tmdbId", links),
        ):
            if lines is not None:
                (directory / file).write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return directory

    return make
