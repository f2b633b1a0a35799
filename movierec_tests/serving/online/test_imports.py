"""A worker stays small: it imports neither MLflow nor Dagster, nor the libraries of data frames and pictures."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("mlflow", "dagster", "polars", "pandas", "matplotlib", "pyarrow", "optuna")


@pytest.mark.parametrize(
    "module",
    ["movierec_assets.serving.online.ranker", "movierec_assets.serving.api.app", "movierec_assets.serving.api.parts"],
)
def test_a_worker_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == []
