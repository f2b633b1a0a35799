"""What a wheel and the lock files hold."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from setuptools import Distribution  # type: ignore[import-untyped]
from setuptools.command.build_py import build_py  # type: ignore[import-untyped]

import movierec_assets

PROJECT = Path(movierec_assets.__file__).parents[1]
OURS = {"movierec_assets", "movierec_tests"}
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


def _locked(name: str) -> dict[str, str]:
    """Versions of a lock file by package; the first when a package has several, for different systems."""
    found = re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==(\S+)", (PROJECT / name).read_text(encoding="utf-8"), re.M)
    return dict(reversed(found))


def test_the_lock_files_agree_and_each_holds_what_its_targets_need() -> None:
    required = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {extra: _names(required["optional-dependencies"][extra]) for extra in ("app", "dev")}
    files = [_locked(f"requirements{part}.lock") for part in ("", "-app", "-dev")]
    asked = [_names(required["dependencies"]), needed["app"], needed["dev"]]
    for number, (locked, names) in enumerate(zip(files, asked, strict=True)):
        assert names <= locked.keys()
        assert locked.items() <= files[-1].items(), "run `make lock`"
        for smaller in files[:number]:
            assert smaller.items() <= locked.items(), "run `make lock`"
    for extra in needed.values():
        assert not (extra - asked[0]) & files[0].keys(), "the main job installs nothing of an extra"


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~\[; ]", requirement)[0] for requirement in requirements}


def test_the_package_imports_nothing_that_its_lock_file_lacks() -> None:
    locked = {name.lower() for name in _locked("requirements-app.lock")}
    without_app = {name.lower() for name in _locked("requirements.lock")}
    owners = packages_distributions()
    missing = set()
    for path in (PROJECT / "movierec_assets").rglob("*.py"):
        present = locked if "app" in path.relative_to(PROJECT).parts else without_app
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules = [node.module]
            for library in {module.split(".")[0] for module in modules} - sys.stdlib_module_names - OURS:
                if not {owner.lower().replace("_", "-") for owner in owners.get(library, [])} & present:
                    missing.add(f"{path.relative_to(PROJECT)}: {library}")
    assert not missing
