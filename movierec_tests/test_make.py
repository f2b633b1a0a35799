"""`make` in a clone that was renamed or copied, or lost its Python; the environment has no packages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from movierec_assets.cli import root as cli
from movierec_assets.host.env_file import MANAGED, write_env_file
from movierec_assets.host.scripts import repair
from movierec_assets.postgres.server import EmbeddedPostgres

PROJECT = Path(__file__).parents[1]

# Makes an environment, as `python -m venv .venv` does, and records that it did.
_MAKER = """#!/bin/bash
if [ "$1 $2" = "-m venv" ]; then
  echo "made $3" >>made
  mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
fi
"""


def _clone(directory: Path) -> Path:
    """A directory with the files that `make` needs, and an environment with an editable install of it."""
    (directory / "movierec_assets" / "host").mkdir(parents=True)
    locks = ("requirements.lock", "requirements-app.lock", "requirements-dev.lock")
    for name in ("Makefile", *locks, "pyproject.toml", "movierec_assets/host/clean.sh"):
        shutil.copy(PROJECT / name, directory / name)
    (directory / "movierec_assets" / "__init__.py").touch()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory / ".venv"], check=True)
    packages = sysconfig.get_path("purelib", vars={"base": str(directory / ".venv")})
    (Path(packages) / "editable.pth").write_text(f"{directory}\n", encoding="utf-8")
    (directory / ".venv" / ".ready").touch()
    return directory


def _make(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "UV=", *arguments], cwd=directory, capture_output=True, text=True, check=False, timeout=60
    )


def _lose_python(directory: Path) -> Path:
    python = directory / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/gone/python3.11")
    return directory


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return _clone(tmp_path / "Ann's $5 films 100% é")


def test_an_environment_that_works_here_is_kept(clone: Path) -> None:
    assert _make(clone, "-q", "install").returncode == 0


@pytest.mark.parametrize(
    ("target", "lock"), [("run", []), ("up", ["requirements-app.lock"]), ("test", ["requirements-dev.lock"])]
)
def test_a_target_installs_what_it_needs_and_no_more(clone: Path, target: str, lock: list[str]) -> None:
    assert re.findall(r"-r (requirements\S*)", _make(clone, "-n", target).stdout) == lock


@pytest.mark.parametrize(
    "change",
    [
        lambda clone: clone.rename(clone.with_name("it's renamed")),
        lambda clone: shutil.copytree(clone, clone.with_name("a copy"), symlinks=True),
        _lose_python,
    ],
    ids=["renamed", "copied", "without its Python"],
)
def test_make_replaces_an_environment_that_does_not_work_here(
    clone: Path, tmp_path: Path, change: Callable[[Path], Path]
) -> None:
    here = change(clone)
    maker = tmp_path / "maker"
    maker.write_text(_MAKER)
    maker.chmod(0o755)
    made = _make(here, "install", f"PYTHON={maker}")
    assert made.returncode == 0, made.stderr
    assert "does not work in this directory" in made.stdout
    assert (here / "made").read_text() == "made .venv\n"
    assert not (here / ".venv" / "pyvenv.cfg").exists(), "nothing of the old one is left"
    if here != clone and clone.exists():
        assert _make(clone, "-q", "install").returncode == 0, "the original is as it was"


def test_scripts_find_their_interpreter_in_a_path_that_a_shell_expands(tmp_path: Path) -> None:
    programs = tmp_path / "five $5" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    script, other = programs / "script", programs / "other"
    script.write_text(
        f"#!/bin/sh\n'''exec' \"{programs}/python\" \"$0\" \"$@\"\n' '''\nimport sys; print(sys.argv[1])\n"
    )
    other.write_text("#!/usr/bin/env python\n")
    script.chmod(0o755)
    assert subprocess.run([script, "argument"], capture_output=True, text=True, check=False).returncode != 0
    assert repair(programs) == ["script"]
    assert subprocess.run([script, "it's one"], capture_output=True, text=True, check=True).stdout == "it's one\n"
    assert repair(programs) == []


@pytest.mark.slow
def test_make_clean_works_without_the_environment_that_it_removes(clone: Path) -> None:
    server = EmbeddedPostgres(clone / ".movierec")
    server.start()
    data = server.status().data_dir
    _lose_python(clone)
    with server.lease():
        refused = _make(clone, "clean")
    assert refused.returncode != 0
    assert "is in use" in refused.stderr
    assert (clone / ".movierec").exists()
    write_env_file(clone, dict.fromkeys(MANAGED, "ours"))
    with (clone / ".env").open("a", encoding="utf-8") as file:
        file.write("# of my own\nMOVIEREC_DATASET=demo\nDAGSTER_HOMEPAGE=x\n")
    cleaned = _make(clone, "clean")
    assert cleaned.returncode == 0, cleaned.stderr
    assert (clone / ".env").read_text(encoding="utf-8") == "# of my own\nMOVIEREC_DATASET=demo\nDAGSTER_HOMEPAGE=x\n"
    assert (clone / ".env").stat().st_mode & 0o777 == 0o600
    (clone / ".env.own").mkdir()
    refused = _make(clone, "clean")
    assert refused.returncode != 0
    assert ".env stays" in refused.stderr
    assert (clone / ".env").is_file()
    (clone / ".env.own").rmdir()
    (clone / ".env").unlink()
    write_env_file(clone, dict.fromkeys(MANAGED, "ours"))
    assert _make(clone, "clean").returncode == 0
    assert not any((clone / name).exists() for name in (".movierec", ".venv", ".env"))
    assert not data.exists()
    assert server.status().pid is None


def test_the_command_of_a_copied_environment_refuses_to_work_on_the_original(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copied script starts the interpreter of the original, which is the one of this test."""
    monkeypatch.setattr("sys.argv", [os.fspath(clone / ".venv" / "bin" / "movierec"), "data", "list"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    message = capsys.readouterr().err
    assert f"{clone}/.venv is a copy, and works on the code and the data in {PROJECT}" in message
    assert "make install" in message
