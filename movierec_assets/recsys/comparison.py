"""Is one ranker better than another on the same users? Bootstrap intervals of means and of paired differences.

Belongs here: uncertainty of per-user scores. The scores come from `metrics`; what follows from a difference is
decided in `promotion`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from movierec_assets.recsys.batches import Progress, batches
from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.interactions import BoolArray, FloatArray

RESAMPLES = 2000

_BLOCK = 4_000_000
"""Counts at a time: 32 MB whatever the number of users, and enough for a fast product."""


@dataclass(frozen=True)
class Interval:
    """A mean with its bootstrap confidence interval."""

    mean: float
    low: float
    high: float


def mean_intervals(
    columns: FloatArray,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Interval]:
    """Percentile bootstrap of the means of several scores over the same users.

    Users are drawn once for all columns, so the resampled means of any two of them are paired.

    Parameters
    ----------
    columns : float array, shape (n_users, n_columns)
        Scores, or differences of scores; not a number where a user is no part of what a column is about.
    confidence : float
        Share of resampled means inside an interval.
    resamples : int
    seed : int
        Decides on the draws, together with the number of users.
    progress : callable, optional
        Told the number of draws done, and of all.

    Returns
    -------
    list of Interval
        One for each column. Draws in which a column has no user at all do not count for it.

    Raises
    ------
    RecsysError
        When a column has no user, or an infinite score.

    References
    ----------
    Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    """
    n_users, n_columns = columns.shape
    part = ~np.isnan(columns)
    if not part.any(axis=0).all() or n_users == 0:
        raise RecsysError("There is no user to compare on.")
    values = np.where(part, columns, 0.0)
    if not np.isfinite(values).all():
        raise RecsysError("A score is not a number; compare on users with something held out.")
    # Columns about the same users share one count of them.
    groups, group_of = _different(part)
    weighed = np.hstack([values, part[:, groups]])
    totals = np.empty((resamples, weighed.shape[1]))
    random = np.random.default_rng(seed)
    for block in batches(n_users * np.arange(1, resamples + 1), _BLOCK, progress):
        # How often each user is drawn: a sum over draws is a product with that.
        times = np.empty((block.stop - block.start, n_users))
        for row in times:
            row[:] = np.bincount(random.integers(0, n_users, n_users), minlength=n_users)
        totals[block] = times @ weighed
    drawn = totals[:, n_columns:][:, group_of]
    means = np.divide(totals[:, :n_columns], drawn, out=np.full(drawn.shape, np.nan), where=drawn > 0)
    low, high = np.nanquantile(means, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    mean = values.sum(axis=0) / part.sum(axis=0)
    return [Interval(*map(float, each)) for each in zip(mean, low, high, strict=True)]


def _different(columns: BoolArray) -> tuple[list[int], list[int]]:
    """Which columns differ from all before them, and for every column, which of those it equals."""
    first: dict[bytes, int] = {}
    groups: list[int] = []
    group_of: list[int] = []
    for place, column in enumerate(columns.T):
        key = np.packbits(column).tobytes()
        if key not in first:
            first[key] = len(groups)
            groups.append(place)
        group_of.append(first[key])
    return groups, group_of


def mean_interval(values: FloatArray, **options: Any) -> Interval:
    """Percentile bootstrap of the mean over users.

    Parameters
    ----------
    values : float array, shape (n_users,)
        One score, or one difference of scores, for each user.
    **options
        As for `mean_intervals`.

    Returns
    -------
    Interval

    Raises
    ------
    RecsysError
        When there is no user, or a score is not a number.
    """
    if not np.isfinite(values).all():
        raise RecsysError("A score is not a number; compare on users with something held out.")
    return mean_intervals(np.asarray(values, dtype=np.float64)[:, None], **options)[0]


def paired_difference(challenger: FloatArray, other: FloatArray, **options: Any) -> Interval:
    """Bootstrap of the mean difference between two rankers over identical users.

    Parameters
    ----------
    challenger, other : float array, shape (n_users,)
        Scores of the same users in the same order.
    **options
        As for `mean_intervals`.

    Raises
    ------
    RecsysError
        When the arrays do not have the same users, or as `mean_interval` does.
    """
    if challenger.shape != other.shape:
        raise RecsysError(f"Not the same users: {challenger.shape} and {other.shape} scores.")
    return mean_interval(challenger - other, **options)
