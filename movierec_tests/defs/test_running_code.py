"""A version records the code that trained it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import movierec_assets
from movierec_assets.defs.running_code import TRAINING_CODE, code, libraries, training_code


def test_code_and_libraries_have_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"python", "implicit", "numpy", "scipy", "mlflow", "dagster"} <= libraries().keys()
    monkeypatch.setenv("MOVIEREC_GIT_COMMIT", "abc123")
    assert code()["git_commit"] == "abc123"
    monkeypatch.delenv("MOVIEREC_GIT_COMMIT")
    assert re.fullmatch("[0-9a-f]{40}(-dirty)?|unknown", code()["git_commit"])


@pytest.mark.parametrize("name", TRAINING_CODE)
def test_every_file_of_the_training_code_exists(name: str) -> None:
    path = Path(movierec_assets.__file__).parent / name
    assert path.is_file() or any(path.rglob("*.py"))


def test_the_training_code_has_one_fingerprint() -> None:
    assert re.fullmatch("[0-9a-f]{64}", training_code())
