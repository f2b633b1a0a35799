"""Training that goes on where the last one ended, without ever having seen what it is scored on.

Belongs here: when a training goes on from the last one, and how many iterations are enough. What earlier trainings have
seen is in `lineage`, fitting in `als`; where the last training is kept is the caller's.

Three fits hang together over time. The fit on the training part alone is scored on validation, and says after how many
iterations there is nothing more to gain. The scored fit, on everything before the test, goes on from the last scored
fit; the served fit, on everything, from the champion. So no fit that is scored starts from factors that were fitted
to what it should find, as long as what is held out today was not trained on before. Users of whom it was, because
they rated an old favourite again, are left out of the scored ones; when they are many, training starts cold.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from movierec_assets.recsys import als, metrics, ranking
from movierec_assets.recsys.als import EnoughIterations, Factors, Iteration, Recipe
from movierec_assets.recsys.interactions import BoolArray, FloatArray, IdMaps, IntArray, Interactions
from movierec_assets.recsys.lineage import (
    Course,
    Legacy,
    Predecessor,
    latest_times,
    leaking_users,
    never_had,
    seen_by_trained,
    users_with,
    withdrawn,
)
from movierec_assets.recsys.split import Split, Task

MOST_SCORED_USERS = 10_000
"""Validation users scored after an iteration: enough to see a gain, and quicker than the iteration."""
LEAST_GAIN = 0.001
"""Share by which validation NDCG must rise for another iteration to be worth it."""
MOST_IN_A_ROW = 30
"""Trainings after which a cold start is due, so that its figures are not compared with those of long ago."""
LOST = 0.02
"""Share of the cold start's validation NDCG by which a warm one may fall behind before a cold one is due."""
MOST_LEFT_OUT = 0.1
"""Share of the users to score who may be left out because an earlier fit knows what is held out of them."""
_LEAST_COMMON = 0.5
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9))
"""Odd numbers that spread neighbouring ids over all numbers, from SplitMix64."""

Fit = Literal["validation", "scored", "served"]
Report = Callable[[Fit, Iteration, float | None], None]
"""Told which fit is at which iteration, with the validation NDCG where it is measured."""


@dataclass(frozen=True)
class Fits:
    """What a training made.

    Attributes
    ----------
    scored, served : Factors
    legacy : Legacy
    warm : bool
    why : str
        Why it started warm or cold.
    course : Course or None
        Of the fit on the training part, when there was one.
    seconds : dict of float
        That each fit took.
    left_out : bool array, shape (n_users,)
        Users on whom `scored` must not be scored: it goes on from a fit that knows what is held out of them now.
    """

    scored: Factors
    served: Factors
    legacy: Legacy
    warm: bool
    why: str
    course: Course | None
    seconds: dict[Fit, float]
    left_out: BoolArray


def train(
    split: Split,
    ids: IdMaps,
    recipe: Recipe,
    predecessor: Predecessor | None,
    report: Report | None = None,
    *,
    loss_every: int = 0,
    history: Interactions | None = None,
    positives: Interactions | None = None,
    least_users: int = 1,
) -> Fits:
    """Fit what is scored and what is served, from the predecessor where that is right.

    Parameters
    ----------
    split : Split
    ids : IdMaps
        Of its rows and columns.
    recipe : Recipe
    predecessor : Predecessor or None
    report : callable, optional
    loss_every : int
        As for `als.fit`, of the scored fit.
    history, positives : Interactions, optional
        What is before the test, and all of the split, when they are at hand.
    least_users : int
        Users who must be left to score.

    Returns
    -------
    Fits

    Raises
    ------
    RecsysError
        As `als.fit` does.
    """
    history = split.before("test") if history is None else history
    positives = history.union(split.test) if positives is None else positives
    why_cold = why_not(predecessor, recipe, ids, split, least_users)
    left_out = np.zeros(ids.shape[0], dtype=bool)
    course, trained, iterations, cold, in_a_row = None, None, recipe.iterations, None, 0
    begin: dict[Fit, FloatArray | None] = {"scored": None, "served": None}
    watched: Predecessor | None = None
    if predecessor is not None and why_cold is None:
        task, watched = watchable(split, ids, predecessor)
        begin_trained = None if watched is None else _begin_trained(watched.legacy, ids, recipe)
        trained_factors, course = fit_and_watch(task, ids, recipe, begin_trained, report)
        trained = trained_factors.movies
        # Without a fit of that kind to go on from, this one was cold, and tells what a cold one reaches.
        cold = course if watched is None or watched.legacy.cold is None else watched.legacy.cold
        if _has_lost(course, cold):
            why_cold = f"validation NDCG@10 fell to {course.ndcg[-1]:.4f}, from {cold.ndcg[-1]:.4f} of the cold start"
            trained, cold, watched = None, None, None
        else:
            iterations = third(recipe) if watched is None else min(course.iterations, third(recipe))
            in_a_row = predecessor.in_a_row + 1
            left_out = leaking_users(predecessor, split.test, ids)
            begin = {
                "scored": matched(predecessor.legacy, predecessor.legacy.scored, ids, recipe),
                "served": matched(predecessor.legacy, predecessor.legacy.served, ids, recipe),
            }
    warm = why_cold is None
    goes_on = predecessor if warm else None
    recipe_for = replace(recipe, iterations=iterations)

    def told(which: Fit) -> Callable[[Iteration], None] | None:
        return None if report is None else lambda iteration: report(which, iteration, None)

    started = time.perf_counter()
    scored = als.fit(history, recipe_for, told("scored"), loss_every=loss_every, start=begin["scored"])
    between = time.perf_counter()
    served = als.fit(positives, recipe_for, told("served"), start=begin["served"])
    seconds: dict[Fit, float] = {"scored": between - started, "served": time.perf_counter() - between}
    sources = [each for each in (goes_on, watched) if each is not None]
    users = np.unique(np.concatenate([ids.user_ids, *(each.legacy.user_ids for each in sources)]))
    gone = [withdrawn(each, positives, ids) for each in sources]
    left = Legacy(
        movie_ids=ids.movie_ids,
        scored=scored.movies,
        served=served.movies,
        trained=trained,
        test_pairs=never_had(goes_on, [split.test], ids, "test_pairs"),
        unwatched_pairs=never_had(watched, [split.validation, split.test], ids, "unwatched_pairs"),
        user_ids=users,
        latest_scored=latest_times(history, ids, goes_on, "latest_scored", users),
        latest_trained=latest_times(split.train, ids, watched, "latest_trained", users),
        withdrawn=np.unique(np.concatenate([np.empty((0, 2), dtype=np.int64), *gone]), axis=0),
        cold=cold,
        in_a_row=in_a_row,
    )
    why = why_cold or "the champion's recipe on changed data"
    return Fits(scored, served, left, warm, why, course, seconds, left_out)


def watchable(split: Split, ids: IdMaps, predecessor: Predecessor) -> tuple[Task, Predecessor | None]:
    """What the fit on the training part is scored on while it is made, and where it goes on from.

    Users whose held-out likes are known to the fit that it goes on from are left out; when they are too many, it starts
    cold.

    Returns
    -------
    Task, Predecessor or None
        None for a cold start.
    """
    task, watched = split.task("validation"), predecessor.watched
    if watched.legacy.trained is None:
        return task, None
    marked = users_with(split.validation, seen_by_trained(watched, split.validation, ids))
    rest = task.without(marked)
    few = len(rest.users) > 0 and len(task.users) - len(rest.users) <= MOST_LEFT_OUT * len(task.users)
    return (rest, watched) if few else (task, None)


def _begin_trained(legacy: Legacy, ids: IdMaps, recipe: Recipe) -> FloatArray:
    assert legacy.trained is not None
    return matched(legacy, legacy.trained, ids, recipe)


def why_not(
    predecessor: Predecessor | None, recipe: Recipe, ids: IdMaps, split: Split, least_users: int = 1
) -> str | None:
    """Why training starts cold; None when it can go on from the predecessor.

    So many users must be left to score, and at most the share `MOST_LEFT_OUT` of them be left out.
    """
    if predecessor is None:
        return "there is no champion to go on from, or its data has not changed"
    if predecessor.recipe != recipe:
        return "the recipe is another one than the champion's"
    legacy = predecessor.legacy
    if predecessor.in_a_row >= MOST_IN_A_ROW:
        return f"{predecessor.in_a_row} trainings in a row started warm"
    common = float(np.isin(ids.movie_ids, legacy.movie_ids).mean())
    if common < _LEAST_COMMON:
        return f"the champion knows only {common:.0%} of the movies"
    if len(split.evaluated_users("validation")) == 0:
        return "there is no validation to stop by"
    return too_many_left_out(predecessor, split, ids, least_users)


def too_many_left_out(predecessor: Predecessor, split: Split, ids: IdMaps, least_users: int) -> str | None:
    """Why too few users would be left to score fits that go on from the predecessor's; None when enough are."""
    users = split.evaluated_users("test")
    leaking = int(leaking_users(predecessor, split.test, ids)[users].sum())
    if leaking and (leaking > MOST_LEFT_OUT * len(users) or len(users) - leaking < least_users):
        return f"the held-out likes of {leaking:,} of {len(users):,} users to score were trained on before"
    return None


def matched(legacy: Legacy, factors: FloatArray, ids: IdMaps, recipe: Recipe) -> FloatArray:
    """Movie factors by id, small random ones for movies that are new, shape (n_movies, factors)."""
    found = np.random.default_rng(recipe.seed).random((len(ids.movie_ids), recipe.factors), dtype=np.float32) * 0.01
    places = np.searchsorted(legacy.movie_ids, ids.movie_ids)
    places[places == len(legacy.movie_ids)] = 0
    known = legacy.movie_ids[places] == ids.movie_ids
    found[known] = factors[places[known]]
    return found


def fit_and_watch(
    task: Task,
    ids: IdMaps,
    recipe: Recipe,
    start: FloatArray | None,
    report: Report | None = None,
    *,
    most: int = MOST_SCORED_USERS,
) -> tuple[Factors, Course]:
    """Fit, and score validation after each iteration; a warm fit ends when there is nothing more to gain.

    At most so many users are scored, the same ones as on other days.
    """
    ndcg: list[float] = []
    place = sampled(ids.user_ids[task.users], most)
    watched = replace(
        task, users=task.users[place], histories=task.histories.rows(place), held_out=task.held_out.rows(place)
    )
    confidence = als.Confidence.of(task.train, recipe.confidence)

    def watch(iteration: Iteration) -> None:
        ndcg.append(validation_ndcg(iteration.movies, watched, recipe, confidence))
        if report is not None:
            report("validation", iteration, ndcg[-1])
        if start is not None and len(ndcg) > 1 and ndcg[-1] < max(ndcg[:-1]) * (1 + LEAST_GAIN):
            raise EnoughIterations

    factors = als.fit(task.train, recipe, watch, start=start)
    return factors, Course(tuple(ndcg))


def validation_ndcg(movies: FloatArray, task: Task, recipe: Recipe, confidence: als.Confidence) -> float:
    """NDCG@10 that movie factors reach, mean over the users of a task."""
    vectors = als.fold_in(movies, task.histories, recipe, confidence)
    lists = ranking.recommend(vectors, movies, task.histories.stars, 10)
    return float(metrics.score(lists.items, task.held_out.stars, 10).ndcg.mean())


def sampled(user_ids: IntArray, most: int) -> IntArray:
    """Places of some of the users, increasing: nearly the same users on every day, whoever joins.

    The NDCG of one sample of 10,000 users is several percent from that of the next, far more than a day's ratings
    change; so a user is in it, or not, by their id.

    Parameters
    ----------
    user_ids : int array, shape (n,)
    most : int
        Users in the sample, if there are so many.

    Returns
    -------
    int array, shape (min(n, most),)
    """
    mixed = user_ids.astype(np.uint64) * _MIX[0]
    mixed = (mixed ^ (mixed >> np.uint64(31))) * _MIX[1]
    return np.sort(np.argsort(mixed ^ (mixed >> np.uint64(29)), kind="stable")[:most])


def third(recipe: Recipe) -> int:
    """A third of a cold start's iterations, at least one."""
    return max(1, recipe.iterations // 3)


def _has_lost(course: Course, cold: Course) -> bool:
    return course.ndcg[-1] < (1 - LOST) * cold.ndcg[-1]
