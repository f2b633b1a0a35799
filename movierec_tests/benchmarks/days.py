"""The days after: ratings that are appended to the file, and training that goes on where the last one ended.

Belongs here: holding back the latest ratings, giving them to the platform day by day, and what each day took. Whether
that is little enough is judged in `targets`.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from movierec_assets.datasets.movielens import MovieLensFiles
from movierec_assets.host import CommandError
from movierec_assets.progress import Log
from movierec_tests.benchmarks import datasets, graph_run, stages
from movierec_tests.benchmarks.graph_run import GraphRun
from movierec_tests.benchmarks.learning_curves import Courses
from movierec_tests.benchmarks.workspace import Place, platform

SHARE, DAYS = 0.005, 2
"""Of all ratings, the latest so many come on each day. The first day's fit on the training part alone still starts
cold, because a first training makes none; from the second day on everything is as it is every day."""


@dataclass(frozen=True)
class Day:
    """A refresh after ratings were appended to ratings.csv.

    Attributes
    ----------
    new_ratings : int
        Rows that were merged.
    load_seconds, seconds : float
        Until they were in the tables, and of the whole run.
    start : str
        Whether training started warm, and why.
    course : list of float
        Validation NDCG@10 of a sample of the users, after each iteration of the fit on the training part alone.
    iterations : int
        Of the fits that are scored and served.
    """

    new_ratings: int
    load_seconds: float
    seconds: float
    start: str
    course: list[float]
    iterations: int


@dataclass(frozen=True)
class Days:
    """A first run without the latest ratings, and the days on which they came.

    Attributes
    ----------
    first_ratings : int
    first_seconds : float
    days : list of Day
    courses : Courses or None
        Of the last day; None where training did not go on from the day before.
    """

    first_ratings: int
    first_seconds: float
    days: list[Day]
    courses: Courses | None


def measure_days(files: MovieLensFiles, *, home: Path, log: Log) -> Days:
    """Run the graph without the latest ratings, then again each time some of them are appended.

    Raises
    ------
    CommandError
        When a run fails.
    """
    with tempfile.TemporaryDirectory(prefix="movierec-bench-days-") as directory:
        log("holding back the latest ratings")
        growing, tails = datasets.without_latest(files, SHARE, DAYS, Path(directory) / "dataset")
        with platform(home, growing) as place:
            log(f"the asset graph without the latest {SHARE * DAYS:.0%} of the ratings")
            first = _run(place)
            days = []
            for number, tail in enumerate(tails, start=1):
                log(f"day {number}: the next {SHARE:.1%} of the ratings")
                with growing.ratings.open("ab") as ratings:
                    ratings.write(tail.read_bytes())
                days.append(_day(_run(place)))
            log("a cold start on the last day's ratings")
            result = place.scratch / "courses.json"
            place.run("learning_curves", str(place.scratch / "storage"), str(result), name="cold start")
            found = json.loads(result.read_text(encoding="utf-8"))
            courses = None if found is None else Courses(**found)
    return Days(int(first.facts["raw_ratings"]["dagster/row_count"]), first.seconds, days, courses)


def _run(place: Place) -> GraphRun:
    result = place.scratch / "graph.json"
    place.run("graph_run", str(result), name="movierec run")
    run = graph_run.read(result)
    if run.failures:
        raise CommandError("A run to be measured failed:\n" + "\n".join(run.failures))
    return run


def _day(run: GraphRun) -> Day:
    load = (run.steps[step] for step in stages.STEPS[stages.LOAD])
    return Day(
        new_ratings=int(run.facts["raw_ratings"]["appended_rows"]),
        load_seconds=sum(end - start for start, end in load),
        seconds=run.seconds,
        start=run.start,
        course=run.course,
        iterations=int(run.facts["als_model"]["iterations"]),
    )
