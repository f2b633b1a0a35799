"""Workflows and hooks: they run the commands that there are, on the versions that the package is for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from movierec_assets.settings import PROJECT_ROOT

WORKFLOWS = sorted((PROJECT_ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def commands(workflow: Path) -> list[str]:
    """Commands of all jobs."""
    return [step["run"] for job in read(workflow)["jobs"].values() for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_what_exists_and_may_write_nothing(workflow: Path) -> None:
    found = read(workflow)
    assert found["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 60 for job in found["jobs"].values())
    targets = re.findall(r"^([a-z]+):", MAKEFILE, re.M)
    for command in commands(workflow):
        assert set(re.findall(r"^make ([a-z]+)", command)) <= set(targets)
        for module in re.findall(r"python3 -m (movierec_[\w.]+)", command):
            assert (PROJECT_ROOT / Path(*module.split("."))).with_suffix(".py").is_file()


def test_both_commands_run_on_every_python_of_the_package_and_two_systems() -> None:
    workflow = PROJECT_ROOT / ".github" / "workflows" / "test.yml"
    matrix = read(workflow)["jobs"]["commands"]["strategy"]["matrix"]
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lowest, beyond = re.findall(r"3\.(\d+)", project["requires-python"])
    assert matrix["python"] == [f"3.{minor}" for minor in range(int(lowest), int(beyond))]
    assert {system.partition("-")[0] for system in matrix["system"]} == {"ubuntu", "macos"}
    assert [command.split()[1] for command in commands(workflow) if command.startswith("make")] == ["test", "run"]


def test_hooks_are_the_checks_of_lint() -> None:
    (repository,) = read(PROJECT_ROOT / ".pre-commit-config.yaml")["repos"]
    hooks = {hook["name"]: hook["entry"] for hook in repository["hooks"]}
    assert hooks.keys() == {"ruff check", "ruff format", "mypy"}
    lint = MAKEFILE.split("\nlint:")[1].split("\n\n")[0].replace("$(BIN)", ".venv/bin")
    for name, entry in hooks.items():
        assert entry.split(" --")[0] in lint, name
