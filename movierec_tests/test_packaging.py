"""What setuptools puts into a wheel: the package with its data files, and no tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from setuptools import Distribution  # type: ignore[import-untyped]
from setuptools.command.build_py import build_py  # type: ignore[import-untyped]

import movierec_assets

PROJECT = Path(movierec_assets.__file__).parents[1]
DATA = (
    *("sql/*.sql", "sql/migrations/versions/*.sql", "docs/*.md", "docs/*.png", "datasets/*.csv"),
    *("host/clean.sh", "py.typed", "recsys/native/*.c", "recsys/native/*.h"),
)


def _made_here(path: Path) -> bool:
    return "__pycache__" in path.parts or path.suffix == ".so"


def test_a_wheel_holds_every_file_of_the_package_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    distribution = Distribution({"script_name": "setup.py"})
    distribution.parse_config_files()
    distribution.include_package_data = False  # else setuptools writes its list of files into the project
    command = build_py(distribution)
    command.build_lib = "wheel"
    command.ensure_finalized()
    packaged = {Path(path).relative_to("wheel") for path in command.get_outputs(include_bytecode=False)}
    files = (path for path in (PROJECT / "movierec_assets").rglob("*") if path.is_file())
    assert packaged == {path.relative_to(PROJECT) for path in files if not _made_here(path)}
    assert not [pattern for pattern in DATA if not any(path.match(f"movierec_assets/{pattern}") for path in packaged)]
