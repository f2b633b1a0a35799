"""What is told of long work where no line can move: in a file or a pipe."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pytest
from rich.console import Console

from movierec_assets.cli import shared
from movierec_assets.command import run


@dataclass
class Clock:
    """Stands in for the module `time`, and stands still unless it is moved."""

    now: float = 100.0

    def monotonic(self) -> float:
        return self.now


def test_counted_work_is_told_in_lines_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    console, clock = Console(file=io.StringIO(), width=80), Clock()
    monkeypatch.setattr(shared, "time", clock)
    with shared.counting_bar(console) as tell:
        clock.now += shared.QUIET_SECONDS / 2
        tell("Writing ratings.csv", 1, 1_000)
        clock.now += shared.QUIET_SECONDS
        tell("Writing ratings.csv", 500, 1_000)
        clock.now += shared.QUIET_SECONDS / 2
        tell("Writing ratings.csv", 600, 1_000)
    assert console.file.getvalue() == "Writing ratings.csv: 500 of 1,000\n"  # type: ignore[attr-defined]


def test_an_asset_at_work_is_heard_of_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    file, terminal = (Console(file=io.StringIO(), width=80, force_terminal=moves) for moves in (False, True))
    clock = Clock()
    monkeypatch.setattr(run, "time", clock)
    began = clock.now
    clock.now += run.QUIET_SECONDS / 2
    assert run._tell_now_and_then(file, "als_model: iteration 1", began) == began
    clock.now += run.QUIET_SECONDS
    assert run._tell_now_and_then(file, "als_model: iteration 2", began) == clock.now
    assert file.file.getvalue() == "als_model: iteration 2\n"  # type: ignore[attr-defined]
    assert run._tell_now_and_then(terminal, "als_model: iteration 2", began) == began
    assert terminal.file.getvalue() == ""  # type: ignore[attr-defined]
