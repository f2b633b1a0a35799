"""The days after a first run: ratings are appended to the file, and training continues the fits of the day before.

Belongs here: holding back the latest ratings, appending them day by day, and the cost of each day. Does not: limits,
which are in `targets`.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.host import CommandError
from movierec_assets.progress import Log
from movierec_tests.benchmarks import datasets, stages
from movierec_tests.benchmarks.graph_run import GraphRun
from movierec_tests.benchmarks.learning_curves import WarmStartComparison
from movierec_tests.benchmarks.workspace import Workspace, open_workspace

SHARE, DAYS = 0.005, 2
"""Share of all ratings that each day brings, and the number of days. On the first day the fit on the training part
starts cold, because a first training makes no such fit. The second day is like every later one."""


@dataclass(frozen=True)
class Day:
    """A run after ratings were appended to ratings.csv.

    Attributes
    ----------
    new_ratings : int
        Rows that were merged.
    load_seconds, seconds : float
        Of loading, and of the whole run.
    start : str
        Whether training started warm, and why.
    learning_curve : list of float
        Validation NDCG@10 of a sample of the users after each iteration of the fit on the training part.
    iterations : int
        Of the scored fit and of the served fit.
    """

    new_ratings: int
    load_seconds: float
    seconds: float
    start: str
    learning_curve: list[float]
    iterations: int


@dataclass(frozen=True)
class Days:
    """A first run without the latest ratings, and the days that brought them.

    Attributes
    ----------
    first_ratings : int
    first_seconds : float
    days : list of Day
    curves : WarmStartComparison or None
        Of the last day; None when its training did not continue that of the day before.
    """

    first_ratings: int
    first_seconds: float
    days: list[Day]
    curves: WarmStartComparison | None


def measure_days(files: MovieLensFiles, *, home: Path, log: Log) -> Days:
    """Run the graph without the latest ratings, then again after each part of them is appended.

    Raises
    ------
    CommandError
        When a run fails.
    """
    with tempfile.TemporaryDirectory(prefix="movierec-bench-days-") as directory:
        log("holding back the latest ratings")
        growing, tails = datasets.without_latest(files, SHARE, DAYS, Path(directory) / "dataset")
        with open_workspace(home, growing) as workspace:
            log(f"the asset graph without the latest {SHARE * DAYS:.0%} of the ratings")
            first = _run(workspace)
            days = []
            for number, tail in enumerate(tails, start=1):
                log(f"day {number}: the next {SHARE:.1%} of the ratings")
                with growing.ratings.open("ab") as ratings:
                    ratings.write(tail.read_bytes())
                days.append(_day(_run(workspace)))
            log("a cold start on the last day's ratings")
            values, _ = workspace.run("learning_curves", str(workspace.state / "storage"), name="cold start")
            curves = None if values is None else WarmStartComparison(**values)
    return Days(int(first.facts["raw_ratings"]["dagster/row_count"]), first.seconds, days, curves)


def _run(workspace: Workspace) -> GraphRun:
    values, _ = workspace.run("graph_run", name="movierec run")
    run = GraphRun(**values)
    if run.failures:
        raise CommandError("The run to be measured failed:\n" + "\n".join(run.failures))
    return run


def _day(run: GraphRun) -> Day:
    load = (run.steps[step] for step in stages.STEPS[stages.LOAD])
    return Day(
        new_ratings=int(run.facts["raw_ratings"]["appended_rows"]),
        load_seconds=sum(end - start for start, end in load),
        seconds=run.seconds,
        start=run.start,
        learning_curve=run.learning_curve,
        iterations=int(run.facts["als_model"]["iterations"]),
    )
