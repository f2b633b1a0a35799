"""Stages of a run: the lines of the report, each one several steps or a part of a step.

Belongs here: which steps a stage has, and which rows it works through. Does not: limits, which are in `targets`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from movierec_tests.benchmarks.graph_run import GraphRun
from movierec_tests.benchmarks.original import Original
from movierec_tests.benchmarks.process_cost import Cost, Peaks, highest

LOAD, REFRESH, PREPARE, SCORED_FIT, SERVED_FIT = "load", "refresh", "prepare", "scored fit", "served fit"
NEXT_MOVIES = "next movies"
REGISTER, RETURN, EVALUATE, BASELINES, PROMOTE = "register", "return", "evaluate", "baselines", "promote"
RECOMMEND, OTHER_TABLES, CHECKS, DAGSTER = "recommend", "other tables", "checks", "dagster"

DESCRIPTIONS = {
    LOAD: "CSV to validated, indexed Postgres tables",
    REFRESH: "refresh of eligible_users",
    PREPARE: "Postgres to positives, split, CSR and maps",
    NEXT_MOVIES: "counting the next movies",
    SCORED_FIT: "fit that is scored",
    SERVED_FIT: "fit that is served, on all positives",
    REGISTER: "MLflow run and registered version",
    RETURN: "evaluation on return",
    EVALUATE: "evaluation of all users, k = 20",
    BASELINES: "evaluation of the baselines",
    PROMOTE: "promotion",
    RECOMMEND: "top 20 for all users, into Postgres, swapped",
    OTHER_TABLES: "similar and popular movies",
    CHECKS: "asset checks",
    DAGSTER: "Dagster: start, and between steps",
}
OF_SIGNAL = (NEXT_MOVIES, RETURN)
"""Stages that the next-movie signal brings."""
FITTING = (SCORED_FIT, SERVED_FIT)
SHARED_WITH_ORIGINAL = (LOAD, REFRESH, PREPARE, SCORED_FIT, EVALUATE)
"""Stages that the original recipe has, too."""

STEPS = {
    LOAD: ("raw_movies", "raw_ratings"),
    REFRESH: ("eligible_users",),
    PREPARE: ("positive_ratings", "split_matrices"),
    NEXT_MOVIES: ("next_movies",),
    REGISTER: ("als_model",),
    RETURN: ("return_evaluation",),
    EVALUATE: ("model_evaluation",),
    PROMOTE: ("champion_model",),
    RECOMMEND: ("user_recommendations",),
    OTHER_TABLES: ("similar_movies", "popular_movies"),
}
"""Assets of each stage."""
_PARTS_OF_STEPS = {
    SCORED_FIT: (REGISTER, "als_model", "evaluation_fit_seconds"),
    SERVED_FIT: (REGISTER, "als_model", "serving_fit_seconds"),
    BASELINES: (EVALUATE, "model_evaluation", "baselines_seconds"),
}
"""Stages that are a part of a step: the stage of the step, and the metadata that holds their seconds."""
_ROWS = {
    LOAD: ("raw_ratings", "rows_read", "ratings"),
    REFRESH: ("raw_ratings", "dagster/row_count", "ratings"),
    PREPARE: ("raw_ratings", "dagster/row_count", "ratings"),
    NEXT_MOVIES: ("als_model", "positives", "positives"),
    SCORED_FIT: ("als_model", "positives", "positives"),
    SERVED_FIT: ("als_model", "positives", "positives"),
    RETURN: ("return_evaluation", "user_windows", "user-windows"),
    EVALUATE: ("model_evaluation", "evaluated_users", "users"),
    RECOMMEND: ("user_recommendations", "dagster/row_count", "recommendations"),
}
_ORIGINAL = {
    LOAD: ("load",),
    REFRESH: ("refresh",),
    PREPARE: ("read", "split"),
    SCORED_FIT: ("bm25", "fit"),
    EVALUATE: ("rank", "score"),
}


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Attributes
    ----------
    name : str
    seconds, share : float
        Wall time, and its share of the whole run.
    rows : int or None
        Rows that it worked through, counted in `unit`.
    peaks : dict of float
        MB; of the whole step where the stage is a part of one.
    """

    name: str
    seconds: float
    share: float
    rows: int | None = None
    unit: str = ""
    peaks: Peaks = field(default_factory=dict)

    @property
    def rows_per_second(self) -> float | None:
        """None where no rows are counted."""
        return None if self.rows is None or self.seconds <= 0 else self.rows / self.seconds


def stages_of(run: GraphRun, cost: Cost) -> list[Stage]:
    """The stages of a run in the order of the report; their seconds add up to the whole run."""
    named = {step for steps in STEPS.values() for step in steps}
    steps = STEPS | {CHECKS: tuple(step for step in run.steps if step not in named)}
    seconds: dict[str, float] = {}
    peaks: dict[str, Peaks] = {}
    for stage, members in steps.items():
        spans = [run.steps[step] for step in members if step in run.steps]
        if spans:
            seconds[stage] = sum(end - start for start, end in spans)
            peaks[stage] = highest([cost.between(start, end) for start, end in spans])
    for stage, (step_stage, asset, fact) in _PARTS_OF_STEPS.items():
        part = run.facts.get(asset, {}).get(fact)
        if part is not None and step_stage in seconds:
            seconds[stage], peaks[stage] = part, peaks[step_stage]
            seconds[step_stage] = max(0.0, seconds[step_stage] - part)
    seconds[DAGSTER] = max(0.0, run.seconds - sum(seconds.values()))
    return [
        Stage(name, seconds[name], seconds[name] / run.seconds, *_rows(run, name), peaks.get(name, {}))
        for name in DESCRIPTIONS
        if name in seconds
    ]


def _rows(run: GraphRun, stage: str) -> tuple[int | None, str]:
    asset, fact, unit = _ROWS.get(stage, ("", "", ""))
    count = run.facts.get(asset, {}).get(fact)
    if count is None:
        return None, ""
    if stage == SCORED_FIT:  # without the test part
        count -= run.facts.get("test_matrix", {}).get("dagster/row_count", 0)
    return int(count), unit


def original_stages(original: Original) -> dict[str, float]:
    """Seconds of the original's stages, by the names of the graph's."""
    return {stage: sum(original.seconds[part] for part in parts) for stage, parts in _ORIGINAL.items()}
