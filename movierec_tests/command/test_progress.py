"""What is told of long work where no line can move: in a file or a pipe."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from movierec_assets.cli import shared
from movierec_assets.command import run


def test_counted_work_is_told_in_lines_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), width=80)
    with shared.counting_bar(console) as tell:
        tell("Writing ratings.csv", 1, 1_000)
        monkeypatch.setattr(shared, "QUIET_SECONDS", 0.0)
        tell("Writing ratings.csv", 500, 1_000)
    assert console.file.getvalue() == "Writing ratings.csv: 500 of 1,000\n"  # type: ignore[attr-defined]


def test_an_asset_at_work_is_heard_of_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    file, terminal = (Console(file=io.StringIO(), width=80, force_terminal=moves) for moves in (False, True))
    began = time.monotonic()
    assert run._tell_now_and_then(file, "als_model: iteration 1", began) == began
    monkeypatch.setattr(run, "QUIET_SECONDS", 0.0)
    assert run._tell_now_and_then(file, "als_model: iteration 2", began) > began
    assert file.file.getvalue() == "als_model: iteration 2\n"  # type: ignore[attr-defined]
    assert run._tell_now_and_then(terminal, "als_model: iteration 2", began) == began
    assert terminal.file.getvalue() == ""  # type: ignore[attr-defined]
