"""Scores of several rankers for the same users, side by side.

Belongs here: `metrics` at several cutoffs, per user, on average, and for parts of the users and of the catalogue. Does
not: the rankers (`baselines`), and the text of a report (`report`).
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
from movierec_assets.recsys.split import elapsed_seconds

HEADLINE = "ndcg_at_10"
"""The metric that models are compared and promoted by."""

WITH_INTERVALS = (HEADLINE, "map_at_10")
"""The metrics that are shown with their uncertainty, and by slice."""

SHOWN = ("precision_at_10", "recall_at_10", "map_at_10", HEADLINE, "hit_rate_at_10", "coverage_at_10")
"""The metrics that are shown where there is room for a few."""

_SLICED_AT = 10

_ELAPSED = ((60, "under a minute"), (3600, "a minute to an hour"), (86400, "an hour to a day"))
"""Seconds since the like before that end each slice, and its name."""
_LATER = "a day or more"
ELAPSED_NAMES = (*(name for _, name in _ELAPSED), _LATER)
"""Names of the slices by the time since the like before, the shortest first."""
BY_ELAPSED = "time since the like before"
"""The property that divides users into these slices."""


@dataclass(frozen=True)
class Slice:
    """Scores of one ranker for some of the users, or with some of the held-out movies.

    Attributes
    ----------
    by : str
        The property that divides the users or movies.
    name : str
        The part.
    per_user : dict of float array, each of shape (n_users of the slice,)
        The metrics `WITH_INTERVALS`.
    rows : int array, shape (n_users of the slice,)
        The scored users, among the evaluated ones.
    among : int
        Number of evaluated users.
    intervals : mapping of str to Interval
        Computed by `with_intervals`; may be empty.
    """

    by: str
    name: str
    per_user: dict[str, FloatArray]
    rows: IntArray
    among: int
    intervals: Mapping[str, Interval] = field(default_factory=dict)

    @property
    def users(self) -> int:
        """Number of scored users."""
        return len(self.per_user[HEADLINE])

    def interval(self, name: str = HEADLINE) -> Interval:
        """Bootstrap interval of the mean of one metric; draws are from all evaluated users."""
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
        Computed by `with_intervals`; may be empty.
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
        """A copy without slices, with NaN as the scores of the other users."""
        return Evaluation(
            self.ranker, {name: np.where(users, values, np.nan) for name, values in self.per_user.items()}, self.overall
        )

    def interval(self, name: str = HEADLINE) -> Interval:
        """Bootstrap interval of the mean of one per-user metric."""
        return self.intervals.get(name) or mean_intervals(self.per_user[name][:, None])[0]


def with_intervals(
    evaluations: Sequence[Evaluation],
    names: Sequence[str] = WITH_INTERVALS,
    progress: Progress | None = None,
    *,
    groups: IntArray | None = None,
) -> list[Evaluation]:
    """The same evaluations with the intervals that a report shows.

    All intervals are computed together, for about the cost of one. Evaluations with intervals stay as they are.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Of the same users.
    names : sequence of str
        Metrics; those of slices are always `WITH_INTERVALS`.
    progress : callable, optional
        Called with the number of draws done, and of all draws.
    groups : int array, shape (n_users,), optional
        The user of each score, where users are scored several times: intervals then respect that.
    """
    if all(each.intervals.keys() >= set(names) for each in evaluations):
        return list(evaluations)
    number = sum(len(names) + len(each.slices) * len(WITH_INTERVALS) for each in evaluations)
    columns = np.empty((len(next(iter(evaluations[0].per_user.values()))), number))
    places = iter(columns.T)
    for each in evaluations:
        for name in names:
            next(places)[:] = each.per_user[name]
        for part in each.slices:
            for name in WITH_INTERVALS:
                next(places)[:] = part.column(name)
    found = iter(mean_intervals(columns, groups=groups, progress=progress))
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
    *,
    in_time: bool = True,
) -> Evaluation:
    """Score the lists of one ranker.

    Parameters
    ----------
    ranker : str
        Name in reports.
    lists : TopK, shape (n_users, at least max(cutoffs))
    held_out : Interactions, shape (n_users, n_movies)
        Rows of the same users, each with at least one entry.
    history : Interactions, shape (all users, n_movies)
        Data that the ranker was fitted to.
    cutoffs : sequence of int
    histories : Interactions, shape (n_users, n_movies), optional
        Likes of the same users that the ranker knew. With them, scores by slice are added; lists must hold 10 or more.
    in_time : bool
        Whether the held-out likes are later than the histories. If so, there are slices by the time between them.
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
        if in_time:
            slices += by_elapsed(lists, held_out, elapsed_seconds(histories, held_out))
    return Evaluation(ranker, per_user, overall, slices)


def by_activity(lists: TopK, held_out: Interactions, histories: Interactions) -> tuple[Slice, ...]:
    """Scores of the thirds of users with few, medium and many likes in their history; parameters are as for `evaluate`.

    Users with equally many likes are in the same slice, so slices differ in size and one may be missing. Names give the
    lowest and the highest number of likes.
    """
    likes = histories.per_user
    if len(likes) == 0:
        return ()
    bounds = np.quantile(likes, [1 / 3, 2 / 3], method="inverted_cdf")
    group = np.searchsorted(bounds, likes)
    slices = []
    for number, name in enumerate(("few", "medium", "many")):
        users = np.flatnonzero(group == number)
        if len(users):
            name_with_range = f"{name}, {likes[users].min():,} to {likes[users].max():,}"
            slices.append(_slice("likes in the history", name_with_range, lists, held_out.stars, users))
    return tuple(slices)


def by_popularity(lists: TopK, held_out: Interactions, counts: IntArray) -> tuple[Slice, ...]:
    """Scores with the held-out movies of one popularity group only, for the users who have any.

    The head is the most liked movies that together have a third of all likes. The torso has the next third, the tail
    the rest. Names give the number of movies. Groups without a held-out movie are missing.

    Parameters
    ----------
    lists, held_out
        As for `evaluate`.
    counts : int array, shape (n_movies,)
        Likes of each movie in the data that the ranker was fitted to; equal counts keep the order of columns.
    """
    group = popularity_groups(counts)
    slices = []
    for number, name in enumerate(("head", "torso", "tail")):
        within = group == number
        part = held_out.stars.multiply(within).tocsr()
        part.eliminate_zeros()
        having = np.flatnonzero(np.diff(part.indptr))
        if len(having):
            name_with_size = f"{name}, {int(within.sum()):,} movies"
            slices.append(_slice("popularity of the held-out movies", name_with_size, lists, part, having))
    return tuple(slices)


def by_elapsed(lists: TopK, held_out: Interactions, elapsed: IntArray) -> tuple[Slice, ...]:
    """Scores by the time between a user's latest known like and the request: up to a minute, an hour, a day, or more.

    Parameters
    ----------
    lists, held_out
        As for `evaluate`.
    elapsed : int array, shape (n_users,)
        Seconds since the like before, see `Task.elapsed`. Each user is in one slice; slices without a user are missing.
    """
    group = np.searchsorted([seconds for seconds, _ in _ELAPSED], elapsed, side="right")
    slices = []
    for number, name in enumerate(ELAPSED_NAMES):
        users = np.flatnonzero(group == number)
        if len(users):
            slices.append(_slice(BY_ELAPSED, name, lists, held_out.stars, users))
    return tuple(slices)


def popularity_groups(counts: IntArray) -> IntArray:
    """Group of each movie, each with a third of all likes: 0 for the most liked, 2 for the least, shape (n_movies,)."""
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    group = np.empty(len(counts), dtype=np.int64)
    group[order] = np.minimum(3 * before // max(1, int(counts.sum())), 2)
    group[counts == 0] = 2
    return group


def _slice(by: str, name: str, lists: TopK, held_out: csr_matrix, users: IntArray) -> Slice:
    scores = metrics.score(lists.items[users], held_out[users], _SLICED_AT)
    named = {f"{metric}_at_{_SLICED_AT}": values for metric, values in scores.items()}
    return Slice(by, name, {metric: named[metric] for metric in WITH_INTERVALS}, users, len(lists.items))
