"""Claims about building the library: an installation works without a compiler, and the solver stays in its memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import movierec_assets

PROJECT = Path(movierec_assets.__file__).parents[1]
NATIVE = PROJECT / "movierec_assets" / "recsys" / "native"
SANITIZED = ("-O1", "-std=gnu11", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.mark.slow
def test_without_a_compiler_a_wheel_is_built_without_the_library(tmp_path: Path) -> None:
    copy, wheels = tmp_path / "copy", tmp_path / "wheels"
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "docs")
    shutil.copytree(PROJECT / "movierec_assets", copy / "movierec_assets", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, copy)
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"  # as pip does
    subprocess.run(
        [sys.executable, "-c", build, str(wheels)],
        cwd=copy,
        env=os.environ | {"CC": "/nonexistent/cc"},
        check=True,
        capture_output=True,
        text=True,
    )
    (wheel,) = wheels.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "movierec_assets/recsys/native/solver.c" in names
    assert not [name for name in names if name.endswith((".so", ".dylib", ".pyd"))]


@pytest.mark.slow
def test_the_solver_stays_within_its_memory(tmp_path: Path) -> None:
    compiler = next(filter(None, map(shutil.which, ("gcc", "clang", "cc"))), None)
    if compiler is None:
        pytest.skip("there is no C compiler")
    empty = tmp_path / "empty.c"
    empty.write_text("int main(void) { return 0; }", encoding="utf-8")
    if (
        _run(compiler, *SANITIZED, str(empty), "-o", str(tmp_path / "empty")).returncode
        or _run(str(tmp_path / "empty")).returncode
    ):
        pytest.skip("this C compiler has no address sanitizer")
    program = tmp_path / "edges"
    built = _run(
        compiler, *SANITIZED, f"-I{NATIVE}", str(Path(__file__).with_name("edges.c")), "-lm", "-o", str(program)
    )
    assert built.returncode == 0, built.stderr
    ran = _run(str(program))
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) % 8 == 0, "eight widths for each target"
    assert int(ran.stdout) > 0


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True)
