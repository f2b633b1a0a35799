"""One database for tests that need only tables, and two runs of the graph for all claims about runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from dagster import ExecuteInProcessResult

from movierec_assets.tables.database import Database
from movierec_tests.alerts.receivers import webhook
from movierec_tests.defs.harness import Platform, run
from movierec_tests.first_day import FirstDay
from movierec_tests.models.harness import module_platform, platform
from movierec_tests.room_database import database, shared_database

__all__ = ["database", "module_platform", "platform", "shared_database", "webhook"]


@dataclass(frozen=True)
class Ran:
    """A platform on which `everything` ran twice on the demo set, and both runs."""

    platform: Platform
    first: ExecuteInProcessResult
    second: ExecuteInProcessResult

    @property
    def database(self) -> Database:
        return self.platform.database


@pytest.fixture(scope="session")
def demo(demo_files: Path) -> Path:
    """The demo set with few users."""
    return demo_files


@pytest.fixture(scope="package")
def ran_once(first_day: FirstDay, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """Two runs in a row, for reading only."""
    with first_day.copied(tmp_path_factory.mktemp("ran")) as platform:
        yield Ran(platform, first_day.result, run())


@pytest.fixture
def ran(ran_once: Ran, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """The runs, with the platform's variables in this test's environment."""
    ran_once.platform.enter(monkeypatch)
    return ran_once
