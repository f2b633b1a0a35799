"""The benchmark of a whole run: the graph, parts of it alone, the original recipe, and the API, one after the other.

Belongs here: the order of the programs, and the results together. Does not: layout, which is in `report`.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from movierec_assets.datasets.layout import MovieLensFiles
from movierec_assets.host import CommandError
from movierec_assets.progress import Log
from movierec_assets.tables.database import Database
from movierec_tests.benchmarks import datasets, machine, process_cost, stages
from movierec_tests.benchmarks.api.measurement import ApiBenchmark, Sizes
from movierec_tests.benchmarks.api.measurement import measure as measure_api
from movierec_tests.benchmarks.bare_copy import BareCopy
from movierec_tests.benchmarks.bare_fit import BareFit
from movierec_tests.benchmarks.days import Days, measure_days
from movierec_tests.benchmarks.graph_run import GraphRun
from movierec_tests.benchmarks.next_movies import NextMoviesCount
from movierec_tests.benchmarks.original import Original
from movierec_tests.benchmarks.process_cost import Peaks
from movierec_tests.benchmarks.quality import Quality
from movierec_tests.benchmarks.solvers import Solvers, solvers_of
from movierec_tests.benchmarks.stages import Stage
from movierec_tests.benchmarks.targets import Growth, Target, day_targets, growth_target, targets
from movierec_tests.benchmarks.workspace import Workspace, open_workspace

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Shares of the users that the graph runs on besides all of them."""

COMMAND, ORIGINAL, BARE_FIT, BARE_COPY = "movierec run", "original recipe", "bare fit", "bare COPY"
NEXT_MOVIES, SOLVERS = "next movies", "solvers"
"""Names of the processes."""


@dataclass(frozen=True)
class MeasuredRun:
    """A run of the graph, and the bare fit on the matrix that it fitted.

    Attributes
    ----------
    share : float
        Of the dataset's users.
    ratings, users : int
        In the tables; 0 when the run stopped before they were loaded.
    seconds, prepare_seconds : float
        Of the run, and of creating the databases before it.
    stages : list of Stage
    peaks : dict of float
        MB, of the whole run.
    bare_fit : BareFit or None
        None when the run stopped before it fitted a matrix.
    failures : list of str
        Why the run stopped.
    """

    share: float
    ratings: int
    users: int
    seconds: float
    prepare_seconds: float
    stages: list[Stage]
    peaks: Peaks
    bare_fit: BareFit | None
    bare_fit_peak_mb: float
    failures: list[str]
    recipe: dict[str, object]
    postgres: str

    @property
    def peak_mb(self) -> float:
        """Memory of the largest process; every process of Postgres counts by itself."""
        return max(value for name, value in self.peaks.items() if name != process_cost.SERVER)

    @property
    def growth(self) -> Growth:
        """What is compared between sizes."""
        fits = sum(stage.seconds for stage in self.stages if stage.name in stages.FITTING)
        return Growth(self.ratings, self.seconds - fits)


@dataclass(frozen=True)
class Benchmark:
    """All results.

    Attributes
    ----------
    scale, dataset : str
    graph : MeasuredRun
    original : Original
    original_peak_mb, original_postgres_mb : float
        Of the recipe's process, and of the largest backend that served it.
    targets : list of Target
    bare_copy : BareCopy
    solvers : Solvers
    next_movies : NextMoviesCount
    next_movies_peak_mb : float
        Of the process that counts, and fits in turn.
    growth : list of MeasuredRun
        At the shares of users, smallest first, and at full size; empty when not asked for.
    days : Days or None
    quality : Quality or None
    api : ApiBenchmark or None
    machine : dict of str
    """

    scale: str
    dataset: str
    graph: MeasuredRun
    original: Original
    original_peak_mb: float
    original_postgres_mb: float
    targets: list[Target]
    bare_copy: BareCopy
    solvers: Solvers
    next_movies: NextMoviesCount
    next_movies_peak_mb: float
    machine: dict[str, str]
    growth: list[MeasuredRun] = field(default_factory=list)
    days: Days | None = None
    quality: Quality | None = None
    api: ApiBenchmark | None = None


def run(
    scale: str,
    dataset: str,
    files: MovieLensFiles,
    *,
    home: Path,
    growth: bool,
    days: bool,
    api: Sizes | None,
    log: Log,
    quality: Quality | None,
) -> Benchmark:
    """Run all programs.

    Parameters
    ----------
    scale, dataset : str
        Names for the report.
    files : MovieLensFiles
    home : Path
        The project's directory, which holds dagster.yaml.
    growth : bool
        Whether to run the graph on shares of the users as well.
    days : bool
        Whether to run the graph without the latest ratings as well, and again as they are appended.
    api : Sizes or None
        How much of the API to measure; None for nothing.
    log : callable
    quality : Quality or None
        For the report.

    Raises
    ------
    CommandError
        When a program fails or the graph stops before its end.
    """
    load = psutil.getloadavg()[0]
    with open_workspace(home, files) as workspace:
        log(f"{dataset}: the asset graph")
        full = _run_graph(workspace, 1.0)
        if full.failures or full.bare_fit is None:
            raise CommandError("The run to be measured failed:\n" + "\n".join(full.failures))
        log(f"{dataset}: iterations of several solvers")
        values, _ = workspace.run("solvers", str(workspace.state / "storage"), name=SOLVERS)
        solvers = solvers_of(values)
        log(f"{dataset}: counting the next movies")
        values, count_cost = workspace.run("next_movies", str(workspace.state / "storage"), name=NEXT_MOVIES)
        next_movies = NextMoviesCount(**values)
        log(f"{dataset}: Postgres alone")
        values, _ = workspace.run("bare_copy", name=BARE_COPY)
        bare_copy = BareCopy(**values)
        log(f"{dataset}: the original recipe")
        values, original_cost = workspace.run("original", str(files.directory), name=ORIGINAL)
        original = Original(**values)
        about_api = None
        if api is not None:
            log(f"{dataset}: the API")
            url = workspace.environment["MOVIEREC_EMBEDDED_DATABASE_URL"]
            about_api = measure_api(workspace.state, workspace.environment, Database(url), api, log)
    smaller: list[MeasuredRun] = []
    for share in SHARES if growth else ():
        with tempfile.TemporaryDirectory(prefix="movierec-bench-users-") as directory:
            log(f"{dataset}: the asset graph at {share_text(share)} of the users")
            part = datasets.share_of_users(files, share, Path(directory) / "dataset")
            with open_workspace(home, part) as workspace:
                smaller.append(_run_graph(workspace, share))
    about_days = _days(files, home, lambda text: log(f"{dataset}: {text}")) if days else None
    judged = targets(
        full.stages,
        ratings=full.ratings,
        whole_seconds=full.seconds,
        bare_seconds=full.bare_fit.seconds,
        solvers=solvers,
        peak_mb=full.peak_mb,
        original=stages.original_stages(original),
        original_peak_mb=original_cost.peaks[ORIGINAL],
        next_movies=next_movies,
        next_movies_peak_mb=count_cost.peaks[NEXT_MOVIES],
    )
    is_judged = judged[0].met is not None
    if about_days is not None:
        judged += day_targets(about_days, full.bare_fit.seconds, judged=is_judged)
    if smaller and not smaller[0].failures:
        judged.append(growth_target(smaller[0].growth, full.growth, judged=is_judged))
    return Benchmark(
        scale=scale,
        dataset=dataset,
        graph=full,
        original=original,
        original_peak_mb=original_cost.peaks[ORIGINAL],
        original_postgres_mb=original_cost.peaks.get(process_cost.BACKEND, 0.0),
        targets=judged,
        bare_copy=bare_copy,
        solvers=solvers,
        next_movies=next_movies,
        next_movies_peak_mb=count_cost.peaks[NEXT_MOVIES],
        machine=machine.describe(full.postgres, load),
        growth=[*smaller, full] if growth else [],
        days=about_days,
        quality=quality,
        api=about_api,
    )


def _days(files: MovieLensFiles, home: Path, log: Log) -> Days | None:
    try:
        return measure_days(files, home=home, log=log)
    except CommandError as error:  # half an hour of earlier results is not lost
        log(f"the report leaves out the days after. {error}")
        return None


def share_text(share: float) -> str:
    """A share as a fraction."""
    return "all" if share == 1 else f"1/{round(1 / share)}"


def _run_graph(workspace: Workspace, share: float) -> MeasuredRun:
    values, cost = workspace.run("graph_run", name=COMMAND)
    graph = GraphRun(**values)
    bare_fit, bare_fit_peak_mb = None, 0.0
    if "als_model" in graph.steps:
        values, bare_cost = workspace.run("bare_fit", str(workspace.state / "storage"), name=BARE_FIT)
        bare_fit, bare_fit_peak_mb = BareFit(**values), bare_cost.peaks[BARE_FIT]
    loaded = graph.facts.get("raw_ratings", {})
    return MeasuredRun(
        share=share,
        ratings=int(loaded.get("dagster/row_count", 0)),
        users=int(graph.facts.get("eligible_users", {}).get("dagster/row_count", 0)),
        seconds=graph.seconds,
        prepare_seconds=graph.prepare_seconds,
        stages=stages.stages_of(graph, cost),
        peaks=cost.peaks,
        bare_fit=bare_fit,
        bare_fit_peak_mb=bare_fit_peak_mb,
        failures=graph.failures,
        recipe=graph.recipe,
        postgres=graph.postgres,
    )
