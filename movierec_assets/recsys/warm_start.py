"""Training that continues the fits of an earlier training, without scoring a fit on likes it knows.

Belongs here: whether a training continues an earlier one, and how many iterations are enough. Does not: the state a
training leaves (`training_state`), the likes that its fits know (`leakage`), and fitting itself (`engine`).

A warm training makes three fits. The validation fit, on the training part alone, is scored after each iteration and
shows how many iterations are enough. The scored fit, on everything before the test part, continues the last scored fit.
So a scored fit never starts from factors that were fitted to today's held-out likes, unless a user rated an old
favourite again. Such users are left out of the scores; when there are many of them, training starts cold.

The served fit, on everything, continues the scored fit of the same training, warm or cold. It is never scored. It ends
when a pass changes the movie factors by no more than the last pass of the scored fit did: then it has settled as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from movierec_assets.recsys import scoring
from movierec_assets.recsys.confidence import Confidence
from movierec_assets.recsys.engine import EnoughIterations, Factors, Fit, Iteration, OnIteration
from movierec_assets.recsys.interactions import BoolArray, FloatArray, IdMaps, IntArray, positions
from movierec_assets.recsys.leakage import known_after, leaking_users, users_who_leak, withdrawn
from movierec_assets.recsys.next_movies_of_split import NextMoviesOfSplit
from movierec_assets.recsys.recipe import Recipe
from movierec_assets.recsys.settling import Changes, each, settled
from movierec_assets.recsys.split import Split, Task
from movierec_assets.recsys.training_state import LearningCurve, Predecessor, TrainingState

MAX_SCORED_USERS = 10_000
"""Validation users scored after an iteration: enough to see a gain, and quicker than the iteration."""
MIN_GAIN = 0.001
"""Share by which validation NDCG must rise for another iteration to be worth it."""
MAX_WARM_IN_A_ROW = 30
"""Warm trainings after which a cold one follows, so that the cold figures to compare with are recent."""
MAX_NDCG_LOSS = 0.02
"""Share of the cold validation fit's NDCG by which a warm one may fall behind before training starts cold."""
MAX_LEFT_OUT = 0.1
"""Share of the users to score who may be left out because an earlier fit knows their held-out likes."""
_MIN_COMMON_MOVIES = 0.5
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9))
"""Odd numbers that spread neighbouring ids over all numbers, from SplitMix64."""

FitName = Literal["validation", "scored", "served"]
OnFitIteration = Callable[[FitName, Iteration, float | None], None]
"""Takes a fit, its iteration, and the validation NDCG where it is measured."""


@dataclass(frozen=True)
class Fits:
    """The result of a training.

    Attributes
    ----------
    scored, served : Factors
    state : TrainingState
        For the next training.
    warm : bool
    reason : str
        Why training started warm or cold.
    curve : LearningCurve or None
        Of the validation fit, when there was one.
    seconds : dict of float
        Duration of the scored and of the served fit.
    left_out : bool array, shape (n_users,)
        Users on whom `scored` must not be scored: a fit that it continued knows likes that are held out of them now.
    """

    scored: Factors
    served: Factors
    state: TrainingState
    warm: bool
    reason: str
    curve: LearningCurve | None
    seconds: dict[FitName, float]
    left_out: BoolArray


@dataclass(frozen=True)
class ValidationFit:
    """A fit on the training part alone.

    Attributes
    ----------
    movies : float32 array, shape (n_movies, factors)
    curve : LearningCurve
    continued : Predecessor or None
        The training whose validation fit it continued; None when it started cold.
    """

    movies: FloatArray
    curve: LearningCurve
    continued: Predecessor | None

    @property
    def cold_curve(self) -> LearningCurve:
        """Of the last validation fit that started cold: this one, or one it continued."""
        before = None if self.continued is None else self.continued.state.cold_curve
        return self.curve if before is None else before

    def why_cold(self) -> str | None:
        """Why training starts cold after this fit; None when it may start warm."""
        ndcg, cold = self.curve.ndcg[-1], self.cold_curve.ndcg[-1]
        if ndcg < (1 - MAX_NDCG_LOSS) * cold:
            return f"validation NDCG@10 fell to {ndcg:.4f}, from {cold:.4f} of the cold start"
        return None

    def enough_iterations(self, recipe: Recipe) -> int:
        """Iterations of the scored and of the served fit."""
        allowed = max_warm_iterations(recipe)
        return allowed if self.continued is None else min(self.curve.iterations, allowed)


def train(
    split: Split,
    ids: IdMaps,
    recipe: Recipe,
    predecessor: Predecessor | None,
    fit: Fit,
    report: OnFitIteration | None = None,
    *,
    loss_every: int = 0,
    min_users: int = 1,
    next_movies: NextMoviesOfSplit | None = None,
) -> Fits:
    """Make the scored fit, which continues the predecessor's unless `why_cold` is against it, and continue it to serve.

    Parameters
    ----------
    split : Split
    ids : IdMaps
        Of its rows and columns.
    recipe : Recipe
    predecessor : Predecessor or None
    fit : Fit
    report : callable, optional
        Called after each iteration.
    loss_every : int
        As for `Fit`, of the scored fit.
    min_users : int
        Users who must be left to score.
    next_movies : NextMoviesOfSplit, optional
        Of the split and the recipe's next-movie signal; counted here without them.

    Raises
    ------
    RecsysError
        As `Fit` does.
    """
    if next_movies is None:
        next_movies = NextMoviesOfSplit.of(split, recipe.next_movie)
    reason = why_cold(predecessor, recipe, ids, split, min_users)
    curve = validation = None
    if predecessor is not None and reason is None:
        validation = fit_for_validation(split, ids, recipe, predecessor, fit, report)
        curve, reason = validation.curve, validation.why_cold()
    if reason is not None:
        predecessor = validation = None
    iterations = recipe.iterations if validation is None else validation.enough_iterations(recipe)
    shortened = replace(recipe, iterations=iterations)
    start = None if predecessor is None else matched(predecessor.state, predecessor.state.scored, ids, recipe)
    started = time.perf_counter()
    changes = Changes(start)
    scored = fit(split.history, shortened, each(changes, _of("scored", report)), loss_every=loss_every, start=start)
    between = time.perf_counter()
    served = settled(split.positives, shortened, fit, scored.movies, changes.last, _of("served", report))
    seconds: dict[FitName, float] = {"scored": between - started, "served": time.perf_counter() - between}
    scored, served = scored.with_next(next_movies.scored), served.with_next(next_movies.served)
    return Fits(
        scored,
        served,
        _state(split, ids, scored, served, predecessor, validation),
        warm=reason is None,
        reason=reason or "the champion's recipe on changed data",
        curve=curve,
        seconds=seconds,
        left_out=(
            np.zeros(ids.shape[0], dtype=bool) if predecessor is None else leaking_users(predecessor, split.test, ids)
        ),
    )


def _of(name: FitName, report: OnFitIteration | None) -> OnIteration | None:
    return None if report is None else lambda iteration: report(name, iteration, None)


def _state(
    split: Split,
    ids: IdMaps,
    scored: Factors,
    served: Factors,
    predecessor: Predecessor | None,
    validation: ValidationFit | None,
) -> TrainingState:
    """The state to leave after a training that continued a predecessor's fits, or, without one, started cold."""
    before = None if validation is None else validation.continued
    continued = [each for each in (predecessor, before) if each is not None]
    users = np.unique(np.concatenate([ids.user_ids, *(each.state.user_ids for each in continued)]))
    gone = [withdrawn(each, split.positives, ids) for each in continued]
    return TrainingState(
        movie_ids=ids.movie_ids,
        scored=scored.movies,
        served=served.movies,
        validation=None if validation is None else validation.movies,
        user_ids=users,
        known_to_scored=known_after(
            [split.train, split.validation],
            [split.test],
            ids,
            users,
            None if predecessor is None else (predecessor, predecessor.state.known_to_scored),
        ),
        known_to_validation=known_after(
            [split.train],
            [split.validation, split.test],
            ids,
            users,
            None if before is None else (before, before.state.known_to_validation),
        ),
        withdrawn=np.unique(np.concatenate([np.empty((0, 2), dtype=np.int64), *gone]), axis=0),
        cold_curve=None if validation is None else validation.cold_curve,
        warm_in_a_row=0 if predecessor is None else predecessor.warm_in_a_row + 1,
        next_movies=scored.next_movies,
    )


def why_cold(
    predecessor: Predecessor | None, recipe: Recipe, ids: IdMaps, split: Split, min_users: int = 1
) -> str | None:
    """Why training starts cold; None when it can continue the predecessor.

    At least `min_users` users must be left to score, and at most the share `MAX_LEFT_OUT` may be left out.
    """
    if predecessor is None:
        return "there is no champion to continue, or its data has not changed"
    if predecessor.recipe != recipe:
        return "the recipe is not the champion's"
    if predecessor.warm_in_a_row >= MAX_WARM_IN_A_ROW:
        return f"{predecessor.warm_in_a_row} trainings in a row started warm"
    common = float(np.isin(ids.movie_ids, predecessor.state.movie_ids).mean())
    if common < _MIN_COMMON_MOVIES:
        return f"the champion knows only {common:.0%} of the movies"
    if len(split.evaluated_users("validation")) == 0:
        return "there is no validation part to score iterations on"
    return _why_too_few_to_score(predecessor, split, ids, min_users)


def _why_too_few_to_score(predecessor: Predecessor, split: Split, ids: IdMaps, min_users: int) -> str | None:
    users = split.evaluated_users("test")
    leaking = int(leaking_users(predecessor, split.test, ids)[users].sum())
    if leaking and (leaking > MAX_LEFT_OUT * len(users) or len(users) - leaking < min_users):
        return f"the held-out likes of {leaking:,} of {len(users):,} users to score were trained on before"
    return None


def fit_for_validation(
    split: Split, ids: IdMaps, recipe: Recipe, predecessor: Predecessor, fit: Fit, report: OnFitIteration | None = None
) -> ValidationFit:
    """Fit the training part, and continue the predecessor's validation fit where it knows few of the held-out likes.

    Users whose held-out likes it knows are not scored. When they are too many, the fit starts cold and all are scored.
    """
    task, before = split.task("validation"), predecessor.for_validation
    start = None
    if before.state.validation is not None:
        known = before.state.known_to_validation
        rest = task.without(users_who_leak(before, known, split.validation, ids))
        if len(rest.users) > 0 and len(task.users) - len(rest.users) <= MAX_LEFT_OUT * len(task.users):
            task, start = rest, matched(before.state, before.state.validation, ids, recipe)
    factors, curve = fit_and_score(task, ids, recipe, start, fit, report)
    return ValidationFit(factors.movies, curve, None if start is None else before)


def matched(state: TrainingState, factors: FloatArray, ids: IdMaps, recipe: Recipe) -> FloatArray:
    """Movie factors of a state for other ids, small random ones for new movies, shape (n_movies, factors)."""
    found = np.random.default_rng(recipe.seed).random((len(ids.movie_ids), recipe.factors), dtype=np.float32) * 0.01
    rows = positions(state.movie_ids, ids.movie_ids)
    found[rows >= 0] = factors[rows[rows >= 0]]
    return found


def fit_and_score(
    task: Task,
    ids: IdMaps,
    recipe: Recipe,
    start: FloatArray | None,
    fit: Fit,
    report: OnFitIteration | None = None,
    *,
    max_users: int = MAX_SCORED_USERS,
) -> tuple[Factors, LearningCurve]:
    """Fit, and score validation after each iteration; a continued fit ends when an iteration gains too little.

    At most `max_users` users are scored, nearly the same ones every day. They are ranked for by ALS alone: the
    next-movie signal is the same after each iteration, and would only hide the gain.
    """
    ndcg: list[float] = []
    rows = sampled(ids.user_ids[task.users], max_users)
    sample = replace(
        task, users=task.users[rows], histories=task.histories.rows(rows), held_out=task.held_out.rows(rows)
    )
    confidence = Confidence.of(task.train, recipe.confidence)

    def score(iteration: Iteration) -> None:
        factors = Factors.of_movies(iteration.movies, confidence)
        ndcg.append(validation_ndcg(factors, sample, recipe))
        if report is not None:
            report("validation", iteration, ndcg[-1])
        if start is not None and len(ndcg) > 1 and ndcg[-1] < max(ndcg[:-1]) * (1 + MIN_GAIN):
            raise EnoughIterations

    factors = fit(task.train, recipe, score, start=start)
    return factors, LearningCurve(tuple(ndcg))


def validation_ndcg(factors: Factors, task: Task, recipe: Recipe) -> float:
    """Mean NDCG@10 of a fit over the users of a task."""
    return float(scoring.ndcg(task, factors, recipe, 10).mean())


def sampled(user_ids: IntArray, max_users: int) -> IntArray:
    """Positions of at most `max_users` users, increasing: nearly the same users every day, whoever joins.

    The NDCG of two samples of 10,000 users differs by several percent, far more than a day's ratings change it. So the
    id of a user decides whether the user is in the sample.
    """
    return np.sort(mixed_order(user_ids)[:max_users])


def mixed_order(user_ids: IntArray) -> IntArray:
    """Positions of users in an order that looks random, and in which new users move nobody else past another."""
    mixed = user_ids.astype(np.uint64) * _MIX[0]
    mixed = (mixed ^ (mixed >> np.uint64(31))) * _MIX[1]
    return np.argsort(mixed ^ (mixed >> np.uint64(29)), kind="stable")


def max_warm_iterations(recipe: Recipe) -> int:
    """Most iterations of a warm scored or served fit: a third of a cold one's, at least one."""
    return max(1, recipe.iterations // 3)
