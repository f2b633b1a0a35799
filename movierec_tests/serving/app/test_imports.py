"""The app imports the settings and the errors, and nothing that takes long or reaches past the API."""

from __future__ import annotations

import subprocess
import sys

from movierec_assets.serving.app.app_pages import entries
from movierec_tests.test_house import arrows

ROOM = "movierec_assets.serving.app"
ALLOWED = ("movierec_assets.settings", "movierec_assets.errors", ROOM)
FORBIDDEN = {"dagster", "implicit", "matplotlib", "mlflow", "optuna", "polars", "psycopg2", "scipy"}


def test_modules_of_the_app_import_only_its_own_and_what_explains_settings_and_errors() -> None:
    outside = [
        f"{module} -> {target}"
        for module, targets in arrows().items()
        if module.startswith(ROOM)
        for target in sorted(targets)
        if target.startswith("movierec_assets") and not target.startswith(ALLOWED)
    ]
    assert not outside


def test_the_app_with_all_its_pages_imports_neither_mlflow_nor_dagster() -> None:
    pages = [entry.name for found in entries().values() for entry in found]
    assert {"for_you", "similar"} <= set(pages)
    names = ", ".join(f"{ROOM}.app_pages.{name}" for name in pages)
    code = f"import sys; import {ROOM}.main, {names}; print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    imported = {module.partition(".")[0] for module in printed.split()}
    assert "streamlit" in imported
    assert not imported & FORBIDDEN
