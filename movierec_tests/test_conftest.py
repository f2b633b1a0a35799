"""What every test can rely on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_TESTS = """
import os

import pytest

LEFT = "MOVIEREC_DATABASE_URL"


def test_a_command_leaves_a_setting():
    os.environ[LEFT] = "postgresql://another"


@pytest.fixture(scope="module")
def seen_by_a_fixture():
    before = os.environ.get(LEFT)
    os.environ[LEFT] = "postgresql://own"
    return before


def test_a_later_fixture_and_its_test_do_not_see_it(seen_by_a_fixture):
    assert seen_by_a_fixture is None
    assert LEFT not in os.environ
"""


def test_no_fixture_sees_a_setting_that_an_earlier_test_left(tmp_path: Path) -> None:
    """A module whose platform found such a URL worked on the databases of another test."""
    file = tmp_path / "test_settings_that_are_left.py"
    file.write_text(_TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "movierec_tests.conftest",
        "-p",
        "no:cacheprovider",
        str(file),
    ]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
