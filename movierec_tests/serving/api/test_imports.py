"""A worker imports nothing that takes much memory or long: that is the keeper's."""

from __future__ import annotations

import subprocess
import sys

FORBIDDEN = {"dagster", "matplotlib", "mlflow", "optuna", "pandas", "polars", "pyarrow", "requests"}


def test_a_worker_with_all_its_routes_imports_neither_mlflow_nor_dagster_nor_tables_of_other_libraries() -> None:
    code = (
        "import sys; import movierec_assets.serving.api.__main__; "
        "from movierec_assets.serving.api.app import all_routes; "
        "assert len(all_routes()) > 5; print(*sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    imported = {module.partition(".")[0] for module in printed.split()}
    assert "fastapi" in imported
    assert not imported & FORBIDDEN
