"""A module that needs a platform, or the command in a process of its own, has one of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from movierec_assets.postgres.server import EmbeddedPostgres
from movierec_tests.alerts.receivers import mail_server, webhook
from movierec_tests.cli.command import Movierec, home_of, run_movierec
from movierec_tests.models.harness import module_platform, platform

__all__ = ["mail_server", "module_platform", "platform", "webhook"]


@pytest.fixture
def movierec(tmp_path: Path) -> Iterator[Movierec]:
    """The command in a state directory of this test."""
    home = home_of(tmp_path)
    yield lambda *arguments, **variables: run_movierec(home, *arguments, **variables)
    EmbeddedPostgres(home / "state").destroy(force=True)
