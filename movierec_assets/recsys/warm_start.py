"""Training that goes on where the last one ended, without ever having seen what it is scored on.

Belongs here: what one training leaves for the next, when that may be used, and how many iterations are enough. Fitting
is in `als`; where the last training is kept is the caller's.

Three fits hang together over time. The fit on the training part alone is scored on validation, and says after how many
iterations there is nothing more to gain. The scored fit, on everything before the test, goes on from the last scored
fit; the served fit, on everything, from the champion. So no fit that is scored starts from factors that were fitted
to what it should find, as long as what is held out today was not trained on yesterday; that is checked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from movierec_assets.recsys import als, metrics, ranking
from movierec_assets.recsys.als import EnoughIterations, Factors, Iteration, Recipe
from movierec_assets.recsys.interactions import Arrays, BoolArray, FloatArray, IdMaps, IntArray, Interactions, positions
from movierec_assets.recsys.split import Split, Task

MOST_SCORED_USERS = 10_000
"""Validation users scored after an iteration: enough to see a gain, and quicker than the iteration."""
LEAST_GAIN = 0.001
"""Share by which validation NDCG must rise for another iteration to be worth it."""
MOST_IN_A_ROW = 30
"""Trainings after which a cold start is due, so that its figures are not compared with those of long ago."""
LOST = 0.02
"""Share of the cold start's validation NDCG by which a warm one may fall behind before a cold one is due."""
_LEAST_COMMON = 0.5
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9))
"""Odd numbers that spread neighbouring ids over all numbers, from SplitMix64."""
_NEVER = np.iinfo(np.int64).min

Fit = Literal["validation", "scored", "served"]
Report = Callable[[Fit, Iteration, float | None], None]
"""Told which fit is at which iteration, with the validation NDCG where it is measured."""


@dataclass(frozen=True)
class Course:
    """How validation NDCG@10 rose over a fit on the training part.

    Attributes
    ----------
    ndcg : tuple of float
        After each iteration.
    """

    ndcg: tuple[float, ...]

    @property
    def iterations(self) -> int:
        """Iterations that were made."""
        return len(self.ndcg)

    def reaches(self, ndcg: float) -> int | None:
        """Iterations after which it is at least so high; None when it never is."""
        return next((number for number, value in enumerate(self.ndcg, start=1) if value >= ndcg), None)


@dataclass(frozen=True)
class Legacy:
    """What a training leaves for the next one.

    Attributes
    ----------
    movie_ids : int array, shape (n_movies,)
        Rows of the factors.
    scored, served : float32 array, shape (n_movies, factors)
        Movie factors of the fits that were scored and registered.
    trained : float32 array, shape (n_movies, factors), or None
        Of the fit on the training part alone; a cold training makes none.
    validation_pairs, test_pairs : int array, shape (n, 2)
        User and movie ids that were held out from `trained`, and from `trained` and `scored`.
    user_ids : int array, shape (n_users,)
        Rows of the next two.
    latest_scored, latest_trained : int64 array, shape (n_users,)
        Unix seconds of the latest like of each user that `scored`, or `trained`, or what either goes back to, was
        fitted to; the smallest integer where there is none.
    withdrawn : int array, shape (n, 2)
        User and movie ids of likes that a fit it goes back to had, and that were no likes any more later.
    cold : Course or None
        Of the last fit on the training part that started cold.
    in_a_row : int
        Warm trainings since the last cold one.
    """

    movie_ids: IntArray
    scored: FloatArray
    served: FloatArray
    trained: FloatArray | None
    validation_pairs: IntArray
    test_pairs: IntArray
    user_ids: IntArray
    latest_scored: IntArray
    latest_trained: IntArray
    withdrawn: IntArray
    cold: Course | None
    in_a_row: int

    def to_arrays(self) -> Arrays:
        """Named arrays; what is not there is empty."""
        nothing = np.empty((0, 0), dtype=np.float32)
        about = {"cold": self.cold.ndcg if self.cold else None, "in_a_row": self.in_a_row}
        return {
            "movie_ids": self.movie_ids,
            "scored": self.scored,
            "served": self.served,
            "trained": nothing if self.trained is None else self.trained,
            "validation_pairs": self.validation_pairs,
            "test_pairs": self.test_pairs,
            "user_ids": self.user_ids,
            "latest_scored": self.latest_scored,
            "latest_trained": self.latest_trained,
            "withdrawn": self.withdrawn,
            "about": np.array(json.dumps(about)),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Read back what `to_arrays` gave."""
        about = json.loads(str(arrays["about"]))
        return cls(
            movie_ids=arrays["movie_ids"],
            scored=arrays["scored"],
            served=arrays["served"],
            trained=arrays["trained"] if len(arrays["trained"]) else None,
            validation_pairs=arrays["validation_pairs"],
            test_pairs=arrays["test_pairs"],
            user_ids=arrays["user_ids"],
            latest_scored=arrays["latest_scored"],
            latest_trained=arrays["latest_trained"],
            withdrawn=arrays["withdrawn"],
            cold=Course(tuple(about["cold"])) if about["cold"] else None,
            in_a_row=int(about["in_a_row"]),
        )


@dataclass(frozen=True)
class Predecessor:
    """The training to go on from.

    Attributes
    ----------
    recipe : Recipe
    ids : IdMaps
        Of `positives`.
    positives : csr_matrix, shape (n_users, n_movies)
        Everything it was trained on or scored with; non-zero where a user liked a movie.
    legacy : Legacy
    """

    recipe: Recipe
    ids: IdMaps
    positives: csr_matrix
    legacy: Legacy


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
    """

    scored: Factors
    served: Factors
    legacy: Legacy
    warm: bool
    why: str
    course: Course | None
    seconds: dict[Fit, float]


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
    why_cold = why_not(predecessor, recipe, ids, split)
    course, trained, iterations, cold, in_a_row = None, None, recipe.iterations, None, 0
    begin: dict[Fit, FloatArray | None] = {"scored": None, "served": None}
    if predecessor is not None and why_cold is None:
        legacy = predecessor.legacy
        begin_trained = None if legacy.trained is None else matched(legacy, legacy.trained, ids, recipe)
        trained_factors, course = fit_and_watch(split.task("validation"), ids, recipe, begin_trained, report)
        trained = trained_factors.movies
        # Without a fit of that kind to go on from, this one was cold, and tells what a cold one reaches.
        cold = course if legacy.trained is None or legacy.cold is None else legacy.cold
        if _has_lost(course, cold):
            why_cold = f"validation NDCG@10 fell to {course.ndcg[-1]:.4f}, from {cold.ndcg[-1]:.4f} of the cold start"
            trained, cold = None, None
        else:
            iterations = third(recipe) if legacy.trained is None else min(course.iterations, third(recipe))
            in_a_row = legacy.in_a_row + 1
            begin = {
                "scored": matched(legacy, legacy.scored, ids, recipe),
                "served": matched(legacy, legacy.served, ids, recipe),
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
    left = Legacy(
        movie_ids=ids.movie_ids,
        scored=scored.movies,
        served=served.movies,
        trained=trained,
        validation_pairs=_pairs(split.validation, ids),
        test_pairs=_pairs(split.test, ids),
        user_ids=ids.user_ids,
        latest_scored=_latest(history, ids, goes_on, "latest_scored"),
        latest_trained=_latest(split.train, ids, goes_on, "latest_trained"),
        withdrawn=np.empty((0, 2), dtype=np.int64) if goes_on is None else withdrawn(goes_on, positives, ids),
        cold=cold,
        in_a_row=in_a_row,
    )
    return Fits(scored, served, left, warm, why_cold or "the champion's recipe on changed data", course, seconds)


def why_not(predecessor: Predecessor | None, recipe: Recipe, ids: IdMaps, split: Split) -> str | None:
    """Why training starts cold; None when it can go on from the predecessor."""
    if predecessor is None:
        return "there is no champion to go on from, or its data has not changed"
    if predecessor.recipe != recipe:
        return "the recipe is another one than the champion's"
    legacy = predecessor.legacy
    if legacy.in_a_row >= MOST_IN_A_ROW:
        return f"{legacy.in_a_row} trainings in a row started warm"
    common = float(np.isin(ids.movie_ids, legacy.movie_ids).mean())
    if common < _LEAST_COMMON:
        return f"the champion knows only {common:.0%} of the movies"
    if len(split.evaluated_users("validation")) == 0:
        return "there is no validation to stop by"
    return leaks(predecessor, split, ids)


def leaks(predecessor: Predecessor, split: Split, ids: IdMaps) -> str | None:
    """Why the predecessor's fits must not be scored on what is held out now; None when they may.

    They must not when they, or what they go back to, were fitted to a like that is held out now, or to a later one of
    the same user.
    """
    legacy = predecessor.legacy
    test, validation = _pairs(split.test, ids), _pairs(split.validation, ids)
    seen = int(was_trained_on(predecessor, test, legacy.test_pairs).sum())
    early = int(_not_later(split.test, ids, legacy.user_ids, legacy.latest_scored).sum())
    if legacy.trained is not None:
        held_out = np.concatenate([legacy.test_pairs, legacy.validation_pairs])
        seen += int(was_trained_on(predecessor, validation, held_out).sum())
        early += int(_not_later(split.validation, ids, legacy.user_ids, legacy.latest_trained).sum())
    if seen:
        return f"{seen} likes that are held out now were trained on before"
    return f"{early} likes that are held out now are not later than what was trained on before" if early else None


def leaking_users(predecessor: Predecessor, test: Interactions, ids: IdMaps) -> BoolArray:
    """Mark users on whom the predecessor's scored fit must not be scored now, shape (n_users,).

    The fit, or what it goes back to, was fitted to one of their likes that is held out now, or to a later one.
    """
    legacy = predecessor.legacy
    seen = was_trained_on(predecessor, _pairs(test, ids), legacy.test_pairs)
    seen |= _not_later(test, ids, legacy.user_ids, legacy.latest_scored)
    marked = np.zeros(len(ids.user_ids), dtype=bool)
    marked[test.triplets()[0][seen]] = True
    return marked


def only_removes(predecessor: Predecessor, positives: Interactions, ids: IdMaps) -> bool:
    """Whether all likes are the predecessor's as well: nothing was added since, at most something was taken away."""
    had = predecessor.positives
    if len(positives) > had.nnz:
        return False
    rows, columns, _, _ = positives.triplets()
    users = predecessor.ids.users_at(ids.user_ids)[rows]
    movies = predecessor.ids.movies_at(ids.movie_ids)[columns]
    if (users < 0).any() or (movies < 0).any():
        return False
    return bool((np.asarray(had[users, movies]).ravel() != 0).all())


def withdrawn(predecessor: Predecessor, positives: Interactions, ids: IdMaps) -> IntArray:
    """Likes that the predecessor or what it goes back to had, and that are none now, shape (n, 2)."""
    had = predecessor.positives
    before = np.repeat(np.arange(had.shape[0], dtype=np.int32), np.diff(had.indptr))
    users = ids.users_at(predecessor.ids.user_ids)[before]
    movies = ids.movies_at(predecessor.ids.movie_ids)[had.indices]
    known = (users >= 0) & (movies >= 0)
    # Ids increase with places on either side, so what is known is in order already: matrices are merged, not sorted.
    ends = np.cumsum(np.bincount(users[known], minlength=ids.shape[0]))
    shape = positives.shape
    had_of_known = csr_matrix((np.ones(int(known.sum())), movies[known], np.concatenate([[0], ends])), shape=shape)
    has = csr_matrix((np.ones(len(positives)), positives.stars.indices, positives.stars.indptr), shape=shape)
    lost_users, lost_movies = (had_of_known > has).nonzero()
    unknown = np.flatnonzero(~known)
    gone = np.concatenate(
        [
            predecessor.legacy.withdrawn,
            np.stack([ids.user_ids[lost_users], ids.movie_ids[lost_movies]], axis=1),
            np.stack(
                [predecessor.ids.user_ids[before[unknown]], predecessor.ids.movie_ids[had.indices[unknown]]], axis=1
            ),
        ]
    )
    return np.unique(gone, axis=0)


def _latest(part: Interactions, ids: IdMaps, predecessor: Predecessor | None, name: str) -> IntArray:
    """Latest time of each user in a part, or in what the predecessor goes back to."""
    users, _, _, rated_at = part.triplets()
    latest = np.full(len(ids.user_ids), _NEVER)
    np.maximum.at(latest, users, rated_at)
    if predecessor is not None:
        places = positions(predecessor.legacy.user_ids, ids.user_ids)
        known = places >= 0
        latest[known] = np.maximum(latest[known], getattr(predecessor.legacy, name)[places[known]])
    return latest


def _not_later(part: Interactions, ids: IdMaps, user_ids: IntArray, latest: IntArray) -> BoolArray:
    """Mark interactions of users that are not later than a time for each user."""
    users, _, _, rated_at = part.triplets()
    places = positions(user_ids, ids.user_ids)[users]
    marked: BoolArray = (places >= 0) & (rated_at <= latest[places])
    return marked


def was_trained_on(predecessor: Predecessor, pairs: IntArray, held_out: IntArray) -> BoolArray:
    """Mark pairs of user and movie id that the predecessor had, other than those it held out, shape (n,).

    Those that were withdrawn before count as well.
    """
    users, movies = predecessor.ids.users_at(pairs[:, 0]), predecessor.ids.movies_at(pairs[:, 1])
    marked = (users >= 0) & (movies >= 0)
    known = np.flatnonzero(marked)
    if len(known):
        marked[known] = np.asarray(predecessor.positives[users[known], movies[known]]).ravel() != 0
    marked &= ~np.isin(_keys(pairs), _keys(held_out))
    marked |= np.isin(_keys(pairs), _keys(predecessor.legacy.withdrawn))
    return marked


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


def _pairs(part: Interactions, ids: IdMaps) -> IntArray:
    users, movies, _, _ = part.triplets()
    return np.stack([ids.user_ids[users], ids.movie_ids[movies]], axis=1)


def _keys(pairs: IntArray) -> IntArray:
    keys: IntArray = (pairs[:, 0].astype(np.int64) << 32) | pairs[:, 1].astype(np.int64)
    return keys
