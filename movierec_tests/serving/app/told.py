"""Documents and versions about the small champion, made by the functions that runs make them with.

Belongs here: writing them, so that pages have something to show. Does not: claims.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pandas as pd

from movierec_assets.defs.insights_of_model import (
    backtest_document,
    evaluation_document,
    feedback_document,
    training_document,
)
from movierec_assets.defs.preprocessing import frame_of
from movierec_assets.defs.return_figures import ReturnFigures
from movierec_assets.defs.training_inputs import TrainingData, TrainingInputs
from movierec_assets.models.recipes import ChosenRecipe
from movierec_assets.models.version import DATASET, DATASET_ID, POSITIVE_THRESHOLD
from movierec_assets.recsys import als, baselines, scoring, warm_start
from movierec_assets.recsys.backtest import MOMENTS, RANKERS, Figure, Month
from movierec_assets.recsys.comparison import Interval
from movierec_assets.recsys.evaluation import evaluate, with_intervals
from movierec_assets.recsys.metrics import CUTOFFS
from movierec_assets.recsys.rankers import CHAMPION, MODEL, POPULARITY
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.split import leave_latest_out
from movierec_assets.serving.api.worker import Worker
from movierec_assets.serving.online.registry_view import RegistryView
from movierec_assets.tables.database import Database
from movierec_assets.tables.dataset_document import refresh_dataset_document
from movierec_assets.tables.feedback import Feedback
from movierec_assets.tables.histories import read_positives
from movierec_assets.tables.insights import write_insight
from movierec_assets.tables.preprocessing_document import preprocessing_document
from movierec_tests.serving.api.small import VERSION

REASON = "Better than the champion's recipe: *NDCG@10* differs by <b>+0.0100</b>."
"""With characters that are markup elsewhere."""
RECIPE = Recipe(factors=8, iterations=5)


def tell(worker: Worker) -> None:
    """Write every document, and a registry with the champion and a version of an earlier release."""
    database = Database(worker.settings.databases.ratings)
    training, evaluation = _of_small(database)
    write_insight(database, "training", training, VERSION)
    write_insight(database, "evaluation", evaluation, VERSION)
    write_insight(database, "backtest", _months())
    write_insight(database, "feedback", _feedback())
    tell_of_data(database)
    tell_of_versions(worker)


def tell_of_data(database: Database) -> None:
    """Write the documents of the loaded ratings and of their preprocessing."""
    refresh_dataset_document(database)
    positives = read_positives(database, 4.0)
    split, ids = leave_latest_out(positives)
    write_insight(database, "preprocessing", preprocessing_document(database, positives, split, ids, 4.0))


def tell_of_versions(worker: Worker) -> None:
    """Write the registry alone."""
    metrics = {f"{moment}ndcg_at_10{end}": 0.1 + place for moment in ("", "return_") for place, end in _ENDS}
    versions = [
        _version(VERSION, ["champion"], metrics, promoted=True),
        _version(VERSION - 1, [], metrics, promoted=False),
    ]
    RegistryView(datetime.now(UTC).timestamp(), VERSION, None, versions).write(worker.settings)


_ENDS = ((0.0, ""), (-0.02, "_low"), (0.02, "_high"))


def _version(number: int, aliases: list[str], metrics: dict[str, float], *, promoted: bool) -> dict[str, Any]:
    outcome = "improvement" if promoted else "kept"
    decision = {
        "decision_id": number,
        "decided_at": f"2030-01-0{number}T02:10:00+00:00",
        "model_version": number,
        "previous_champion": None,
        "outcome": outcome,
        "promoted": promoted,
        "reason": REASON,
        "numbers": {},
        "dagster_run_id": None,
        "decided_by": "champion_model",
        "state": "done",
    }
    return {
        "version": number,
        "aliases": aliases,
        "created": f"2030-01-0{number}T02:00:00+00:00",
        "dataset": "small",
        "dataset_id": 1,
        "positive_threshold": 4.0,
        "outcome": outcome,
        "reason": REASON,
        "metrics": metrics,
        "held_back": None,
        "recipe": RECIPE.as_dict(),
        "provenance": {},
        "decisions": [decision],
    }


def _of_small(database: Database) -> tuple[dict[str, Any], dict[str, Any]]:
    """Documents of a training on the small dataset, and of its evaluation."""
    split, ids = leave_latest_out(read_positives(database, 4.0))
    sources = {DATASET: "small", DATASET_ID: 1, POSITIVE_THRESHOLD: 4.0}
    inputs = TrainingInputs(TrainingData(split, frame_of(ids), "split", sources), ChosenRecipe(RECIPE, "built-in"), [])
    engine, losses = als.engine(), dict[int, float]()

    def note(_: str, iteration: Any, __: float | None) -> None:
        if iteration.loss is not None:
            losses[iteration.number] = iteration.loss

    fits = warm_start.train(split, ids, RECIPE, None, engine, note, loss_every=1)
    _, curve = warm_start.fit_and_score(split.task("validation"), ids, RECIPE, None, engine)
    task = split.task("test")
    lists = {
        MODEL: scoring.rank(task, fits.scored, RECIPE, max(CUTOFFS)),
        CHAMPION: scoring.rank(task, fits.scored, RECIPE, max(CUTOFFS)),
        POPULARITY: baselines.popularity(task.train, task.histories, max(CUTOFFS)),
    }
    scored = with_intervals(
        [evaluate(name, found, task.held_out, task.train, histories=task.histories) for name, found in lists.items()]
    )
    frames = [
        pd.DataFrame({"ranker": each.ranker, "window": 1, "user_id": task.users, **each.per_user}) for each in scored
    ]
    lead = {"mean": 0.01, "low": -0.02, "high": 0.04, "users": len(task.users), "champion_ndcg": 0.1, "fits": 5}
    about = {"challenger": VERSION, "champion_then": VERSION - 1, "users": len(task.users), "left_out": ["EASE"]}
    evaluation = evaluation_document(
        scored,
        ReturnFigures.of(pd.concat(frames, ignore_index=True)),
        own=MODEL,
        lead=lead,
        about=about | {"held_out": len(task.held_out)},
    )
    return training_document(inputs, fits, losses, curve), evaluation


def _months() -> dict[str, Any]:
    figures = [
        (Month(2029, number), Figure(moment, ranker, 20, 0.03 * place, 0.1, Interval(0.03 * place, 0.0, 0.2)))
        for number in range(1, 13)
        for moment in MOMENTS
        for place, ranker in enumerate(RANKERS, start=1)
    ]
    return backtest_document(figures, ChosenRecipe(RECIPE, f"champion {VERSION}"), dataset="small", threshold=4.0)


def _feedback() -> dict[str, Any]:
    share = Interval(0.1, 0.05, 0.2)
    rows = [
        Feedback("model", VERSION, place, 12, 120, 60, 12, 3, 4, share, share, share if place else None)
        for place in range(3)
    ]
    return feedback_document(rows[:1], rows[1:], date(2030, 1, 1), date(2030, 1, 28))
