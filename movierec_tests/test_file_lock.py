"""Locks between processes, by files."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from movierec_assets.file_lock import locked


def test_a_lock_makes_its_file_or_says_that_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), locked(tmp_path / "lock", create=False):
        pass
    assert os.listdir(tmp_path) == []
    with locked(tmp_path / "lock"):
        assert os.listdir(tmp_path) == ["lock"]
    with locked(tmp_path / "lock", create=False):
        pass


def test_whoever_waits_for_a_file_that_is_removed_makes_it_anew_only_when_asked_to(tmp_path: Path) -> None:
    path, found = tmp_path / "lock", list[str]()

    def wait(create: bool) -> None:
        try:
            with locked(path, create=create):
                found.append("locked")
        except FileNotFoundError:
            found.append("gone")

    for create, expected in ((False, "gone"), (True, "locked")):
        with locked(path):
            thread = threading.Thread(target=wait, args=[create])
            thread.start()
            path.unlink()
        thread.join()
        assert found.pop() == expected
        assert path.exists() == create
        path.unlink(missing_ok=True)
