"""What people look at of a version and of the months of the past: figures of training, evaluation, backtest, feedback.

Belongs here: insight documents, made of figures that the assets hold. Does not: the figures, the table of documents
(`tables.insights`), and pages (`serving.app`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import numpy as np

from movierec_assets.defs.return_figures import ReturnFigures
from movierec_assets.defs.training_inputs import TrainingInputs
from movierec_assets.models.recipes import ChosenRecipe
from movierec_assets.recsys.backtest import MOMENTS, RANKERS, Figure, Month, years_up_to
from movierec_assets.recsys.comparison import Interval
from movierec_assets.recsys.evaluation import HEADLINE, Evaluation
from movierec_assets.recsys.interactions import IntArray, Interactions
from movierec_assets.recsys.rankers import CHAMPION, EASE, ITEM_KNN, MODEL, ORIGINAL, POPULARITY, WITHOUT_SIGNAL
from movierec_assets.recsys.training_state import LearningCurve
from movierec_assets.recsys.warm_start import Fits
from movierec_assets.tables.feedback import Feedback

THIS_VERSION, CHAMPION_THEN, CHALLENGER_THEN = "this version", "champion then", "challenger then"
ITSELF_WITHOUT_SIGNAL = "this version, without the next-movie signal"
"""Names of rankers in a document about a version."""

METRICS = tuple(
    f"{metric}_at_10"
    for metric in (
        *("precision", "recall", "truncated_recall", "map", "ndcg", "hit_rate"),
        *("coverage", "gini", "novelty", "popularity_share"),
    )
)
"""Metrics of each ranker in an evaluation."""

SAMPLED_USERS, SAMPLED_MOVIES = 120, 160
"""Of the picture of the matrix of likes."""

Document = dict[str, Any]


def training_document(
    inputs: TrainingInputs, fits: Fits, losses: Mapping[int, float], curve: LearningCurve | None
) -> Document:
    """How a version was trained: where it started, its recipe, its learning curves, and how long its fits took.

    Parameters
    ----------
    inputs : TrainingInputs
    fits : Fits
    losses : mapping of int to float
        Training loss of the scored fit after iterations.
    curve : LearningCurve or None
        Validation NDCG@10 of ALS alone after each iteration of a fit to the training part.
    """
    data, recipe = inputs.data, inputs.chosen.recipe
    cold = fits.state.cold_curve
    return {
        "dataset": None if data.dataset is None else data.dataset.name,
        "positive_threshold": data.positive_threshold,
        "counts": {name: int(count) for name, count in data.counts.items()},
        "recipe": recipe.as_dict(),
        "recipe_source": inputs.chosen.source,
        "continued": fits.warm,
        "reason": fits.reason,
        "iterations": max(losses, default=recipe.iterations),
        "seconds": {name: round(seconds, 3) for name, seconds in fits.seconds.items()},
        "loss": [{"iteration": number, "loss": _number(loss)} for number, loss in losses.items()],
        "validation": _curve(curve),
        "validation_of_last_fresh_fit": [] if cold == curve else _curve(cold),
        "sample": likes_sample(data.split.positives, recipe.seed),
        "example_user": _example_user(data.split.positives, data.ids.user_ids),
    }


def _example_user(positives: Interactions, user_ids: IntArray) -> int:
    """The first user with as many likes as at least half of all users have at most."""
    likes = positives.per_user
    return int(user_ids[np.argmax(likes == np.quantile(likes, 0.5, method="inverted_cdf"))])


def likes_sample(positives: Interactions, seed: int) -> Document:
    """Which of some users like which of some movies, both drawn at random and ordered by their number of likes.

    Returns
    -------
    dict
        Numbers of `users` and `movies`, and `likes`: pairs of their places, from 0.
    """
    random, (n_users, n_movies) = np.random.default_rng(seed), positives.shape
    users = random.choice(n_users, min(SAMPLED_USERS, n_users), replace=False)
    movies = random.choice(n_movies, min(SAMPLED_MOVIES, n_movies), replace=False)
    users = users[np.argsort(-positives.per_user[users], kind="stable")]
    movies = movies[np.argsort(-positives.per_movie[movies], kind="stable")]
    likes = np.argwhere(positives.stars[users][:, movies].toarray() > 0)
    return {"users": len(users), "movies": len(movies), "likes": likes.tolist()}


def evaluation_document(
    evaluations: Sequence[Evaluation],
    on_return: ReturnFigures,
    *,
    own: str,
    lead: Mapping[str, Any] | None,
    about: Mapping[str, Any],
) -> Document:
    """How good a version is beside all others, at both moments.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Scores in the sitting.
    on_return : ReturnFigures
    own : str
        The ranker that the document is about: the challenger, or the champion's recipe where that was trained as well.
    lead : mapping or None
        The challenger's lead over the champion.
    about : mapping
        Versions, users, held-out likes, and rankers that were left out.
    """
    names = _names(own)
    shown = sorted((each for each in evaluations if each.ranker in names), key=lambda each: each.ranker != own)
    # A champion with the challenger's recipe is not scored twice on return, where recipes are fitted and no versions.
    own_then = own if own in on_return.intervals else MODEL
    names_then = _names(own_then)
    returned = sorted((each for each in on_return.intervals if each in names_then), key=lambda each: each != own_then)
    return {
        **about,
        "windows": on_return.windows,
        "users_on_return": on_return.users,
        "moments": [
            *(_row(each.interval(), moment=MOMENTS[0], ranker=names[each.ranker]) for each in shown),
            *(
                _row(on_return.intervals[each][HEADLINE], moment=MOMENTS[1], ranker=names_then[each])
                for each in returned
            ),
        ],
        "metrics": [
            {"ranker": names[each.ranker]} | {name: _number(each.means()[name]) for name in METRICS} for each in shown
        ],
        "slices": [
            _row(part.interval(), by=part.by, part=part.name, users=part.users, ranker=names[each.ranker])
            for each in shown
            for part in each.slices
        ],
        "lead": None if lead is None else {name: _number(value) for name, value in lead.items()},
        "lead_on_return": _ends(on_return.difference),
        "over_signal_on_return": _ends(on_return.over_signal),
    }


def backtest_document(
    figures: Sequence[tuple[Month, Figure]], chosen: ChosenRecipe, *, dataset: str, threshold: float
) -> Document:
    """The months of the past with one recipe: each month, and the twelve months to date.

    Parameters
    ----------
    figures : sequence of (Month, Figure)
        All months that were scored with the recipe.
    chosen : ChosenRecipe
    dataset : str
    threshold : float
        Stars from which a rating is a like.
    """
    years = [
        (month, year)
        for moment in MOMENTS
        for ranker in RANKERS
        for month, year in years_up_to(
            [(month, each) for month, each in figures if (each.moment, each.ranker) == (moment, ranker)]
        ).items()
    ]
    return {
        "dataset": dataset,
        "positive_threshold": threshold,
        "recipe": chosen.recipe.as_dict(),
        "recipe_source": chosen.source,
        "months": [_month(month, each) for month, each in figures],
        "years_to_date": [_month(month, each) for month, each in years],
    }


def feedback_document(
    by_version: Sequence[Feedback], by_position: Sequence[Feedback], first: date, last: date
) -> Document:
    """What people did with what they were shown from one day to another, by version and by position in the list."""
    return {
        "first": str(first),
        "last": str(last),
        "by_version": [_of_lists(row, version=row.model_version or None) for row in by_version],
        "by_position": [_of_lists(row, position=row.position) for row in by_position],
    }


def _names(own: str) -> dict[str, str]:
    """Names for people of the rankers beside one of them, with its own."""
    names = {ranker: ranker for ranker in (POPULARITY, ITEM_KNN, ORIGINAL, EASE)}
    if own == CHAMPION:
        return {CHAMPION: THIS_VERSION, MODEL: CHALLENGER_THEN, **names}
    return {MODEL: THIS_VERSION, WITHOUT_SIGNAL: ITSELF_WITHOUT_SIGNAL, CHAMPION: CHAMPION_THEN, **names}


def _curve(curve: LearningCurve | None) -> list[dict[str, Any]]:
    values = () if curve is None else curve.ndcg
    return [{"iteration": number, "ndcg": _number(value)} for number, value in enumerate(values, start=1)]


def _month(month: Month, figure: Figure) -> dict[str, Any]:
    own = {"month": str(month), "moment": figure.moment, "ranker": figure.ranker, "users": figure.users}
    return own | {"mean": _number(figure.ndcg), "low": None, "high": None} | (_ends(figure.interval) or {})


def _of_lists(row: Feedback, **about: Any) -> dict[str, Any]:
    counts = {name: getattr(row, name) for name in ("users", "shown", "impressions", "clicked", "dismissed", "liked")}
    shares = {"click": _ends(row.click), "dismiss": _ends(row.dismiss), "like": _ends(row.like)}
    return {"source": row.source, **about, **counts, **shares}


def _row(interval: Interval, **about: Any) -> dict[str, Any]:
    return about | {name: _number(value) for name, value in asdict(interval).items()}


def _ends(interval: Interval | None) -> dict[str, Any] | None:
    return None if interval is None else _row(interval)


def _number(value: Any) -> Any:
    """A value for JSON, which knows no number that is not finite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
