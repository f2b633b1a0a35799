"""Scores of several rankers for the same users, side by side.

Belongs here: putting `metrics` at several cutoffs side by side, per user, on average, and for parts of the users and of
the catalogue. Which rankers there are, and where the result goes, is the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.sparse import csr_matrix

from movierec_assets.progress import Progress
from movierec_assets.recsys import metrics
from movierec_assets.recsys.comparison import Interval, mean_intervals
from movierec_assets.recsys.interactions import BoolArray, FloatArray, IntArray, Interactions
from movierec_assets.recsys.ranking import TopK

HEADLINE = "ndcg_at_10"
"""The metric that models are compared and promoted by."""

WITH_INTERVALS = (HEADLINE, "map_at_10")
"""The metrics that are shown with their uncertainty, and by slice."""

_SLICED_AT = 10


@dataclass(frozen=True)
class Slice:
    """Scores of one ranker for some of the users, or for some of the movies they should have been shown.

    Attributes
    ----------
    by : str
        What the users or movies are told apart by.
    name : str
        Which of them these are.
    per_user : dict of float array, each of shape (n_users of the slice,)
        The metrics `WITH_INTERVALS`.
    rows : int array, shape (n_users of the slice,)
        Which of the evaluated users are scored in it.
    among : int
        How many users are evaluated.
    intervals : mapping of str to Interval
        Those that are known already, see `with_intervals`.
    """

    by: str
    name: str
    per_user: dict[str, FloatArray]
    rows: IntArray
    among: int
    intervals: Mapping[str, Interval] = field(default_factory=dict)

    @property
    def users(self) -> int:
        """How many users are scored in it."""
        return len(self.per_user[HEADLINE])

    def interval(self, name: str = HEADLINE) -> Interval:
        """Bootstrap interval of the mean of one metric; evaluated users are drawn, not those of the slice alone."""
        return self.intervals.get(name) or mean_intervals(self.column(name)[:, None])[0]

    def column(self, name: str) -> FloatArray:
        """One metric of all evaluated users, shape (among,); not a number for those outside the slice."""
        values = np.full(self.among, np.nan)
        values[self.rows] = self.per_user[name]
        return values


@dataclass(frozen=True)
class Evaluation:
    """Scores of one ranker.

    Attributes
    ----------
    ranker : str
    per_user : dict of float array, each of shape (n_users,)
        Named `<metric>_at_<k>`.
    overall : dict of float
        Coverage, Gini coefficient, novelty and popularity share, named alike.
    slices : tuple of Slice
        Empty unless asked for.
    intervals : mapping of str to Interval
        Those that are known already, see `with_intervals`.
    """

    ranker: str
    per_user: dict[str, FloatArray]
    overall: dict[str, float]
    slices: tuple[Slice, ...] = ()
    intervals: Mapping[str, Interval] = field(default_factory=dict)

    def means(self) -> dict[str, float]:
        """Mean over the scored users of each per-user metric, and the overall ones."""
        return {name: float(np.nanmean(values)) for name, values in self.per_user.items()} | self.overall

    def of_some(self, users: BoolArray) -> Evaluation:
        """The same, with scores for some of the users only, and not a number for the others; without slices.

        Parameters
        ----------
        users : bool array, shape (n_users,)
        """
        return Evaluation(
            self.ranker, {name: np.where(users, values, np.nan) for name, values in self.per_user.items()}, self.overall
        )

    def interval(self, name: str = HEADLINE) -> Interval:
        """Bootstrap interval of the mean of one per-user metric."""
        return self.intervals.get(name) or mean_intervals(self.per_user[name][:, None])[0]


def with_intervals(
    evaluations: Sequence[Evaluation], names: Sequence[str] = WITH_INTERVALS, progress: Progress | None = None
) -> list[Evaluation]:
    """The same evaluations, knowing the intervals that a report shows.

    All are found together, for about the cost of one. Evaluations that know theirs are returned as they are.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Of the same users.
    names : sequence of str
        Metrics; those of slices are always `WITH_INTERVALS`.
    progress : callable, optional
        Told the number of draws of users done, and of all.
    """
    if all(each.intervals.keys() >= set(names) for each in evaluations):
        return list(evaluations)
    columns = [
        column
        for each in evaluations
        for column in (
            *(each.per_user[name] for name in names),
            *(part.column(name) for part in each.slices for name in WITH_INTERVALS),
        )
    ]
    found = iter(mean_intervals(np.column_stack(columns), progress=progress))
    return [
        replace(
            each,
            intervals={name: next(found) for name in names},
            slices=tuple(
                replace(part, intervals={name: next(found) for name in WITH_INTERVALS}) for part in each.slices
            ),
        )
        for each in evaluations
    ]


def evaluate(
    ranker: str,
    lists: TopK,
    held_out: Interactions,
    history: Interactions,
    cutoffs: Sequence[int] = metrics.CUTOFFS,
    histories: Interactions | None = None,
) -> Evaluation:
    """Score the lists of the evaluated users.

    Parameters
    ----------
    ranker : str
        Name in reports.
    lists : TopK, shape (n_users, at least max(cutoffs))
    held_out : Interactions, shape (n_users, n_movies)
        Rows of the same users, each with at least one entry.
    history : Interactions, shape (all users, n_movies)
        What the ranker was fitted on.
    cutoffs : sequence of int
    histories : Interactions, shape (n_users, n_movies), optional
        What the ranker was told of the same users; with it, scores by slice are added, for lists of 10 or more.

    Returns
    -------
    Evaluation
    """
    per_user: dict[str, FloatArray] = {}
    overall: dict[str, float] = {}
    counts: IntArray = history.per_movie
    users = int((history.per_user > 0).sum())
    for k in cutoffs:
        scores = metrics.score(lists.items, held_out.stars, k)
        per_user |= {f"{name}_at_{k}": np.asarray(values, dtype=np.float64) for name, values in scores.items()}
        overall[f"coverage_at_{k}"] = metrics.coverage(lists.items, held_out.shape[1], k)
        overall[f"gini_at_{k}"] = metrics.gini(lists.items, held_out.shape[1], k)
        overall[f"novelty_at_{k}"] = metrics.novelty(lists.items, counts, users, k)
        overall[f"popularity_share_at_{k}"] = metrics.popularity_share(lists.items, counts, k)
    slices: tuple[Slice, ...] = ()
    if histories is not None:
        slices = (*by_activity(lists, held_out, histories), *by_popularity(lists, held_out, counts))
    return Evaluation(ranker, per_user, overall, slices)


def by_activity(lists: TopK, held_out: Interactions, histories: Interactions) -> tuple[Slice, ...]:
    """Scores of the thirds of users with few, medium and many likes in their history.

    Users with equally many likes are in the same slice, so slices differ in size and one may be missing.

    Parameters
    ----------
    lists : TopK, shape (n_users, at least 10)
    held_out, histories : Interactions, shape (n_users, n_movies)

    Returns
    -------
    tuple of Slice
        Names tell the least and the most likes.
    """
    likes = histories.per_user
    if len(likes) == 0:
        return ()
    bounds = np.quantile(likes, [1 / 3, 2 / 3], method="inverted_cdf")
    third = np.searchsorted(bounds, likes)
    slices = []
    for place, name in enumerate(("few", "medium", "many")):
        users = np.flatnonzero(third == place)
        if len(users):
            name_with_range = f"{name}, {likes[users].min():,} to {likes[users].max():,}"
            slices.append(_slice("likes in the history", name_with_range, lists, held_out.stars, users))
    return tuple(slices)


def by_popularity(lists: TopK, held_out: Interactions, counts: IntArray) -> tuple[Slice, ...]:
    """Scores where only the held-out movies of one popularity count as found, for the users who have any.

    The head is the most liked movies that together make up a third of all likes, the torso the next third, the tail
    the rest.

    Parameters
    ----------
    lists : TopK, shape (n_users, at least 10)
    held_out : Interactions, shape (n_users, n_movies)
    counts : int array, shape (n_movies,)
        Likes of each movie that the ranker was fitted on; equal counts keep the order of columns.

    Returns
    -------
    tuple of Slice
        Names tell the number of movies. Without those in which no user has a held-out movie.
    """
    third = popularity_thirds(counts)
    slices = []
    for place, name in enumerate(("head", "torso", "tail")):
        within = third == place
        part = held_out.stars.multiply(within).tocsr()
        part.eliminate_zeros()
        having = np.flatnonzero(np.diff(part.indptr))
        if len(having):
            name_with_size = f"{name}, {int(within.sum()):,} movies"
            slices.append(_slice("popularity of what was held out", name_with_size, lists, part, having))
    return tuple(slices)


def popularity_thirds(counts: IntArray) -> IntArray:
    """Which third of all likes each movie belongs to: 0 for the most liked, 2 for the least, shape (n_movies,)."""
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    third = np.empty(len(counts), dtype=np.int64)
    third[order] = np.minimum(3 * before // max(1, int(counts.sum())), 2)
    third[counts == 0] = 2
    return third


def _slice(by: str, name: str, lists: TopK, held_out: csr_matrix, users: IntArray) -> Slice:
    scores = metrics.score(lists.items[users], held_out[users], _SLICED_AT)
    named = {f"{metric}_at_{_SLICED_AT}": values for metric, values in scores.items()}
    return Slice(by, name, {metric: named[metric] for metric in WITH_INTERVALS}, users, len(lists.items))
