"""One database for tests that need only tables, and two runs of the graph for all claims about runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from dagster import ExecuteInProcessResult

from movierec_assets.datasets.demo import make_demo
from movierec_assets.tables.database import Database
from movierec_tests.alerts.receivers import webhook
from movierec_tests.defs.harness import Platform, own_platform, run
from movierec_tests.models.harness import module_platform, platform
from movierec_tests.room_database import database, shared_database

__all__ = ["database", "module_platform", "platform", "shared_database", "webhook"]

USERS = 120


@dataclass(frozen=True)
class Ran:
    """A platform on which `everything` ran twice on the demo set, and both runs."""

    platform: Platform
    first: ExecuteInProcessResult
    second: ExecuteInProcessResult

    @property
    def database(self) -> Database:
        return self.platform.database


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo set with few users."""
    return make_demo(tmp_path_factory.mktemp("demo") / "demo", users=USERS)


@pytest.fixture(scope="package")
def ran_once(server_url: str, tmp_path_factory: pytest.TempPathFactory, demo: Path) -> Iterator[Ran]:
    """Two runs in a row, for reading only."""
    with own_platform(server_url, tmp_path_factory.mktemp("ran"), demo) as platform:
        first, second = run(), run()
        yield Ran(platform, first, second)


@pytest.fixture
def ran(ran_once: Ran, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """The runs, with the platform's variables in this test's environment."""
    ran_once.platform.enter(monkeypatch)
    return ran_once
