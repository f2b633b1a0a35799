"""One run of the asset graph, and the times of its steps.

Belongs here: running the code of `movierec run`, and reading times from Dagster's events and numbers from metadata.

    python -m movierec_tests.benchmarks.graph_run RESULT_JSON
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from movierec_assets.cli.run_progress import run_lines
from movierec_assets.host.environment import running_databases
from movierec_assets.host.run import request_for, run_job
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.settings import Settings, get_settings
from movierec_assets.tables.database import Database


@dataclass(frozen=True)
class GraphRun:
    """Times and numbers of a run of the job `everything`.

    Attributes
    ----------
    prepare_seconds : float
        Of creating the databases, once in a state directory.
    started, ended : float
        Unix seconds: before Dagster's process starts, and after it ended.
    steps : dict of (float, float)
        Unix seconds at which each step started and succeeded.
    facts : dict of dict
        Numbers in the metadata of each asset.
    failures : list of str
        Empty when the run succeeded.
    postgres : str
        Version of the server.
    recipe : dict
        From the metadata of `als_model`.
    start : str
        Whether training started warm or cold, and why.
    learning_curve : list of float
        Validation NDCG@10 after each iteration; empty when no fit on the training part was made.
    """

    prepare_seconds: float
    started: float
    ended: float
    steps: dict[str, tuple[float, float]]
    facts: dict[str, dict[str, float]]
    failures: list[str]
    postgres: str
    recipe: dict[str, Any]
    start: str = ""
    learning_curve: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Of the whole run, including the start of Dagster."""
        return self.ended - self.started


def run(console: Console) -> GraphRun:
    """Run the job `everything` in the workspace."""
    begun = time.perf_counter()
    with running_databases(get_settings(), lambda text: console.print(f"[dim]{escape(text)}[/]")) as settings:
        prepare_seconds = time.perf_counter() - begun
        started = time.time()
        with run_lines(console) as listener:
            report = run_job(request_for("everything"), settings, listener)
        ended = time.time()
        trained = report.metadata.get("als_model", {})
        return GraphRun(
            prepare_seconds=prepare_seconds,
            started=started,
            ended=ended,
            steps=_steps(report.run_id),
            facts={
                asset: {name: value for name, value in metadata.items() if _is_number(value)}
                for asset, metadata in report.metadata.items()
            },
            failures=[] if report.succeeded else report.failures,
            postgres=str(Database(settings.databases.ratings).scalar("SHOW server_version")).split()[0],
            recipe=trained.get("recipe", {}),
            start=trained.get("start", ""),
            learning_curve=_learning_curve(settings, trained["mlflow_run_id"]) if trained else [],
        )


def _learning_curve(settings: Settings, mlflow_run_id: str) -> list[float]:
    client = ModelRegistry.of(settings).client
    measured = client.get_metric_history(mlflow_run_id, "validation_ndcg_at_10")
    return [metric.value for metric in sorted(measured, key=lambda metric: metric.step)]


def _steps(run_id: str) -> dict[str, tuple[float, float]]:
    from dagster import DagsterEventType, DagsterInstance

    with DagsterInstance.get() as instance:
        times: list[dict[str, float]] = []
        for kind in (DagsterEventType.STEP_START, DagsterEventType.STEP_SUCCESS):
            entries = instance.all_logs(run_id, of_type=kind)
            times.append({entry.step_key: entry.timestamp for entry in entries if entry.step_key})
    started, succeeded = times
    return {step: (started[step], succeeded[step]) for step in succeeded}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def main(result: str) -> None:
    """Run the graph and write its times and numbers."""
    console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 140)
    Path(result).write_text(json.dumps(asdict(run(console))), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
