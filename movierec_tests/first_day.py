"""A platform after its first run on the demo set, made once on each worker; tests go on from copies of it.

Belongs here: the files, the run, and copies of the platform. Does not: what a test does with its copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from movierec_assets.datasets.demo import make_demo

if TYPE_CHECKING:  # every test imports this module, and few need Dagster
    from dagster import ExecuteInProcessResult

    from movierec_tests.defs.harness import Platform

USERS = 120


@dataclass(frozen=True)
class FirstDay:
    """The platform, which no test changes, its dataset, and its first run of `everything`."""

    platform: Platform
    files: Path
    result: ExecuteInProcessResult

    @contextmanager
    def copied(self, directory: Path, dataset: Path | None = None) -> Iterator[Platform]:
        """A copy in a directory, on the same files or on a copy of them; see `own_platform`."""
        from movierec_tests.defs.harness import copied_platform

        with copied_platform(self.platform, directory, dataset or self.files) as platform:
            yield platform


@pytest.fixture(scope="session")
def demo_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo set with few users."""
    return make_demo(tmp_path_factory.mktemp("demo") / "demo", users=USERS)


@pytest.fixture(scope="session")
def first_day(server_url: str, tmp_path_factory: pytest.TempPathFactory, demo_files: Path) -> Iterator[FirstDay]:
    """The platform of this worker."""
    from movierec_tests.defs.harness import failures_of, own_platform, run

    with own_platform(server_url, tmp_path_factory.mktemp("first day"), demo_files) as platform:
        result = run()
        assert result.success, failures_of(result)
        yield FirstDay(platform, demo_files, result)
