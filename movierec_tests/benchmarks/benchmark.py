"""A whole benchmark: the graph, the original recipe and the bare fit, one after the other in the same run.

Belongs here: the order of things, and what comes out. Where things run is in `place`, the report in `report`.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from movierec_assets.datasets.movielens import MovieLensFiles
from movierec_assets.host import CommandError
from movierec_assets.progress import Log
from movierec_tests.benchmarks import datasets, graph_run, machine, process_cost, stages
from movierec_tests.benchmarks.bare_copy import Floor
from movierec_tests.benchmarks.bare_fit import BareFit
from movierec_tests.benchmarks.days import Days, measure_days
from movierec_tests.benchmarks.original import Original
from movierec_tests.benchmarks.process_cost import Peaks
from movierec_tests.benchmarks.quality import Quality
from movierec_tests.benchmarks.stages import Stage
from movierec_tests.benchmarks.targets import Pace, Target, day_targets, targets
from movierec_tests.benchmarks.workspace import Place, platform

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Of the users, beside all of them."""

COMMAND, ORIGINAL, BARE, FLOOR = "movierec run", "original recipe", "bare fit", "Postgres alone"


@dataclass(frozen=True)
class Measured:
    """The graph, and the bare fit on the matrix that it fitted.

    Attributes
    ----------
    share : float
        Of the dataset's users.
    ratings, users : int
        In the tables; 0 when the run did not come so far.
    seconds, prepare_seconds : float
        Of the run, and of making the databases before it.
    stages : list of Stage
    peaks : dict of float
        MB, of the whole run.
    bare : BareFit or None
        None when there was no matrix.
    failures : list of str
        Why the run did not come to its end.
    """

    share: float
    ratings: int
    users: int
    seconds: float
    prepare_seconds: float
    stages: list[Stage]
    peaks: Peaks
    bare: BareFit | None
    bare_peak_mb: float
    failures: list[str]
    recipe: dict[str, object]
    postgres: str

    @property
    def peak_mb(self) -> float:
        """Memory of the largest process; Postgres' processes count one by one."""
        return max(value for name, value in self.peaks.items() if name != process_cost.SERVER)


@dataclass(frozen=True)
class Bench:
    """Everything that was measured.

    Attributes
    ----------
    scale, dataset : str
    graph : Measured
    original : Original
    original_peak_mb, original_postgres_mb : float
        Of the recipe's process, and of the largest backend that served it.
    targets : list of Target
    floor : Floor
    pace : Pace
    growth : list of Measured
        At the shares of users, fewest first, and at full size; empty when not asked for.
    days : Days or None
    quality : Quality or None
    machine : dict of str
    """

    scale: str
    dataset: str
    graph: Measured
    original: Original
    original_peak_mb: float
    original_postgres_mb: float
    targets: list[Target]
    floor: Floor
    pace: Pace
    machine: dict[str, str]
    growth: list[Measured] = field(default_factory=list)
    days: Days | None = None
    quality: Quality | None = None


def bench(
    scale: str,
    dataset: str,
    files: MovieLensFiles,
    *,
    home: Path,
    growth: bool,
    days: bool,
    log: Log,
    quality: Quality | None,
) -> Bench:
    """Measure everything.

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
        Whether to run it without the latest ratings as well, and again as they come.
    log : callable
        Told what is going on.
    quality : Quality or None
        Found before, for the report.

    Raises
    ------
    CommandError
        When a process fails, or the graph does not come to its end.
    """
    load = psutil.getloadavg()[0]
    with platform(home, files) as place:
        log(f"{dataset}: the asset graph")
        full = _graph(place, 1.0)
        if full.failures or full.bare is None:
            raise CommandError("The run to be measured failed:\n" + "\n".join(full.failures))
        log(f"{dataset}: Postgres alone")
        result = place.scratch / "floor.json"
        place.run("bare_copy", str(result), name=FLOOR)
        floor = Floor(**json.loads(result.read_text(encoding="utf-8")))
        log(f"{dataset}: the original recipe")
        result = place.scratch / "original.json"
        cost = place.run("original", str(files.directory), str(result), name=ORIGINAL)
        original = Original(**json.loads(result.read_text(encoding="utf-8")))
    measured: list[Measured] = []
    for share in SHARES if growth else ():
        with tempfile.TemporaryDirectory(prefix="movierec-bench-users-") as directory:
            log(f"{dataset}: the asset graph at {share_text(share)} of the users")
            part = datasets.share_of_users(files, share, Path(directory) / "dataset")
            with platform(home, part) as place:
                measured.append(_graph(place, share))
    about_days = _days(files, home, lambda text: log(f"{dataset}: {text}")) if days else None
    pace = Pace.of(full.bare, floor, full.ratings)
    judged = targets(
        full.stages,
        ratings=full.ratings,
        whole_seconds=full.seconds,
        bare_seconds=full.bare.seconds,
        pace=pace,
        peak_mb=full.peak_mb,
        original=stages.original_stages(original),
        original_peak_mb=cost.peaks[ORIGINAL],
    )
    return Bench(
        scale=scale,
        dataset=dataset,
        graph=full,
        original=original,
        original_peak_mb=cost.peaks[ORIGINAL],
        original_postgres_mb=cost.peaks.get(process_cost.BACKEND, 0.0),
        targets=[*judged, *(day_targets(about_days, pace, judged=judged[0].met is not None) if about_days else ())],
        floor=floor,
        pace=pace,
        machine=machine.describe(full.postgres, load),
        growth=[*measured, full] if growth else [],
        days=about_days,
        quality=quality,
    )


def _days(files: MovieLensFiles, home: Path, log: Log) -> Days | None:
    try:
        return measure_days(files, home=home, log=log)
    except CommandError as error:  # what was measured before, in more than half an hour, is not lost for it
        log(f"the days after are left out of the report. {error}")
        return None


def share_text(share: float) -> str:
    """A share as a fraction."""
    return "all" if share == 1 else f"1/{round(1 / share)}"


def _graph(place: Place, share: float) -> Measured:
    result = place.scratch / "graph.json"
    cost = place.run("graph_run", str(result), name=COMMAND)
    run = graph_run.read(result)
    bare, bare_peak_mb = None, 0.0
    if "als_model" in run.steps:
        fitted = place.scratch / "bare_fit.json"
        bare_cost = place.run("bare_fit", str(place.scratch / "storage"), str(fitted), name=BARE)
        bare, bare_peak_mb = BareFit(**json.loads(fitted.read_text(encoding="utf-8"))), bare_cost.peaks[BARE]
    loaded = run.facts.get("raw_ratings", {})
    return Measured(
        share=share,
        ratings=int(loaded.get("dagster/row_count", 0)),
        users=int(run.facts.get("eligible_users", {}).get("dagster/row_count", 0)),
        seconds=run.seconds,
        prepare_seconds=run.prepare_seconds,
        stages=stages.stages_of(run, cost),
        peaks=cost.peaks,
        bare=bare,
        bare_peak_mb=bare_peak_mb,
        failures=run.failures,
        recipe=run.recipe,
        postgres=run.postgres,
    )
