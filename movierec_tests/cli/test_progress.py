"""A run in a process of its own, and what is told of long work where no line can move: in a file or a pipe."""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from dagster import AssetExecutionContext, DagsterInstance, asset, materialize, validate_run_config
from dagster._cli.job import job_execute_command
from rich.console import Console

from movierec_assets.cli import shared
from movierec_assets.definitions import build
from movierec_assets.host import run
from movierec_assets.recsys.interactions import Interactions
from movierec_assets.resources.io_managers import NpzStorage


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


def test_lines_of_the_platform_are_told_and_those_of_dagster_only_kept(tmp_path: Path) -> None:
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
    kept = [entry.user_message for entry in entries]
    for framework in ("Loading file from", "Writing file at", "Starting a new mlflow run"):
        assert any(text.startswith(framework) for text in kept)
    teller = run._Teller(run.Report(done.run_id, tmp_path), file)
    told = [message for entry in entries if (message := teller.tell(entry)) is not None]
    assert told == ["fit: Fitting 1 positive", "fit: That is few"]
    shown = file.file.getvalue()  # type: ignore[attr-defined]
    assert "! That is few\n" in shown, "a warning stays on the screen"
    assert teller.report.warnings == ["That is few"]
    assert "\x1b" not in shown


@pytest.mark.parametrize("job", ["everything", "train"])
def test_a_retraining_is_a_command_that_dagster_takes(tmp_path: Path, job: str) -> None:
    for retrain in (False, True):
        _, _, _, _, execute, *options = run.command_for(job, "1f2e", tmp_path, retrain=retrain)
        parsed = job_execute_command.make_context(execute, options).params
        assert parsed["job_name"] == job
        (config,) = parsed["config"] or [None]
        assert (config is not None) is retrain
    assert validate_run_config(build().resolve_job_def(job), json.loads(Path(config).read_text()))
