"""The `movierec` command in a process of its own, with a state directory of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from movierec_tests.waiting import PATIENCE

Movierec = Callable[..., subprocess.CompletedProcess[str]]


def environment(state: Path) -> dict[str, str]:
    """Variables of a command in a directory of its own: those of this process but for settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MOVIEREC_", "DAGSTER_", "MLFLOW_", "FORCE_COLOR", "TTY_"))
    }
    return kept | {
        "MOVIEREC_STATE_DIR": str(state / "state"),
        "MOVIEREC_DATA_DIR": str(state / "data"),
        "MOVIEREC_HOME": str(state / "home"),
        "PYTHONIOENCODING": "utf-8",  # whatever the locale
    }


def run_movierec(state: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command with `arguments`, and with further variables."""
    return subprocess.run(
        [sys.executable, "-m", "movierec_assets.cli", *arguments],
        env=environment(state) | variables,
        capture_output=True,
        encoding="utf-8",
        timeout=10 * PATIENCE,
        check=False,
    )


def home_of(directory: Path) -> Path:
    """A project directory of this test, so that the .env of the clone is not read or written."""
    (directory / "home").mkdir()
    for name in ("dagster.yaml", "workspace.yaml"):
        (directory / "home" / name).symlink_to(Path(__file__).parents[2] / name)
    return directory
