"""Progress of long work in a file or a pipe, where no line can move."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from dagster import AssetExecutionContext, DagsterInstance, asset, materialize
from rich.console import Console
from rich.status import Status

from movierec_assets.cli import shared
from movierec_assets.cli.run_progress import _RunLines
from movierec_assets.host import run_events
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.resources.io_managers import NpzStorage


@dataclass
class Clock:
    """Replaces the module `time`, and stands still unless it is moved."""

    now: float = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(shared, "time", clock)
    return clock


def _lines(console: Console) -> _RunLines:
    return _RunLines(console, Status("", console=console))


def test_counted_work_is_reported_every_few_seconds(clock: Clock) -> None:
    console = Console(file=io.StringIO(), width=80)
    with shared.counting_bar(console) as progress:
        clock.now += shared.QUIET_SECONDS / 2
        progress("Writing ratings.csv", 1, 1_000)
        clock.now += shared.QUIET_SECONDS
        progress("Writing ratings.csv", 500, 1_000)
        clock.now += shared.QUIET_SECONDS / 2
        progress("Writing ratings.csv", 600, 1_000)
    assert console.file.getvalue() == "Writing ratings.csv: 500 of 1,000\n"  # type: ignore[attr-defined]


def test_an_asset_at_work_is_reported_every_few_seconds(clock: Clock) -> None:
    file, terminal = (Console(file=io.StringIO(), width=80, force_terminal=moves) for moves in (False, True))
    listeners = [_lines(file), _lines(terminal)]
    for number in (1, 2):
        clock.now += shared.QUIET_SECONDS * 0.6
        for listener in listeners:
            listener.logged("als_model", f"iteration {number}", warning=False)
    assert file.file.getvalue() == "als_model: iteration 2\n"  # type: ignore[attr-defined]
    assert terminal.file.getvalue() == ""  # type: ignore[attr-defined]


def test_lines_of_the_platform_are_reported_and_those_of_dagster_are_not(tmp_path: Path, clock: Clock) -> None:
    @asset(io_manager_key="npz")
    def matrix() -> Interactions:
        zero = np.zeros(1)
        return Interactions.from_triplets(zero.astype(int), zero.astype(int), zero + 4, zero.astype(int), (1, 1))

    @asset
    def fit(context: AssetExecutionContext, matrix: Interactions) -> None:
        context.log.info("Fitting 1 positive")
        context.log.warning("That is few")
        context.log.info("Starting a new mlflow run with id 1f2e in experiment movierec")

    file = Console(file=io.StringIO(), width=80)
    with DagsterInstance.ephemeral() as instance:
        done = materialize([matrix, fit], instance=instance, resources={"npz": NpzStorage(base_path=str(tmp_path))})
        entries = instance.all_logs(done.run_id)
    logged = [entry.user_message for entry in entries]
    for framework in ("Loading file from", "Writing file at", "Starting a new mlflow run"):
        assert any(text.startswith(framework) for text in logged)
    events = run_events.Events(run_events.Report(done.run_id), _lines(file))
    for entry in entries:
        clock.now += shared.QUIET_SECONDS
        events.read(entry)
    lines = [line.split("  ")[0] for line in file.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert lines == ["✓ matrix", "fit: Fitting 1 positive", "! That is few", "✓ fit"]
    assert events.report.warnings == ["That is few"]
    assert "\x1b" not in file.file.getvalue()  # type: ignore[attr-defined]
