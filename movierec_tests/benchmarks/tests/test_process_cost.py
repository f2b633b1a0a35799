"""Time and memory of processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest

from movierec_assets.host import CommandError
from movierec_tests.benchmarks import process_cost
from movierec_tests.waiting import PATIENCE

HOLDING = f"""
import time
from pathlib import Path
held, deadline = b"x" * 400_000_000, time.monotonic() + {PATIENCE}
while not Path("measured").exists() and time.monotonic() < deadline:
    time.sleep(0.05)
"""


def test_memory_of_a_process_and_of_its_children_is_separate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples, name_of = 0, process_cost._name_of

    def end_after_two_samples(process: psutil.Process) -> str:
        nonlocal samples
        samples += process.memory_info().rss > 200e6
        if samples > 1:  # the sample before this one is complete
            (tmp_path / "measured").touch()
        return name_of(process)

    monkeypatch.setattr(process_cost, "_name_of", end_after_two_samples)
    monkeypatch.chdir(tmp_path)
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLDING!r}])"
    cost = process_cost.run([sys.executable, "-c", parent], os.environ, name="parent")
    (name,) = set(cost.peaks) - {"parent"}
    assert cost.peaks[name] > 200 > cost.peaks["parent"]
    assert cost.between(0, 1) == {}
    assert cost.between(cost.samples[0].at, cost.samples[-1].at)["parent"] <= cost.peaks["parent"]


def test_a_process_that_fails_stops_the_benchmark() -> None:
    with pytest.raises(CommandError, match="the graph ended with exit status 3"):
        process_cost.run([sys.executable, "-c", "raise SystemExit(3)"], os.environ, name="the graph")
